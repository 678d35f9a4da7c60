# A kind of service: an agent with an image that the user provides. It has a workspace, a port with
# a health endpoint, and an engine of the stack that it uses.
{
  config,
  lib,
  option,
  stack,
  ...
}:
let
  inherit (lib) mkOption types;

  engine = stack.engine config.engine;
in
{
  options = {
    model = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Model that the agent requests. `null`: the first model of the engine.";
    };
    engine = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "llama-cpp";
      description = "Engine of the stack that the agent uses. `null`: the enabled engine with the best rank.";
    };
    modelName = mkOption {
      type = types.nullOr types.str;
      internal = true;
      readOnly = true;
      default =
        if config.model != null then
          config.model
        else if engine == null || engine.models == [ ] then
          null
        else
          lib.head engine.models;
      description = "Model that the program requests: `model`, or the first model of the engine.";
    };
  };

  config = {
    ports.http.container = 8080;
    data.workspace.path = "/workspace";
    health.http = {
      port = "http";
      path = "/health";
    };
    health.client = "any";
    resources.memory = "4g";
    wants = stack.engineNames;
    environment = {
      PORT = toString config.ports.http.container;
      OPENAI_API_BASE = if engine == null then null else engine.url;
      OPENAI_BASE_URL = if engine == null then null else engine.url;
      OPENAI_MODEL = config.modelName;
      # The client libraries require a key even if the engine needs none.
      OPENAI_API_KEY =
        if config.secretEnv ? OPENAI_API_KEY || (engine != null && engine.apiKeySource != null) then
          null
        else
          "none";
    };
    secrets.OPENAI_API_KEY = {
      description = "key of the engine";
      source = if engine == null then null else engine.apiKeySource;
    };
    checks = lib.optionalAttrs (config.health.http != null) {
      answers = {
        inherit (config.health) http;
        expect = "ok";
      };
    };
    warnings =
      lib.optional (config.model == null && engine != null && engine.models == [ ])
        "${option}: the engine ${engine.name} declares no model, so the program would choose one by itself. Set ${option}.model.";
    assertions = [
      {
        assertion = config.engine == null || engine != null;
        message = "${option}.engine = \"${toString config.engine}\" is not an enabled engine (enabled: ${
          lib.concatMapStringsSep ", " (e: e.name) stack.engines
        }): set services.aiStack.${toString config.engine}.enable = true, or choose another engine.";
      }
    ];
  };
}
