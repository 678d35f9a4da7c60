{ config, stack, ... }:
let
  engine = stack.engine config.engine;
in
{
  imports = [ ../../../lib/kinds/agent.nix ];
  description = "agent that works on a machine's tasks";
  ports.http.preferred = 8095;
  environment = {
    GOOSE_PROVIDER = "openai";
    # It has no default, and OPENAI_MODEL means nothing to Goose
    # (block/goose, crates/goose/src/config).
    GOOSE_MODEL = config.modelName;
    # Goose adds /v1 itself.
    OPENAI_HOST =
      if engine == null then
        null
      else
        builtins.substring 0 (builtins.stringLength engine.url - 3) engine.url;
  };
}
