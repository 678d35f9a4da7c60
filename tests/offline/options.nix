# Options of nixpkgs 26.05 that an older nixos tree does not have, declared without
# effect, for evaluation where the real nixpkgs cannot be had. Where each was read:
#   hardware.nvidia.branch   release notes of NixOS 26.05
#   services.lact.enable     nixos/modules/services/hardware/lact.nix (since 25.05)
{ lib, ... }:
{
  options = {
    hardware.nvidia.branch = lib.mkOption {
      type = lib.types.str;
      default = "stable";
      description = "Declared for offline evaluation; has no effect here.";
    };
    services.lact.enable = lib.mkOption {
      type = lib.types.bool;
      default = false;
      description = "Declared for offline evaluation; has no effect here.";
    };
  };
}
