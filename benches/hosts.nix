# One NixOS host in several forms, for benches/eval.sh: name -> the path of its system's
# derivation. `without` is the bare host that the others are compared with.
{
  lib,
  self,
  quadlet-nix,
}:
let
  drvPath =
    modules:
    (lib.nixosSystem { modules = [ ../hosts/workstation/machine.nix ] ++ modules; })
    .config.system.build.toplevel.drvPath;

  # In place of our package, so that the cost of the module alone is seen.
  standIn =
    { pkgs, ... }:
    {
      services.aiStack.package = lib.mkForce (derivation {
        name = "aistack";
        builder = "/bin/sh";
        inherit (pkgs.stdenv.hostPlatform) system;
      });
    };
  services = [
    self.nixosModules.default
    ../hosts/workstation
    standIn
  ];
in
{
  without = drvPath [ ];
  # The module, disabled.
  off = drvPath [ self.nixosModules.default ];
  # Six services, with the package.
  on = drvPath [
    self.nixosModules.default
    ../hosts/workstation
  ];
  # The same six containers with quadlet-nix alone.
  hand = drvPath [
    quadlet-nix.nixosModules.quadlet
    ./by-hand.nix
  ];
  # The package alone, in PATH.
  package = drvPath [
    (
      { pkgs, ... }:
      {
        environment.systemPackages = [ (self.lib.rust pkgs).aistack ];
      }
    )
  ];
  # Six services without the package.
  services = drvPath services;
  # The same and one more service.
  seven = drvPath (services ++ [ { services.aiStack.chromadb.enable = true; } ]);
}
