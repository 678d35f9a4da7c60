# Checks that `nix flake check` evaluates: every example and template, the evaluation tests and the
# snapshots. A failure is an evaluation error; nothing is built.
{
  self,
  inputs,
  pkgs,
}:
let
  inherit (pkgs) lib;

  # A derivation that names the evaluated one, without building it.
  evaluated =
    name: values:
    pkgs.writeText "aistack-${name}" (
      lib.concatStrings (
        lib.mapAttrsToList (n: v: "${n} ${builtins.unsafeDiscardStringContext v}\n") values
      )
    );
  holds =
    name: results:
    let
      failed = lib.filterAttrs (_: r: r != null) results;
    in
    if failed == { } then
      evaluated name (lib.mapAttrs (_: _: "holds") results)
    else
      throw (
        "${toString (lib.length (lib.attrNames failed))} failed:\n"
        + lib.concatStrings (lib.mapAttrsToList (n: r: "  ${n}: ${r}\n") failed)
      );

  toplevel = host: host.config.system.build.toplevel.drvPath;
  activation = home: home.activationPackage.drvPath;
  inherit (self.lib) template;
in
{
  hosts = evaluated "hosts" (lib.mapAttrs (_: toplevel) self.nixosConfigurations);
  homes = evaluated "homes" (lib.mapAttrs (_: activation) self.homeConfigurations);
  hive = evaluated "hive" (lib.mapAttrs (_: toplevel) self.colmenaHive.nodes);
  templates = evaluated "templates" {
    workstation = toplevel (template ../../templates/workstation).nixosConfigurations.workstation;
    home = activation (template ../../templates/home).homeConfigurations.me;
    prep = activation (template ../../templates/prep).homeConfigurations.me;
  };
  evaluation = holds "evaluation" self.lib.tests;
  snapshots = holds "snapshots" (import ./snapshots.nix { inherit lib self; });
}
