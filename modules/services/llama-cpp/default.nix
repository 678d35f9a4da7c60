{ lib, ... }:
let
  inherit (lib) mkOption types;

  modelsInContainer = "/models";

  cacheTypes = [
    "f32"
    "f16"
    "bf16"
    "q8_0"
    "q5_1"
    "q5_0"
    "q4_1"
    "q4_0"
    "iq4_nl"
  ];
  quantised =
    type:
    !(builtins.elem type [
      "f32"
      "f16"
      "bf16"
    ]);

  # What the model needs in MiB, where its shape is given.
  needed =
    { cfg, lib, ... }:
    let
      fit = import ../../stack/fit.nix { inherit lib; };
    in
    if cfg.shape == null then
      null
    else
      fit {
        inherit (cfg)
          shape
          contextSize
          parallel
          ubatchSize
          cacheTypeK
          cacheTypeV
          ;
        flashAttention = cfg.flashAttention != "off";
        device = cfg.gpu.backend != "cpu";
      };

  # A name below the folder of models, whether it was written as one, as a whole path, or
  # as the name of an entry of `services.aiStack.models`.
  relative =
    { cfg, stack, ... }:
    if declared cfg stack then
      lib.removePrefix "${cfg.data.models}/" stack.models.${cfg.model}.path
    else
      # null has an assertion of its own, which an error here would hide.
      lib.removePrefix "${cfg.data.models}/" (toString cfg.model);
  # The name that clients ask for: a declared one, so that those that need a name have it.
  served =
    { cfg, name, ... }:
    if cfg.alias == null then name else cfg.alias;
  declared = cfg: stack: stack.models ? ${toString cfg.model};
  inModels = cfg: !(lib.hasPrefix "/" cfg.model) || lib.hasPrefix "${cfg.data.models}/" cfg.model;
in
{
  description = "OpenAI-compatible server for one GGUF model";
  image = {
    cpu = "llama-cpp-cpu";
    cuda = "llama-cpp-cuda";
    rocm = "llama-cpp-rocm";
    vulkan = "llama-cpp-vulkan";
    sycl = "llama-cpp-intel";
  };
  ports.http = {
    container = 8080;
    host = 8080;
  };
  data.models = {
    path = modelsInContainer;
    dir = "models";
    readOnly = true;
    mode = "0755";
  };
  readOnlyRoot = true;
  probe.http = {
    port = "http";
    path = "/health";
  };
  client = "curl";
  # A large model is read from a slow disk once.
  startTimeout = 900;
  gpu = true;
  # Locked pages (`mlock`); the limit of a rootless container is its user's and cannot be raised here.
  ulimits = { stack, lib, ... }: lib.optional (stack.scope == "system") "memlock=-1:-1";
  options = {
    model = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "qwen2.5-7b-instruct-q4_k_m.gguf";
      description = "GGUF file in `data.models`, of a split model the first part; or the name of an entry of `services.aiStack.models`.";
    };
    shape = mkOption {
      type = types.nullOr (types.either types.path (types.attrsOf types.anything));
      default = null;
      apply = v: if v == null || builtins.isAttrs v then v else lib.importJSON v;
      example = lib.literalExpression "./model.shape.json";
      description = "The model's shape, from `aistack fit MODEL.gguf --json`: with it evaluation warns when weights and KV cache cannot fit.";
    };
    contextSize = mkOption {
      type = types.ints.unsigned;
      default = 8192;
      description = "Context in tokens, divided by `parallel`: each of 4 slots gets a quarter of it. 0: the model's own.";
    };
    parallel = mkOption {
      type = types.ints.positive;
      default = 4;
      description = "Slots, that is requests answered at the same time.";
    };
    flashAttention = mkOption {
      type = types.enum [
        "on"
        "off"
        "auto"
      ];
      default = "on";
      description = "Flash attention. Quantised values in the KV cache need it.";
    };
    cacheTypeK = mkOption {
      type = types.enum cacheTypes;
      default = "q4_0";
      description = "Type of the keys in the KV cache.";
    };
    cacheTypeV = mkOption {
      type = types.enum cacheTypes;
      default = "q4_0";
      description = "Type of the values in the KV cache.";
    };
    batchSize = mkOption {
      type = types.ints.positive;
      default = 512;
      description = "Logical batch in tokens.";
    };
    ubatchSize = mkOption {
      type = types.ints.positive;
      default = 128;
      description = "Physical batch in tokens; it bounds the compute buffers.";
    };
    contBatching = mkOption {
      type = types.bool;
      default = true;
      description = "Let new requests join a running batch.";
    };
    mlock = mkOption {
      type = types.bool;
      default = true;
      description = "Keep the model in memory. In user scope the user's limit of locked memory must allow it; else the server says so and goes on.";
    };
    cacheRam = mkOption {
      type = types.ints.between (-1) 1048576;
      default = 1024;
      description = "Host memory in MiB for the states of past prompts, on top of the KV cache. 0: none; -1: no limit. The server's own default is 8192.";
    };
    numa = mkOption {
      type = types.nullOr (
        types.enum [
          "distribute"
          "isolate"
          "numactl"
        ]
      );
      default = "distribute";
      description = "How threads are spread over NUMA nodes; of no effect on a machine with one.";
    };
    metrics = mkOption {
      type = types.bool;
      default = true;
      description = "Offer Prometheus metrics at /metrics.";
    };
    gpuLayers = mkOption {
      type = types.ints.unsigned;
      default = 999;
      description = "Layers to put on the GPU; more than the model has means all. Not used without one.";
    };
    threads = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = "Processor threads; null: one for each core.";
    };
    alias = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Name under which clients see the model; null: the service's name.";
    };
  };
  gpuMemory = needed;
  warnings =
    arguments@{
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    let
      total = if stack.facts == null then null else stack.facts.memory.totalMiB or null;
      mib = needed arguments;
    in
    lib.optional (cfg.gpu.backend == "cpu" && mib != null && total != null && mib > total)
      "${option}: ${toString cfg.model} needs about ${toString mib} MiB with a context of ${toString cfg.contextSize} tokens, and this machine has ${toString total} MiB of memory. Take a smaller contextSize, a smaller model, or a stronger quantisation (`aistack fit` says what fits).";
  metrics =
    { cfg, ... }:
    if !cfg.metrics then
      null
    else
      {
        port = "http";
        path = "/metrics";
        tokenVariable = "LLAMA_API_KEY";
        panels = [
          {
            title = "llama.cpp: tokens written each second";
            expr = "llamacpp:predicted_tokens_seconds";
          }
          {
            title = "llama.cpp: requests waiting";
            expr = "llamacpp:requests_deferred";
          }
        ];
      };
  engineRank = 2;
  openai = arguments: {
    models = [ (served arguments) ];
    apiKey = "LLAMA_API_KEY";
  };
  command =
    arguments@{ cfg, lib, ... }:
    let
      flag = name: value: [
        "--${name}"
        (toString value)
      ];
    in
    lib.concatLists [
      (flag "model" "${modelsInContainer}/${relative arguments}")
      (flag "host" "0.0.0.0")
      (flag "port" (arguments.port "http"))
      (flag "ctx-size" cfg.contextSize)
      (flag "parallel" cfg.parallel)
      (flag "flash-attn" cfg.flashAttention)
      (flag "cache-type-k" cfg.cacheTypeK)
      (flag "cache-type-v" cfg.cacheTypeV)
      (flag "batch-size" cfg.batchSize)
      (flag "ubatch-size" cfg.ubatchSize)
      [ (if cfg.contBatching then "--cont-batching" else "--no-cont-batching") ]
      # What was --mlock until b10884.
      (lib.optionals cfg.mlock (flag "load-mode" "mmap+mlock"))
      (flag "cache-ram" cfg.cacheRam)
      (lib.optionals (cfg.numa != null) (flag "numa" cfg.numa))
      (lib.optional cfg.metrics "--metrics")
      (lib.optionals (cfg.gpu.backend != "cpu") (flag "n-gpu-layers" cfg.gpuLayers))
      (lib.optionals (cfg.threads != null) (flag "threads" cfg.threads))
      (flag "alias" (served arguments))
      cfg.extraArgs
    ];
  files =
    arguments@{
      cfg,
      stack,
      option,
      ...
    }:
    [
      (
        {
          path = "${cfg.data.models}/${relative arguments}";
          option = "${option}.model";
        }
        // lib.optionalAttrs (declared cfg stack) { inherit (stack.models.${cfg.model}) unit; }
      )
    ];
  assertions =
    {
      cfg,
      stack,
      option,
      ...
    }:
    [
      {
        assertion =
          !(declared cfg stack) || lib.hasPrefix "${cfg.data.models}/" stack.models.${cfg.model}.path;
        message = "${option}.model = \"${toString cfg.model}\" is an entry of services.aiStack.models, which lie in ${stack.modelsDir}, and the container sees ${cfg.data.models}: set ${option}.data.models = \"${stack.modelsDir}\".";
      }
      {
        assertion = cfg.model != null;
        message = "${option}.model is not set: name a GGUF file in ${cfg.data.models} (${option}.data.models).";
      }
      {
        assertion = cfg.model == null || inModels cfg;
        message = "${option}.model = \"${toString cfg.model}\" lies in no folder that the container sees: it sees ${cfg.data.models} (${option}.data.models). Move the file there, or set ${option}.data.models = \"${builtins.dirOf (toString cfg.model)}\".";
      }
      {
        # Keys alone may be quantised without it.
        assertion = quantised cfg.cacheTypeV -> cfg.flashAttention == "on";
        message = "${option}: quantised values in the KV cache (cacheTypeV = ${cfg.cacheTypeV}) need flash attention, which is \"${cfg.flashAttention}\". Set ${option}.flashAttention = \"on\", or ${option}.cacheTypeV = \"f16\".";
      }
      {
        assertion = cfg.ubatchSize <= cfg.batchSize;
        message = "${option}.ubatchSize = ${toString cfg.ubatchSize} is larger than batchSize = ${toString cfg.batchSize}: lower the one or raise the other.";
      }
    ];
  authenticated = { cfg, ... }: cfg.secretEnv ? LLAMA_API_KEY;
  authHint = "set secretEnv.LLAMA_API_KEY to the path of a file with an API key";
}
