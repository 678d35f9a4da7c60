# A kind of service: an agent with an image of the user's own. It has a workspace, a port with
# a health address, and an engine of the stack that it talks to.
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
      # The client libraries want one where the engine asks for none.
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
