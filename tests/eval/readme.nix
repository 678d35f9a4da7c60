# Tests of the README: its flake evaluates, and its table lists the project's services.
# name -> null, or the fault.
{
  lib,
  self,
  inputs,
}:
let
  readme = builtins.readFile ../../README.md;

  # The first block of code that begins with this line.
  block =
    start:
    lib.head (lib.splitString "```" (lib.elemAt (lib.splitString "```nix\n# ${start}\n" readme) 1));

  # A file, because a text cannot be evaluated without the store. Apart from white space, it must
  # equal the README's text.
  # `./box.nix` next to it is the existing machine of the reader.
  words = lib.replaceStrings [ " " "\n" ] [ "" "" ];
  copied =
    words (builtins.readFile ./readme/flake.nix) == words ("# flake.nix\n" + block "flake.nix");
  box =
    ((import ./readme/flake.nix).outputs {
      inherit (inputs) nixpkgs;
      aistack = self;
    }).nixosConfigurations.box.config;

  folder =
    name:
    if builtins.pathExists (../../modules/contrib + "/${name}") then
      "modules/contrib/${name}"
    else
      "modules/services/${name}";
  row =
    name: entry:
    "| [${name}](${folder name}/README.md) | ${
      lib.concatMapStringsSep ", " toString (lib.attrValues entry.ports)
    } | ${entry.description} |";
  missing = lib.filter (line: !(lib.hasInfix "\n${line}\n" readme)) (
    lib.mapAttrsToList row self.lib.catalog
  );
in
{
  "README: the flake evaluates to a host with the named services" =
    let
      seen = lib.attrNames box.virtualisation.quadlet.containers;
      wanted = [
        "local-ai-ollama"
        "local-ai-open-webui"
      ];
    in
    if !copied then
      "tests/eval/readme/flake.nix is not the README's flake: copy it from there"
    else if seen != wanted then
      "containers ${toString seen}"
    else
      builtins.seq box.system.build.toplevel.drvPath null;
  "README: the table lists the project's services" =
    if missing == [ ] then null else "lacks: ${lib.concatStringsSep " and " missing}";
}
