{
  config,
  lib,
  option,
  ...
}:
let
  inherit (lib) mkOption types;
in
{
  options = {
    model = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "Qwen/Qwen2.5-7B-Instruct";
      description = "Repository on Hugging Face.";
    };
    revision = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Commit of the repository.";
    };
    maxBatchPrefillTokens = mkOption {
      type = types.ints.positive;
      default = 4096;
      description = "Largest number of prompt tokens in one batch.";
    };
  };

  config = {
    description = "Hugging Face's text generation server (archived by its makers)";
    lock.cuda = "tgi";
    ports.http = {
      container = 80;
      preferred = 8085;
    };
    # A separate cache: its files belong to this container's user ids.
    data.cache = {
      path = "/data";
      folder = "tgi-models";
    };
    health = {
      http = {
        port = "http";
        path = "/health";
      };
      client = "any";
      startTimeout = 7200;
    };
    resources = {
      shm = "1g";
      # torch starts hundreds of threads for each process on machines with many cores.
      pids = 16384;
    };
    gpu.supported = true;
    capabilities.NET_BIND_SERVICE = "its port in the container is 80";
    environment = {
      HF_HOME = "/data";
      # Enabled by default (huggingface/text-generation-inference, launcher/src/main.rs).
      USAGE_STATS = "off";
      HF_HUB_DISABLE_TELEMETRY = "1";
    };
    command = [
      "--model-id"
      (toString config.model)
      "--max-batch-prefill-tokens"
      (toString config.maxBatchPrefillTokens)
    ]
    ++ lib.optionals (config.revision != null) [
      "--revision"
      config.revision
    ]
    ++ config.extraArgs;
    openai = {
      rank = 5;
      models = [ (toString config.model) ];
    };
    checks."serves the declared model" = {
      http = {
        port = "http";
        path = "/info";
      };
      expect = toString config.model;
    };
    warnings = [
      "${option}: text-generation-inference was archived in March 2026 and gets no more fixes. Use vllm or llama-cpp, which serve the same models."
    ];
    assertions = [
      {
        assertion = config.model != null;
        message = "${option}.model is not set: name a repository on Hugging Face.";
      }
    ];
  };
}
