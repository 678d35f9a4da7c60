# What agents have in common: an image that the user brings, a workspace, a port with
# an address that says whether they are well, and the engine that they talk to.
{ lib }:
{
  description,
  port,
  # Further variables that this agent reads, from its configuration.
  environment ? _: { },
  options ? { },
}:
let
  inherit (lib) mkOption types;
in
{
  inherit description;
  ports.http = {
    container = 8080;
    host = port;
  };
  data.workspace.path = "/workspace";
  probe.http = {
    port = "http";
    path = "/health";
  };
  client = "any";
  resources.memory = "4g";
  wants = { engines }: engines;
  options = {
    model = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Model to ask for; null: the first that the engine names.";
    };
    engine = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "llama-cpp";
      description = "Engine of the stack to talk to; null: of those that are on the one that serves clients best.";
    };
  }
  // options;
  environment =
    arguments@{
      cfg,
      stack,
      lib,
      ...
    }:
    let
      engine = stack.engine cfg.engine;
      model =
        if cfg.model != null then
          cfg.model
        else if engine == null || engine.models == [ ] then
          null
        else
          lib.head engine.models;
    in
    {
      PORT = toString (arguments.port "http");
      OPENAI_API_BASE = if engine == null then null else engine.url;
      OPENAI_BASE_URL = if engine == null then null else engine.url;
      OPENAI_MODEL = model;
      # The client libraries want one where the engine asks for none.
      OPENAI_API_KEY =
        if cfg.secretEnv ? OPENAI_API_KEY || (engine != null && engine.apiKeySource != null) then
          null
        else
          "none";
    }
    // environment (arguments // { inherit model; });
  sharedSecrets =
    { cfg, stack, ... }:
    let
      engine = stack.engine cfg.engine;
    in
    {
      OPENAI_API_KEY = if engine == null then null else engine.apiKeySource;
    };
  warnings =
    {
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    let
      engine = stack.engine cfg.engine;
    in
    lib.optional (cfg.model == null && engine != null && engine.models == [ ])
      "${option}: the engine ${engine.name} names no model, so the program would ask for one of its own choice. Set ${option}.model.";
  assertions =
    {
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    [
      {
        assertion = cfg.engine == null || stack.engine cfg.engine != null;
        message = "${option}.engine = \"${toString cfg.engine}\" is none of the engines that are on (${
          lib.concatMapStringsSep ", " (e: e.name) stack.engines
        }): set services.aiStack.${toString cfg.engine}.enable = true, or name another one.";
      }
    ];
}
