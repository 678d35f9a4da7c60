{
  config,
  lib,
  option,
  stack,
  util,
  ...
}:
let
  inherit (lib) mkOption types;

  gpus = import ../../stack/gpu.nix { inherit lib; };
  modelsInContainer = "/models";
  cache = "/root/.cache/huggingface";

  # Whether the model is in the stack's model store. If not, the server downloads a repository.
  local = stack.models ? ${toString config.model};
  servedModel = toString (
    if config.servedModelName == null then config.model else config.servedModelName
  );

  slots = gpus.claimed {
    inherit (config.gpu) backend;
    inherit (config) gpus;
    inherit (stack.gpu) cards;
  };
  # In MiB.
  cardSizes = lib.concatMap (
    c: lib.optional (builtins.elem c.slot slots && c.vramMiB != null) c.vramMiB
  ) stack.gpu.cards;

  tag = toString (util.parseImage config.image).tag;
  # "v0.30.0", or AMD's "rocm7..._vllm_0.23.0".
  version = builtins.match "(v|.*_vllm_)([0-9]+\\.[0-9.]+)" tag;
  # vLLM 0.24 removed GGUF (vllm-project/vllm, pull request 39612). An entry of `models` is a
  # single file, which for vLLM can only be GGUF.
  noGguf = version != null && lib.versionAtLeast (lib.last version) "0.24";
  # gfx9xx with three hex digits: Instinct (and Vega). AMD has an image for each of two families.
  instinct = lib.filter (
    c: builtins.elem c.slot slots && builtins.match "gfx9[0-9a-f]{2}" (toString c.gfxTarget) != null
  ) stack.gpu.cards;
in
{
  options = {
    model = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "Qwen/Qwen2.5-7B-Instruct";
      description = "Repository on Hugging Face, or the name of an entry of `services.aiStack.models`.";
    };
    revision = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Commit of the repository. Without it the repository's owner can replace the model at any time.";
    };
    servedModelName = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Name under which clients see the model. `null`: the value of `model`.";
    };
    gpuMemoryUtilization = mkOption {
      type = types.numbers.between 0.05 1;
      default = 0.85;
      description = "Share of each GPU's memory that the server uses. On a GPU that other programs use too, 0.75 and `maxModelLen = 4096` leave room for them.";
    };
    maxModelLen = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 8192;
      description = "Longest context in tokens. `null`: the model's own. The server refuses to start with more than the model's own.";
    };
    tensorParallelSize = mkOption {
      type = types.ints.positive;
      default = 1;
      description = "Number of GPUs over which the model is split.";
    };
    allowCpu = mkOption {
      type = types.bool;
      default = false;
      description = "Run without a GPU. Needs an `image` for the processor.";
    };
  };

  config = {
    description = "OpenAI-compatible server for many requests at a time, on a GPU";
    lock = {
      cuda = "vllm-cuda";
      rocm = "vllm-rocm";
    };
    ports.http.container = 8000;
    data = {
      # The cache of Hugging Face.
      cache = {
        path = cache;
        folder = "vllm-models";
      };
      models = {
        path = modelsInContainer;
        folder = "models";
        readOnly = true;
        mode = "0755";
      };
    };
    health = {
      http = {
        port = "http";
        path = "/health";
      };
      client = "python";
      # The first start downloads the model if it is not in the store.
      startTimeout = 7200;
    };
    metrics = {
      port = "http";
      secret = "VLLM_API_KEY";
      panels = [
        {
          title = "vLLM: requests running";
          expr = "vllm:num_requests_running";
        }
        {
          title = "vLLM: KV cache in use";
          expr = "vllm:kv_cache_usage_perc";
          unit = "percentunit";
        }
      ];
    };
    secrets.VLLM_API_KEY = {
      description = "key that clients must send";
      header = "authorization";
    };
    # Worker processes exchange tensors through /dev/shm.
    resources = {
      shm = "4g";
      # torch's compiler starts hundreds of threads for each process on machines with many cores.
      pids = 16384;
    };
    gpu = {
      supported = true;
      # vLLM reserves its share of each card, independent of the model's size.
      memoryMiB =
        if config.gpu.backend == "cpu" || cardSizes == [ ] then
          null
        else
          builtins.floor (config.gpuMemoryUtilization * lib.foldl' lib.min (lib.head cardSizes) cardSizes);
    };
    environment = {
      HF_HOME = cache;
      # Compiled code. Without it each new container compiles for minutes.
      VLLM_CACHE_ROOT = "${cache}/vllm";
      VLLM_NO_USAGE_STATS = "1";
      DO_NOT_TRACK = "1";
      HF_HUB_OFFLINE = if local then "1" else null;
    };
    files = lib.optional local {
      inherit (stack.models.${config.model}) path unit;
      option = "${option}.model";
    };
    command =
      # AMD's image has no entry point.
      lib.optionals (config.gpu.backend == "rocm") [
        "vllm"
        "serve"
      ]
      ++ [
        (
          if local then
            "${modelsInContainer}/${stack.models.${config.model}.fileName}"
          else
            toString config.model
        )
        "--host"
        "0.0.0.0"
        "--port"
        (toString config.ports.http.container)
        "--served-model-name"
        servedModel
        "--gpu-memory-utilization"
        (lib.strings.floatToString config.gpuMemoryUtilization)
        "--tensor-parallel-size"
        (toString config.tensorParallelSize)
      ]
      ++ lib.optionals (config.maxModelLen != null) [
        "--max-model-len"
        (toString config.maxModelLen)
      ]
      ++ lib.optionals (config.revision != null && !local) [
        "--revision"
        config.revision
      ]
      ++ config.extraArgs;
    openai = {
      rank = 3;
      models = [ servedModel ];
    };
    # The key protects the paths below /v1; /invocations, /tokenize, /metrics and others stay open
    # (vllm-project/vllm, docs/usage/security.md).
    authenticated = false;
    authHint = "set secretEnv.VLLM_API_KEY for the paths below /v1, and put a reverse proxy before it that lets only those through";
    checks."lists its model" = {
      http = {
        port = "http";
        path = "/v1/models";
      };
      expect = servedModel;
    };
    warnings =
      lib.optional (config.model != null && !local && config.revision == null)
        "${option}.model = \"${config.model}\" has no revision, so the repository's owner can replace the model at any time: set ${option}.revision to a commit.";
    assertions = [
      {
        assertion = !(local && noGguf);
        message = "${option}.model = \"${toString config.model}\" is an entry of services.aiStack.models, which is a GGUF file, and vLLM has not read GGUF files since 0.24 (the image is ${tag}). Serve it with services.aiStack.llama-cpp.model, or name a repository on Hugging Face here.";
      }
      {
        assertion = !(config.gpu.backend == "rocm" && instinct != [ ] && lib.hasInfix "_rdna_" tag);
        message = "${option}.image = \"${toString config.image}\" is AMD's image for RDNA cards, and ${
          lib.concatMapStringsSep ", " (c: "${c.slot} (${c.gfxTarget})") instinct
        } belongs to another family (CDNA). Set ${option}.image to AMD's image with _cdna_ in its tag, or ${option}.gpus to the other cards.";
      }
      {
        assertion = config.model != null;
        message = "${option}.model is not set: name a repository on Hugging Face or an entry of services.aiStack.models.";
      }
      {
        assertion = config.allowCpu || config.gpu.backend == "cuda" || config.gpu.backend == "rocm";
        message = "${option} needs an NVIDIA or AMD GPU, and its backend here is ${config.gpu.backend}. Use llama-cpp on this machine; or, with an image for the processor, set ${option}.allowCpu = true.";
      }
    ];
  };
}
