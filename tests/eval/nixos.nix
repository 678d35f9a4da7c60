# Evaluation tests of the NixOS tests: their names, and that each is a derivation. `nix flake check`
# evaluates their machines.
{
  lib,
  self,
  equal,
}:
let
  prefix = "nixos-";
  of =
    system:
    lib.mapAttrs' (name: lib.nameValuePair (lib.removePrefix prefix name)) (
      lib.filterAttrs (name: _: lib.hasPrefix prefix name) self.checks.${system}
    );
  names = [
    "both-scopes"
    "fleet"
    "gpu-fake-cdi"
    "prep"
    "secrets"
    "stack-home"
    "stack-system"
    "survive-reset"
    "switch"
  ];
in
{
  "NixOS tests: there are nine, on both systems" =
    equal
      (lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ] (system: lib.attrNames (of system)))
      {
        x86_64-linux = names;
        aarch64-linux = names;
      };
  "NixOS tests: each is a derivation, and can be run by hand" = equal (lib.filterAttrs (
    _: test: !(lib.isDerivation test && test ? drvPath && test ? driverInteractive)
  ) (of "x86_64-linux")) { };
  "NixOS tests: the machines have the settings that a test needs" =
    let
      test = (of "x86_64-linux").stack-home;
      inherit (test.nodes) machine;
    in
    equal
      [
        machine.boot.loader.grub.enable
        machine.boot.kernel.sysctl."vm.panic_on_oom"
        (map lib.getName machine.users.users.ann.packages)
        (lib.hasInfix "/etc/profiles/per-user/{user}/bin/{command}" test.config.testScript)
      ]
      [
        false
        0
        [ "home-manager-path" ]
        true
      ];
  # tests/run reads the scenarios with the program's own parser.
  "NixOS tests: each scenario has the name of its test" = equal (lib.concatMap (
    test: lib.attrNames (lib.filterAttrs (name: document: document.name != name) test.documents)
  ) (lib.attrValues (of "x86_64-linux"))) [ ];
}
