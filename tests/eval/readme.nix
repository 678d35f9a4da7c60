# The README holds: its flake evaluates, its table is that of the catalog.
# name -> null, or what is wrong.
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

  # `./box.nix` is the machine that the reader has already.
  text = lib.replaceStrings [ "./box.nix" ] [ "${../../hosts/workstation/machine.nix}" ] (
    block "flake.nix"
  );
  flake = import (builtins.toFile "flake.nix" text);
  box =
    (flake.outputs {
      inherit (inputs) nixpkgs;
      aistack = self;
    }).nixosConfigurations.box.config;

  row =
    name: entry:
    "| [${name}](modules/services/${name}/README.md) | ${
      lib.concatMapStringsSep ", " toString (lib.attrValues entry.ports)
    } | ${entry.description} |";
  missing = lib.filter (line: !(lib.hasInfix "\n${line}\n" readme)) (
    lib.mapAttrsToList row self.lib.catalog
  );
in
{
  "README: its flake gives a host with the services that it names" =
    let
      seen = lib.attrNames box.virtualisation.quadlet.containers;
      wanted = [
        "local-ai-ollama"
        "local-ai-open-webui"
      ];
    in
    if seen != wanted then
      "containers ${toString seen}"
    else
      builtins.seq box.system.build.toplevel.drvPath null;
  "README: its table of services is that of the catalog" =
    if missing == [ ] then null else "lacks: ${lib.concatStringsSep " and " missing}";
}
