{ lib, ... }:
import ../../stack/agent.nix { inherit lib; } {
  description = "agent that works on a machine's tasks";
  port = 8095;
  environment =
    { stack, cfg, ... }:
    let
      engine = stack.engine cfg.engine;
    in
    {
      GOOSE_PROVIDER = "openai";
      OPENAI_HOST =
        if engine == null then
          null
        else
          builtins.substring 0 (builtins.stringLength engine.url - 3) engine.url;
    };
}
