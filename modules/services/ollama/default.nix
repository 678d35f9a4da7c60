{
  config,
  lib,
  option,
  stack,
  ...
}:
let
  inherit (lib) mkOption types;

  modelsInContainer = "/models";
  unknown = lib.filter (name: !(stack.models ? ${name})) config.importModels;
in
{
  options = {
    models = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9][A-Za-z0-9._/-]*(:[A-Za-z0-9._-]+)?");
      default = [ ];
      example = [ "llama3.2:3b" ];
      description = "Models of Ollama's library that the loader unit downloads after the switch. The library identifies models by name, without a hash: to pin a model by hash use `importModels`.";
    };
    importModels = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Entries of `services.aiStack.models` (GGUF files) that are imported into Ollama under the same names.";
    };
    parallel = mkOption {
      type = types.ints.positive;
      default = 4;
      description = "Number of requests that one model answers at the same time. Each request takes its own share of the context's memory.";
    };
    maxLoadedModels = mkOption {
      type = types.ints.positive;
      default = 2;
      description = "Number of models that can be in memory at the same time.";
    };
    keepAlive = mkOption {
      type = types.str;
      default = "5m";
      example = "-1";
      description = "How long an unused model stays in memory. `-1`: no limit.";
    };
  };

  config = {
    description = "runs language models and keeps a library of them";
    # The default image supports CUDA and the processor; ROCm has a separate image.
    lock = {
      cpu = "ollama";
      rocm = "ollama-rocm";
    };
    ports.http.container = 11434;
    data = {
      models.path = "/root/.ollama";
      # The files of `importModels`.
      store = {
        path = modelsInContainer;
        folder = "models";
        readOnly = true;
        mode = "0755";
      };
    };
    health = {
      http = {
        port = "http";
        path = "/api/tags";
      };
      # The image has no HTTP client; `ollama list` requests /api/tags from the server.
      command = "ollama list";
    };
    gpu.supported = true;
    openai = {
      rank = 4;
      models = config.models ++ config.importModels;
      anyModel = true;
    };
    loader = {
      command = "ollama-load";
      names = config.models;
      imports = map (name: {
        inherit name;
        path = "${modelsInContainer}/${stack.models.${name}.fileName}";
        inherit (stack.models.${name}) unit;
      }) config.importModels;
    };
    environment = {
      # The address inside the container; `address` is the one on the host.
      OLLAMA_HOST = "0.0.0.0:${toString config.ports.http.container}";
      OLLAMA_NUM_PARALLEL = toString config.parallel;
      OLLAMA_MAX_LOADED_MODELS = toString config.maxLoadedModels;
      OLLAMA_KEEP_ALIVE = config.keepAlive;
      # No models that run on Ollama's servers, and no web search (ollama, envconfig/config.go).
      OLLAMA_NO_CLOUD = "1";
    };
    checks."lists its models" = {
      http = {
        port = "http";
        path = "/api/tags";
      };
      expect = "models";
    };
    assertions = [
      {
        assertion = unknown == [ ];
        message = "${option}.importModels: ${lib.concatStringsSep ", " unknown} is missing in services.aiStack.models (it has: ${lib.concatStringsSep ", " (builtins.attrNames stack.models)}).";
      }
    ];
  };
}
