# What the machine's hardware is: facts.json, as `aistack facts` writes it, in typed options.
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
    description = "What `aistack facts` said of the machine's hardware: a path of its file, or the content. The defaults follow from it.";
  };

  config.assertions = lib.mkIf cfg.enable [ (type.assertion "services.aiStack.facts" cfg.facts) ];
}
