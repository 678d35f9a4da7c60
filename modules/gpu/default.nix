# What the GPUs of a NixOS host need, from the facts: one file a vendor. Every
# detected value is an option with the detection as its default.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  cfg = config.services.aiStack;
  cardsOf = vendor: builtins.filter (c: c.vendor == vendor) cfg.gpu.cards;

  # A card that the stack computes on; one that is passed to a virtual machine or only
  # shows a console is not.
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
