{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  description = "runs language models and keeps a library of them";
  # Besides CUDA the plain image computes on the processor; ROCm has one of its own.
  image = {
    cpu = "ollama";
    rocm = "ollama-rocm";
  };
  ports.http = {
    container = 11434;
    host = 11434;
  };
  data.models = {
    path = "/root/.ollama";
    dir = "ollama";
  };
  probe.http = {
    port = "http";
    path = "/api/tags";
  };
  # The image has no HTTP client; `ollama list` asks the server for /api/tags.
  healthCommand = _: "ollama list";
  gpu = true;
  options = {
    parallel = mkOption {
      type = types.ints.positive;
      default = 4;
      description = "Requests that one model answers at the same time; each takes its own share of the context's memory.";
    };
    maxLoadedModels = mkOption {
      type = types.ints.positive;
      default = 2;
      description = "Models that stay in memory at the same time.";
    };
    keepAlive = mkOption {
      type = types.str;
      default = "5m";
      example = "-1";
      description = "How long an unused model stays in memory; -1: for ever.";
    };
  };
  environment =
    { cfg, ... }:
    {
      # Inside the container; what the host opens is `address`.
      OLLAMA_HOST = "0.0.0.0:11434";
      OLLAMA_NUM_PARALLEL = toString cfg.parallel;
      OLLAMA_MAX_LOADED_MODELS = toString cfg.maxLoadedModels;
      OLLAMA_KEEP_ALIVE = cfg.keepAlive;
    };
}
