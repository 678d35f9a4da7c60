{ lib, ... }:
let
  inherit (lib) mkOption types;
  gpus = import ../../stack/gpu.nix { inherit lib; };
  modelsInContainer = "/models";
  # A model of the stack's own store, or a repository that the server fetches itself.
  local = { cfg, stack, ... }: stack.models ? ${toString cfg.model};
in
{
  description = "OpenAI-compatible server for many requests at a time, on a GPU";
  image = {
    cuda = "vllm-cuda";
    rocm = "vllm-rocm";
  };
  ports.http = {
    container = 8000;
    host = 8000;
  };
  data = {
    # The cache of Hugging Face.
    cache = {
      path = "/root/.cache/huggingface";
      dir = "vllm-models";
    };
    models = {
      path = modelsInContainer;
      dir = "models";
      readOnly = true;
      mode = "0755";
    };
  };
  probe.http = {
    port = "http";
    path = "/health";
  };
  client = "python";
  metrics = {
    port = "http";
    path = "/metrics";
    tokenVariable = "VLLM_API_KEY";
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
  # The first start fetches the model, where it is not in the store.
  startTimeout = 7200;
  # Worker processes hand each other tensors through it.
  resources = {
    shm = "4g";
    # torch's compiler starts hundreds of threads for each process on machines with many cores.
    pids = 16384;
  };
  gpu = true;
  gpuMemory =
    {
      cfg,
      stack,
      lib,
      ...
    }:
    let
      inherit (stack.gpu) cards;
      slots = gpus.claimed {
        inherit (cfg.gpu) backend;
        inherit (cfg) gpus;
        inherit cards;
      };
      sizes = lib.concatMap (
        c: lib.optional (builtins.elem c.slot slots && (c.vramMiB or null) != null) c.vramMiB
      ) cards;
    in
    # It takes its share of each card, whatever the model needs.
    if sizes == [ ] then
      null
    else
      builtins.floor (cfg.gpuMemoryUtilization * lib.foldl' lib.min (lib.head sizes) sizes);
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
      description = "Commit of the repository. Without it the model may be another one tomorrow.";
    };
    servedModelName = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Name under which clients see the model; null: `model`.";
    };
    gpuMemoryUtilization = mkOption {
      type = types.numbers.between 0.05 1;
      default = 0.85;
      description = "Share of each GPU's memory that the server takes. When it is not enough: 0.75 and `maxModelLen = 4096` leave room for others.";
    };
    maxModelLen = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      example = 8192;
      description = "Longest context in tokens; null: the model's own. More than the model's own is refused by the server.";
    };
    tensorParallelSize = mkOption {
      type = types.ints.positive;
      default = 1;
      description = "GPUs that the model is spread over.";
    };
    allowCpu = mkOption {
      type = types.bool;
      default = false;
      description = "Run without a GPU; give an `image` that can.";
    };
  };
  environment =
    arguments@{ lib, ... }:
    {
      HF_HOME = "/root/.cache/huggingface";
      # Compiled code, which each new container would otherwise compile again for minutes.
      VLLM_CACHE_ROOT = "/root/.cache/huggingface/vllm";
      VLLM_NO_USAGE_STATS = "1";
      DO_NOT_TRACK = "1";
      HF_HUB_OFFLINE = if local arguments then "1" else null;
    };
  files =
    arguments@{
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    lib.optional (local arguments) {
      inherit (stack.models.${cfg.model}) path unit;
      option = "${option}.model";
    };
  command =
    arguments@{
      cfg,
      stack,
      lib,
      ...
    }:
    # AMD's image has no entry point.
    lib.optionals (cfg.gpu.backend == "rocm") [
      "vllm"
      "serve"
    ]
    ++ [
      (
        if local arguments then
          "${modelsInContainer}/${stack.models.${cfg.model}.fileName}"
        else
          toString cfg.model
      )
      "--host"
      "0.0.0.0"
      "--port"
      (toString (arguments.port "http"))
      "--served-model-name"
      (toString (if cfg.servedModelName == null then cfg.model else cfg.servedModelName))
      "--gpu-memory-utilization"
      (lib.strings.floatToString cfg.gpuMemoryUtilization)
      "--tensor-parallel-size"
      (toString cfg.tensorParallelSize)
    ]
    ++ lib.optionals (cfg.maxModelLen != null) [
      "--max-model-len"
      (toString cfg.maxModelLen)
    ]
    ++ lib.optionals (cfg.revision != null && !(local arguments)) [
      "--revision"
      cfg.revision
    ]
    ++ cfg.extraArgs;
  engineRank = 3;
  openai =
    { cfg, ... }:
    {
      models = [ (toString (if cfg.servedModelName == null then cfg.model else cfg.servedModelName)) ];
      embedding = false;
    };
  assertions =
    arguments@{
      cfg,
      stack,
      option,
      lib,
      util,
      ...
    }:
    let
      tag = toString (util.parseImage cfg.image).tag;
      # "v0.30.0", or AMD's "rocm7..._vllm_0.23.0".
      version = builtins.match "(v|.*_vllm_)([0-9]+\\.[0-9.]+)" tag;
      # GGUF left vLLM's tree with 0.24 (vllm-project/vllm, pull request 39612); an entry of
      # `models` is one file, which can be nothing else.
      noGguf = version != null && lib.versionAtLeast (lib.last version) "0.24";
      slots = gpus.claimed {
        inherit (cfg.gpu) backend;
        inherit (cfg) gpus;
        inherit (stack.gpu) cards;
      };
      # gfx9xx with three hex digits: Instinct (and Vega). AMD has images of two families.
      instinct = lib.filter (
        c:
        builtins.elem c.slot slots
        && builtins.match "gfx9[0-9a-f]{2}" (toString (c.gfxTarget or null)) != null
      ) stack.gpu.cards;
    in
    [
      {
        assertion = !(local arguments && noGguf);
        message = "${option}.model = \"${toString cfg.model}\" is an entry of services.aiStack.models, that is one GGUF file, and vLLM reads none since 0.24 (the image is ${tag}). Serve it with services.aiStack.llama-cpp.model, or name a repository on Hugging Face here.";
      }
      {
        assertion = !(cfg.gpu.backend == "rocm" && instinct != [ ] && lib.hasInfix "_rdna_" tag);
        message = "${option}.image = \"${toString cfg.image}\" is AMD's image for RDNA cards, and ${
          lib.concatMapStringsSep ", " (c: "${c.slot} (${c.gfxTarget})") instinct
        } is of another family (CDNA). Set ${option}.image to AMD's image with _cdna_ in its tag, or ${option}.gpus to the other cards.";
      }
      {
        assertion = cfg.model != null;
        message = "${option}.model is not set: name a repository on Hugging Face or an entry of services.aiStack.models.";
      }
      {
        assertion = cfg.allowCpu || cfg.gpu.backend == "cuda" || cfg.gpu.backend == "rocm";
        message = "${option} needs an NVIDIA or AMD GPU, and its backend here is ${cfg.gpu.backend}. Use llama-cpp on this machine; or, with an image that can compute on the processor, set ${option}.allowCpu = true.";
      }
    ];
  warnings =
    arguments@{
      cfg,
      option,
      lib,
      ...
    }:
    lib.optional (cfg.model != null && !(local arguments) && cfg.revision == null)
      "${option}.model = \"${cfg.model}\" without a revision is whatever the repository holds today: set ${option}.revision to a commit.";
  # Its key guards the paths below /v1; /invocations, /tokenize, /metrics and others stay open
  # (vllm-project/vllm, docs/usage/security.md).
  authenticated = _: false;
  authHint = "set secretEnv.VLLM_API_KEY for the paths below /v1, and put a reverse proxy before it that lets only those through";
}
