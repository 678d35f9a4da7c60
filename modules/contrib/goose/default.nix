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
    # The variable has no default, and Goose does not read OPENAI_MODEL
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
