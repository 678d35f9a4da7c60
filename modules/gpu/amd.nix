# AMD: the kernel's driver is enough for Vulkan (RADV) and ROCm; the images contain the rest.
{ config, lib, ... }:
let
  inherit (lib)
    mkDefault
    mkIf
    mkOption
    types
    ;

  cfg = config.services.aiStack;
  gpu = cfg.gpu.amd;
in
{
  options.services.aiStack.gpu.amd.lact = mkOption {
    type = types.bool;
    default = false;
    description = "Run LACT, a program that shows and sets clocks, fans and power limits.";
  };

  config = mkIf (cfg.enable && gpu.enable) {
    hardware.graphics.enable = mkDefault true;
    services.lact.enable = mkIf gpu.lact (mkDefault true);
  };
}
