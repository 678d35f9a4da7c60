# The hardware facts of the machine: facts.json, as `aistack facts` writes it, as typed options.
{ config, lib, ... }:
let
  cfg = config.services.aiStack;
  type = import ./type.nix { inherit lib; };
in
{
  options.services.aiStack.facts = lib.mkOption {
    type = type.facts;
    default = null;
    example = lib.literalExpression "./facts.json";
    description = "Hardware facts of the machine, as `aistack facts` writes them: the path of facts.json, or its content. Many defaults follow from them.";
  };

  config.assertions = lib.mkIf cfg.enable [ (type.assertion "services.aiStack.facts" cfg.facts) ];
}
