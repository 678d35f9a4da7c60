# NVIDIA: the driver for the chips' generation, and CDI for containers.
{ config, lib, ... }:
let
  inherit (lib)
    all
    filter
    mkDefault
    mkIf
    mkOption
    mkOverride
    types
    unique
    ;

  cfg = config.services.aiStack;
  gpu = cfg.gpu.nvidia;
  cards = filter (c: c.vendor == "nvidia" && c.backend != "cpu") cfg.gpu.cards;

  branches = unique (map (c: c.driverBranch) cards);
  describe =
    c:
    "${c.slot} (${if c.name == null then toString c.pciId else c.name}, ${
      if c.driverBranch == null then "current" else c.driverBranch
    })";

  # Some releases of nixpkgs choose the open modules by the driver's version, with mkDefault. The
  # chip's generation is more exact, so it overrides mkDefault and yields to a user's value.
  detected = mkOverride 900;
in
{
  options.services.aiStack.gpu.nvidia = {
    openKernelModule = mkOption {
      type = types.bool;
      default = all (c: c.openKernelModule != false) cards;
      defaultText = lib.literalExpression "true when every NVIDIA card is Turing or later";
      description = "Use NVIDIA's open kernel modules. They support Turing and later; Pascal and older need the closed modules.";
    };
    branch = mkOption {
      type = types.nullOr types.str;
      default = if builtins.length branches == 1 then lib.head branches else null;
      defaultText = lib.literalExpression "the legacy branch when all NVIDIA cards need the same one, else null";
      example = "legacy_580";
      description = "Value of `hardware.nvidia.branch`. `null`: the default of nixpkgs.";
    };
  };

  config = mkIf (cfg.enable && gpu.enable) {
    assertions = [
      {
        assertion = builtins.length branches <= 1 || gpu.branch != null;
        message = "services.aiStack.gpu: the NVIDIA cards of this host need different drivers: ${
          lib.concatMapStringsSep ", " describe cards
        }. One driver runs at a time: set services.aiStack.gpu.nvidia.branch for the card to use, or remove one card.";
      }
    ];

    # This option enables the driver, also on a host without a screen.
    services.xserver.videoDrivers = mkDefault [ "nvidia" ];
    hardware = {
      graphics.enable = mkDefault true;
      nvidia = {
        open = detected gpu.openKernelModule;
        modesetting.enable = mkDefault true;
        branch = mkIf (gpu.branch != null) (mkDefault gpu.branch);
      };
      nvidia-container-toolkit.enable = mkDefault true;
    };
  };
}
