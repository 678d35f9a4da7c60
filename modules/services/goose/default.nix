{ lib, ... }:
import ../../stack/agent.nix { inherit lib; } {
  description = "agent that works on a machine's tasks";
  port = 8095;
  environment =
    {
      stack,
      cfg,
      model,
      ...
    }:
    let
      engine = stack.engine cfg.engine;
    in
    {
      GOOSE_PROVIDER = "openai";
      # It has no default, and OPENAI_MODEL means nothing to Goose
      # (block/goose, crates/goose/src/config).
      GOOSE_MODEL = model;
      OPENAI_HOST =
        if engine == null then
          null
        else
          builtins.substring 0 (builtins.stringLength engine.url - 3) engine.url;
    };
}
