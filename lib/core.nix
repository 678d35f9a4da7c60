# The stack alone, without NixOS or Home Manager around it: quick to evaluate, and enough to
# test the core. Modules -> the evaluated configuration.
{ lib }:
{
  scope ? "system",
}:
modules:
lib.evalModules {
  modules = [
    ../modules/stack
    {
      options = {
        assertions = lib.mkOption {
          type = lib.types.listOf lib.types.raw;
          default = [ ];
        };
        warnings = lib.mkOption {
          type = lib.types.listOf lib.types.str;
          default = [ ];
        };
        virtualisation.quadlet = lib.mkOption {
          type = lib.types.attrsOf lib.types.anything;
          default = { };
        };
      };
      config.services.aiStack = {
        inherit scope;
        dataRoot = "/var/lib/local-ai";
        identity = {
          host = "box";
          user = if scope == "user" then "ann" else null;
          manifestPath = "/etc/aistack/stack.json";
        };
        # As NixOS has them (nixos/modules/misc/ids.nix).
        hostGroups = {
          video = 26;
          systemd-journal = 62;
          render = 303;
        };
        # A value of the right type; nothing here builds it.
        package = derivation {
          name = "aistack";
          system = "x86_64-linux";
          builder = "/bin/sh";
        };
      };
    }
  ]
  ++ modules;
}
