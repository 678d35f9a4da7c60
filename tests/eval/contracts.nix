# Evaluation tests of the image contracts. The first cases are faults that the project's services
# once had; the last ones are the services as they are now.
{
  lib,
  on,
  messages,
  refuses,
  accepts,
  equal,
}:
let
  inherit (lib) hasInfix;

  inherit (import ../../modules/stack/contract.nix { inherit lib; }) check;
  read = name: lib.importJSON (../../pkgs/contracts + "/${name}.json");

  mount = path: owner: {
    inherit path owner;
    writable = owner != null;
    option = "services.aiStack.x.data.data";
  };
  root = {
    uid = 0;
    gid = 0;
    mode = "0700";
  };
  # A container without requirements.
  blank = name: {
    option = "services.aiStack.${name}";
    image = "r.example/${name}:1";
    tag = null;
    user = null;
    init = false;
    hides = { };
    capabilities = [ ];
    stopTimeout = 80;
    unitTimeout = 90;
    entrypoint = null;
    command = [ ];
    health = builtins.toJSON [ "true" ];
    environment = { };
    ports = [ ];
    mounts = [ ];
    openai = null;
  };
  saidOf =
    contract: name: container:
    map (a: a.message) (lib.filter (a: !a.assertion) (check contract (blank name // container)));
  said = name: saidOf (removeAttrs (read name) [ "health" ] // { programs = [ ]; }) name;
  saysOf =
    seen: words:
    if lib.any (message: lib.all (word: hasInfix word message) words) seen then
      null
    else
      "nothing says ${lib.concatStringsSep ", " words}: ${
        if seen == [ ] then "no fault" else lib.concatStringsSep " | " seen
      }";
  says = name: container: saysOf (said name container);
  silent =
    name: container:
    let
      seen = said name container;
    in
    if seen == [ ] then null else lib.concatStringsSep " | " seen;
  # With the programs of the image.
  asks =
    name: health:
    saidOf (removeAttrs (read name) [ "health" ]) name {
      inherit health;
      init = true;
    };
  asksWell = name: health: equal (asks name health) [ ];

  redis = [
    "redis-server"
    "--dir"
    "/data"
    "--save"
    "900 1 300 10 60 10000"
  ];
  throughPipe = [
    "sh"
    "-c"
    "(echo -n 'requirepass '; cat /run/secrets/redis-password; echo) | exec ${lib.escapeShellArgs redis} -"
  ];
  throughBash = [
    "bash"
    "-c"
    "exec docker-entrypoint.sh redis-server - --dir /data < <(printf 'requirepass '; cat /run/secrets/redis-password; echo)"
  ];
  vllm = model: {
    tag = "v0.30.0";
    command = [
      model
      "--port"
      "8000"
    ];
  };
  engine = {
    models = [ ];
    embedding = false;
  };
  goose = {
    GOOSE_PROVIDER = "openai";
    OPENAI_HOST = "http://local-ai-litellm:4000";
    OPENAI_MODEL = "m";
  };
  webui = path: { mounts = [ (mount path root) ]; };
in
{
  # ── faults that services once had ──
  "refuses Alloy with its data below a folder that it may not enter" =
    says "alloy" { mounts = [ (mount "/var/lib/alloy/data" root) ]; }
      [
        "/var/lib/alloy/data cannot be reached"
        "/var/lib/alloy belongs to 473:473 with mode 0770"
        "runs as 0:0"
        "services.aiStack.x.data.data"
        "https://github.com/grafana/alloy v1.18.1"
      ];
  "refuses Aider with a workspace that it cannot write" =
    says "aider"
      {
        init = true;
        mounts = [ (mount "/workspace" root) ];
      }
      [
        "/workspace cannot be written"
        "belongs to 0:0 with mode 0700"
        "runs as 1000:1000"
      ];
  "refuses vLLM with a GGUF file" = says "vllm" (vllm "/models/tiny.gguf") [
    "its program refuses `/models/tiny.gguf --port 8000`"
    "GGUF left vLLM with 0.24"
  ];
  "refuses Redis with a shell as the first process" = says "redis" { command = throughPipe; } [
    "sh stays the first process"
    "SIGKILL"
  ];
  "refuses Redis without its modules" = says "redis" { command = throughPipe; } [
    "must begin with redis-server"
    "loads the modules"
  ];
  "refuses podman's default of 10 s for a container that needs longer to stop" =
    says "postgres" { stopTimeout = 10; }
      [
        "may need 60 s to stop"
        "podman kills it after 10 s"
      ];
  "refuses MindsDB without an init, because it ignores SIGTERM" = says "mindsdb" { } [
    "does not stop cleanly on SIGTERM as the first process"
    "init = true"
  ];
  "refuses LiteLLM without model names for clients" = says "litellm" { openai = engine; } [
    "clients get no model name"
    "unknown model"
  ];
  "refuses Aider with an engine and no model" =
    says "aider"
      {
        init = true;
        environment.OPENAI_API_BASE = "http://local-ai-litellm:4000/v1";
      }
      [
        "needs the variable AIDER_MODEL"
        "gpt-4o"
      ];
  # Continue writes a name that LiteLLM knows only if LiteLLM's definition gives one.
  "refuses LiteLLM without model names for Continue" = says "litellm" { openai = engine; } [
    "services.aiStack.litellm and its image"
    "openai.models is empty"
  ];
  "refuses Goose without GOOSE_MODEL" = says "goose" { environment = goose; } [
    "needs the variable GOOSE_MODEL"
    "does not read OPENAI_MODEL"
  ];
  "refuses Open WebUI with a mount that hides the models of the image" =
    says "open-webui" (webui "/app/backend/data")
      [
        "the image keeps the embedding, speech and tokenizer models"
        "the mount of /app/backend/data hides it"
        "RAG_EMBEDDING_ENGINE"
      ];
  "refuses a health command that succeeds before PostgreSQL's scripts have ended" =
    saysOf
      (saidOf (read "postgres") "postgres" {
        health = "pg_isready -q -U mcp -d mcp && psql -U mcp -c 'SELECT 1' >/dev/null";
      })
      [
        "reports healthy too early"
        "-h 127.0.0.1"
      ];
  "refuses LiteLLM 1.104 without a master key" = says "litellm" { tag = "v1.104.0"; } [
    "needs the variable LITELLM_MASTER_KEY"
    "secretEnv.LITELLM_MASTER_KEY"
  ];
  "refuses MindsDB with a storage folder that hides the page of the image" = says "mindsdb" {
    init = true;
    environment.MINDSDB_STORAGE_DIR = "/root/mindsdb_storage";
  } [ "MINDSDB_STORAGE_DIR = /root/mindsdb_storage makes the program look elsewhere" ];

  # ── accepted containers ──
  "accepts Alloy with data outside of the closed folder, or with the capability" =
    let
      at = path: capabilities: {
        inherit capabilities;
        mounts = [ (mount path root) ];
      };
    in
    equal
      [ null null ]
      [
        (silent "alloy" (at "/data" [ ]))
        (silent "alloy" (at "/var/lib/alloy/data" [ "DAC_OVERRIDE" ]))
      ];
  "accepts a mount that replaces the closed folder" = silent "alloy" {
    mounts = [
      (mount "/var/lib/alloy" root)
      (mount "/var/lib/alloy/data" root)
    ];
  };
  "refuses a user who may not enter root's home" = says "ollama" {
    user = {
      uid = 1000;
      gid = 1000;
    };
    mounts = [
      (mount "/root/.ollama" (root // { uid = 1000; }))
    ];
  } [ "/root belongs to 0:0 with mode 0700" ];
  "accepts vLLM with a repository, and with a GGUF file for a version that reads it" =
    equal
      [ null null ]
      [
        (silent "vllm" (vllm "Qwen/Qwen2.5-7B-Instruct"))
        (silent "vllm" (vllm "/models/tiny.gguf" // { tag = "v0.23.0"; }))
      ];
  "accepts Redis as the first process, with and without the entry point" =
    equal
      [ null null ]
      [
        (silent "redis" { command = redis; })
        (silent "redis" { command = throughBash; })
      ];
  "refuses Redis with `-` in the middle of its arguments" = says "redis" {
    command = [
      "bash"
      "-c"
      "exec docker-entrypoint.sh redis-server --dir /data - < /x"
    ];
  } [ "`-` (configuration from the standard input)" ];
  "refuses the entry point sleep without an init" =
    says "aider"
      {
        entrypoint = "sleep";
        command = [ "infinity" ];
      }
      [
        "sleep does not stop cleanly on SIGTERM"
      ];
  "accepts hidden files that are not needed, or that `hides` declares" =
    equal
      [ null null null ]
      [
        (silent "open-webui" (
          webui "/app/backend/data" // { environment.RAG_EMBEDDING_ENGINE = "openai"; }
        ))
        (silent "open-webui" (
          webui "/app/backend/data" // { hides."/app/backend/data/cache" = "fetched again"; }
        ))
        (silent "open-webui" (webui "/data"))
      ];
  "a secret counts as a set variable" = silent "litellm" {
    tag = "v1.104.0";
    environment.LITELLM_MASTER_KEY = null;
  };
  "refuses a unit that stops before podman's time-out" = says "redis" {
    command = redis;
    stopTimeout = 90;
  } [ "systemd kills podman after 90 s" ];

  # ── programs ──
  "refuses a health client that the image lacks" =
    saysOf (asks "qdrant" "curl -fsS http://127.0.0.1:6333/readyz")
      [
        "the health command uses curl"
        "services.aiStack.qdrant.health.command"
      ];
  "accepts a health command if the image has one of several clients" =
    asksWell "grafana" "curl -fsS http://127.0.0.1:3000/ || wget -q -O /dev/null http://127.0.0.1:3000/";
  "refuses a health command if the image has none of several clients" =
    saysOf (asks "qdrant" "curl http://127.0.0.1/ || wget -q http://127.0.0.1/")
      [
        "uses curl, wget"
      ];
  "refuses a health command as text for an image without a shell" =
    saysOf (asks "loki" "/usr/bin/loki -health")
      [ "uses sh" ];
  "accepts a health command as an array for an image without a shell" = asksWell "loki" (
    builtins.toJSON [
      "/usr/bin/loki"
      "-health"
    ]
  );
  "refuses /dev/tcp without bash" =
    saysOf (asks "qdrant" "exec 3<>/dev/tcp/127.0.0.1/6333 && echo x >&3 && grep -q x <&3")
      [ "bash (for /dev/tcp)" ];
  "quoted text does not count as a program" =
    asksWell "redis" "redis-cli ping | grep -qE 'PONG|NOAUTH; curl x'";
  "a program after a pipe counts" = saysOf (asks "redis" "redis-cli ping | perl -e 'x'") [
    "uses perl"
  ];
  "checks the command if the entry point runs it" = saysOf (saidOf (read "redis") "redis" {
    command = [
      "bash"
      "-c"
      "x=1 valkey-server && exec docker-entrypoint.sh redis-server"
    ];
  }) [ "the command uses valkey-server" ];

  # ── ports ──
  "refuses a port without a listening process" =
    says "qdrant"
      {
        ports = [
          {
            container = 9000;
            protocol = "tcp";
            option = "services.aiStack.qdrant.ports.http";
          }
        ];
      }
      [
        "its program does not listen on port 9000"
        "services.aiStack.qdrant.ports.http"
      ];
  "accepts a port that a variable sets" = silent "ollama" {
    ports = [
      {
        container = 1234;
        protocol = "tcp";
        option = "x";
      }
    ];
    environment.OLLAMA_HOST = "0.0.0.0:1234";
  };

  # ── the user's own image ──
  "another image is not checked by the contract" =
    let
      own = on {
        mindsdb = {
          enable = true;
          image = "r.example/mindsdb:1@sha256:${lib.concatStrings (lib.genList (_: "0") 64)}";
          health.command = "no-such-program";
        };
      };
    in
    equal
      [
        null
        [ ]
      ]
      [
        own.services.aiStack.mindsdb.contract
        (messages own)
      ];
  "another image is checked by a partial contract of its own" =
    refuses
      (on {
        mindsdb = {
          enable = true;
          image = "r.example/mindsdb:1@sha256:${lib.concatStrings (lib.genList (_: "0") 64)}";
          contract = {
            user = {
              set = "app";
              uid = 1000;
              gid = 1000;
            };
            programs = [ "sh" ];
          };
        };
      })
      [
        "services.aiStack.mindsdb and its image r.example/mindsdb:1"
        "/root/mindsdb_storage cannot be written"
        "the contract in services.aiStack.mindsdb.contract"
      ];
  "the default image is checked by its contract" =
    refuses
      (on {
        qdrant = {
          enable = true;
          health.command = "curl http://127.0.0.1:6333/readyz";
        };
      })
      [
        "services.aiStack.qdrant and its image docker.io/qdrant/qdrant"
        "uses curl"
      ];
  "every service follows the contract of its image" = accepts (on {
    aider.enable = true;
    alloy.enable = true;
    chromadb.enable = true;
    grafana.enable = true;
    litellm.enable = true;
    llama-cpp = {
      enable = true;
      model = "m.gguf";
    };
    loki.enable = true;
    mindsdb.enable = true;
    node-exporter.enable = true;
    ollama.enable = true;
    open-webui.enable = true;
    postgres.enable = true;
    prometheus.enable = true;
    qdrant.enable = true;
    redis = {
      enable = true;
      passwordFile = "/run/secrets/redis";
    };
    redisinsight.enable = true;
  });
}
