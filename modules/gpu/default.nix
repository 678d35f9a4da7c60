# Configuration of a NixOS host for its GPUs, derived from the facts; one file for each vendor.
# Every detected value is the default of an option.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  cfg = config.services.aiStack;
  cardsOf = vendor: builtins.filter (c: c.vendor == vendor) cfg.gpu.cards;

  # A card that the stack can use. A card for a virtual machine or for a console only is not used.
  used = vendor: builtins.any (c: c.backend != "cpu") (cardsOf vendor);

  vendorOption =
    vendor: text:
    mkOption {
      type = types.bool;
      default = used vendor;
      defaultText = lib.literalExpression "true if the facts list ${text} that engines can use";
      description = "Configure this host for ${text}.";
    };
in
{
  imports = [
    ./nvidia.nix
    ./amd.nix
    ./intel.nix
  ];

  options.services.aiStack.gpu = {
    nvidia.enable = vendorOption "nvidia" "an NVIDIA card";
    amd.enable = vendorOption "amd" "an AMD card";
    intel.enable = vendorOption "intel" "an Intel card";
  };
}
