# Intel: the compute runtime for SYCL, in addition to the kernel's driver.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkDefault mkIf;

  cfg = config.services.aiStack;
in
{
  config = mkIf (cfg.enable && cfg.gpu.intel.enable) {
    hardware.graphics = {
      enable = mkDefault true;
      extraPackages = [ pkgs.intel-compute-runtime ];
    };
  };
}
