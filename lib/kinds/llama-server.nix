# A kind of service: llama.cpp's server for one GGUF model.
{
  config,
  lib,
  name,
  option,
  stack,
  ...
}:
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

  # Memory that the model needs in MiB, or null without its shape.
  needed =
    if config.shape == null then
      null
    else
      import ../../modules/stack/fit.nix { inherit lib; } {
        inherit (config)
          shape
          contextSize
          parallel
          ubatchSize
          cacheTypeK
          cacheTypeV
          ;
        flashAttention = config.flashAttention != "off";
        device = config.gpu.backend != "cpu";
      };
  totalMiB = if stack.facts == null then null else stack.facts.memory.totalMiB;

  folder = config.data.models.host;
  declared = stack.models ? ${toString config.model};
  inModels = !(lib.hasPrefix "/" config.model) || lib.hasPrefix "${folder}/" config.model;
  # The model's path below the folder of models. The option can be such a path, an absolute path, or
  # the name of an entry of `services.aiStack.models`.
  relative =
    if declared then
      lib.removePrefix "${folder}/" stack.models.${config.model}.path
    else
      # An assertion reports null; an error here would hide that message.
      lib.removePrefix "${folder}/" (toString config.model);
  # The model name for clients. It is always set, for clients that need a name.
  served = if config.alias == null then name else config.alias;

  flag = name: value: [
    "--${name}"
    (toString value)
  ];
in
{
  options = {
    model = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "qwen2.5-7b-instruct-q4_k_m.gguf";
      description = "GGUF file in `data.models` (the first part, if the model is split), or the name of an entry of `services.aiStack.models`.";
    };
    shape = mkOption {
      type = types.nullOr (types.either types.path (types.attrsOf types.anything));
      default = null;
      apply = v: if v == null || builtins.isAttrs v then v else lib.importJSON v;
      example = lib.literalExpression "./model.shape.json";
      description = "Shape of the model, from `aistack fit MODEL.gguf --json`. With it, evaluation warns when weights and KV cache do not fit into memory.";
    };
    contextSize = mkOption {
      type = types.ints.unsigned;
      default = 8192;
      description = "Context in tokens, shared by the slots of `parallel`: each of 4 slots gets a quarter of it. `0`: the model's own context.";
    };
    parallel = mkOption {
      type = types.ints.positive;
      default = 4;
      description = "Number of slots: requests that the server answers at the same time.";
    };
    flashAttention = mkOption {
      type = types.enum [
        "on"
        "off"
        "auto"
      ];
      default = "on";
      description = "Flash attention. A quantised `cacheTypeV` needs it.";
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
      description = "Physical batch in tokens. It limits the size of the compute buffers.";
    };
    contBatching = mkOption {
      type = types.bool;
      default = true;
      description = "Allow new requests to join a running batch.";
    };
    mlock = mkOption {
      type = types.bool;
      default = true;
      description = "Lock the model in memory, so that it is never swapped out. In user scope the user's limit of locked memory must allow it. If it does not, the server prints a warning and continues.";
    };
    cacheRam = mkOption {
      type = types.ints.between (-1) 1048576;
      default = 1024;
      description = "Host memory in MiB for the states of past prompts, in addition to the KV cache. `0`: no states are kept. `-1`: no limit. The server's own default is 8192.";
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
      description = "How threads are distributed over NUMA nodes. No effect on a machine with one node.";
    };
    gpuLayers = mkOption {
      type = types.ints.unsigned;
      default = 999;
      description = "Number of layers on the GPU. A number above the model's layers means all of them. Ignored without a GPU.";
    };
    threads = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = "Number of processor threads. `null`: one for each core.";
    };
    modeArgs = mkOption {
      type = types.listOf types.str;
      internal = true;
      default = [ ];
      description = "Arguments that the kind of server needs, after `extraArgs`.";
    };
    alias = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Name under which clients see the model. `null`: the service's name.";
    };
  };

  config = {
    lock = {
      cpu = "llama-cpp-cpu";
      cuda = "llama-cpp-cuda";
      rocm = "llama-cpp-rocm";
      vulkan = "llama-cpp-vulkan";
      sycl = "llama-cpp-intel";
    };
    ports.http.container = 8080;
    data.models = {
      path = modelsInContainer;
      folder = "models";
      readOnly = true;
      mode = "0755";
    };
    readOnlyRoot = true;
    health = {
      http = {
        port = "http";
        path = "/health";
      };
      client = "curl";
      # A large model is read from a slow disk once.
      startTimeout = 900;
    };
    gpu = {
      supported = true;
      memoryMiB = if config.gpu.backend == "cpu" then null else needed;
    };
    # For `mlock`. A rootless container has its user's limit, which cannot be raised here.
    ulimits = lib.optional (stack.scope == "system") "memlock=-1:-1";
    secrets.LLAMA_API_KEY = {
      description = "key that clients must send";
      header = "authorization";
    };
    metrics = {
      port = "http";
      secret = "LLAMA_API_KEY";
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
    openai = {
      models = [ served ];
      secret = "LLAMA_API_KEY";
    };
    command = lib.concatLists [
      (flag "model" "${modelsInContainer}/${relative}")
      (flag "host" "0.0.0.0")
      (flag "port" config.ports.http.container)
      (flag "ctx-size" config.contextSize)
      (flag "parallel" config.parallel)
      (flag "flash-attn" config.flashAttention)
      (flag "cache-type-k" config.cacheTypeK)
      (flag "cache-type-v" config.cacheTypeV)
      (flag "batch-size" config.batchSize)
      (flag "ubatch-size" config.ubatchSize)
      [ (if config.contBatching then "--cont-batching" else "--no-cont-batching") ]
      # The argument was --mlock until b10884.
      (lib.optionals config.mlock (flag "load-mode" "mmap+mlock"))
      (flag "cache-ram" config.cacheRam)
      (lib.optionals (config.numa != null) (flag "numa" config.numa))
      (lib.optional config.metrics.enable "--metrics")
      (lib.optionals (config.gpu.backend != "cpu") (flag "n-gpu-layers" config.gpuLayers))
      (lib.optionals (config.threads != null) (flag "threads" config.threads))
      (flag "alias" served)
      config.extraArgs
      config.modeArgs
    ];
    files = [
      (
        {
          path = "${folder}/${relative}";
          option = "${option}.model";
        }
        // lib.optionalAttrs declared { inherit (stack.models.${config.model}) unit; }
      )
    ];
    authenticated = config.secretEnv ? LLAMA_API_KEY;
    authHint = "set secretEnv.LLAMA_API_KEY to the path of a file with an API key";
    checks = lib.optionalAttrs config.metrics.enable {
      "offers metrics" = {
        http = {
          inherit (config.metrics) port path;
        };
        expect = "llamacpp:";
      };
    };
    warnings =
      lib.optional
        (config.gpu.backend == "cpu" && needed != null && totalMiB != null && needed > totalMiB)
        "${option}: ${toString config.model} needs about ${toString needed} MiB with a context of ${toString config.contextSize} tokens, and this machine has ${toString totalMiB} MiB of memory. Use a smaller contextSize, a smaller model, or a stronger quantisation (`aistack fit` shows what fits).";
    assertions = [
      {
        assertion = !declared || lib.hasPrefix "${folder}/" stack.models.${config.model}.path;
        message = "${option}.model = \"${toString config.model}\" is an entry of services.aiStack.models, whose files are in ${stack.modelsDir}, and the container sees ${folder}: set ${option}.data.models = \"${stack.modelsDir}\".";
      }
      {
        assertion = config.model != null;
        message = "${option}.model is not set: name a GGUF file in ${folder} (${option}.data.models).";
      }
      {
        assertion = config.model == null || inModels;
        message = "${option}.model = \"${toString config.model}\" is in a folder that is not mounted into the container: the container sees ${folder} (${option}.data.models). Move the file there, or set ${option}.data.models = \"${builtins.dirOf (toString config.model)}\".";
      }
      {
        # Without flash attention only the keys may be quantised.
        assertion = quantised config.cacheTypeV -> config.flashAttention == "on";
        message = "${option}: quantised values in the KV cache (cacheTypeV = ${config.cacheTypeV}) need flash attention, which is \"${config.flashAttention}\". Set ${option}.flashAttention = \"on\", or ${option}.cacheTypeV = \"f16\".";
      }
      {
        assertion = config.ubatchSize <= config.batchSize;
        message = "${option}.ubatchSize = ${toString config.ubatchSize} is larger than batchSize = ${toString config.batchSize}: lower ubatchSize or raise batchSize.";
      }
    ];
  };
}
