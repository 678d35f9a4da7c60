# Evaluation tests of the image contracts. Each case with the words "as it was" is a
# definition that the project once had, with what was wrong with it; the last ones are
# the definitions of today.
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
  # A container that asks for nothing.
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
  # ── what the definitions once had wrong ──
  "Alloy as it was: its data folder lies below a folder that is closed to it" =
    says "alloy" { mounts = [ (mount "/var/lib/alloy/data" root) ]; }
      [
        "/var/lib/alloy/data cannot be reached"
        "/var/lib/alloy belongs to 473:473 with mode 0770"
        "runs as 0:0"
        "services.aiStack.x.data.data"
        "https://github.com/grafana/alloy v1.18.1"
      ];
  "Aider as it was: it cannot write its workspace" =
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
  "vLLM as it was: a GGUF file is refused" = says "vllm" (vllm "/models/tiny.gguf") [
    "its program refuses `/models/tiny.gguf --port 8000`"
    "GGUF left vLLM with 0.24"
  ];
  "Redis as it was: the shell stays in front of the server" =
    says "redis" { command = throughPipe; }
      [
        "sh stays the first process"
        "SIGKILL"
      ];
  "Redis as it was: the modules are not loaded" = says "redis" { command = throughPipe; } [
    "must begin with redis-server"
    "loads the modules"
  ];
  "every container as it was: podman's 10 s, whatever systemd's limit" =
    says "postgres" { stopTimeout = 10; }
      [
        "may need 60 s to stop"
        "podman kills it after 10 s"
      ];
  "MindsDB as it was: SIGTERM is ignored" = says "mindsdb" { } [
    "does not stop cleanly on SIGTERM as the first process"
    "init = true"
  ];
  "LiteLLM as it was: clients are told no model name" = says "litellm" { openai = engine; } [
    "clients get no model name"
    "unknown model"
  ];
  "Aider as it was behind LiteLLM: no model" =
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
  "Continue as it was: the engine gives no name to write into its configuration" =
    says "litellm" { openai = engine; }
      [
        "services.aiStack.litellm and its image"
        "openai.models is empty"
      ];
  "Goose as it was: it reads GOOSE_MODEL, not OPENAI_MODEL" = says "goose" { environment = goose; } [
    "needs the variable GOOSE_MODEL"
    "does not read OPENAI_MODEL"
  ];
  "Open WebUI as it was: the mount hides the models of the image" =
    says "open-webui" (webui "/app/backend/data")
      [
        "the image keeps the embedding, speech and tokenizer models"
        "the mount of /app/backend/data hides it"
        "RAG_EMBEDDING_ENGINE"
      ];
  "PostgreSQL as it was: healthy before the entry point's scripts are done" =
    saysOf
      (saidOf (read "postgres") "postgres" {
        health = "pg_isready -q -U mcp -d mcp && psql -U mcp -c 'SELECT 1' >/dev/null";
      })
      [
        "reports healthy too early"
        "-h 127.0.0.1"
      ];
  "LiteLLM from 1.104 on needs a master key" = says "litellm" { tag = "v1.104.0"; } [
    "needs the variable LITELLM_MASTER_KEY"
    "secretEnv.LITELLM_MASTER_KEY"
  ];
  "MindsDB as it was: the page of the image is not found" = says "mindsdb" {
    init = true;
    environment.MINDSDB_STORAGE_DIR = "/root/mindsdb_storage";
  } [ "MINDSDB_STORAGE_DIR = /root/mindsdb_storage makes the program look elsewhere" ];

  # ── and what is right ──
  "Alloy: outside of the closed folder, or with the capability" =
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
  "a mount over the closed folder replaces it" = silent "alloy" {
    mounts = [
      (mount "/var/lib/alloy" root)
      (mount "/var/lib/alloy/data" root)
    ];
  };
  "another user may not enter root's home" = says "ollama" {
    user = {
      uid = 1000;
      gid = 1000;
    };
    mounts = [
      (mount "/root/.ollama" (root // { uid = 1000; }))
    ];
  } [ "/root belongs to 0:0 with mode 0700" ];
  "vLLM: a repository, and a file for the version that reads it" =
    equal
      [ null null ]
      [
        (silent "vllm" (vllm "Qwen/Qwen2.5-7B-Instruct"))
        (silent "vllm" (vllm "/models/tiny.gguf" // { tag = "v0.23.0"; }))
      ];
  "Redis: the server itself, and through the entry point" =
    equal
      [ null null ]
      [
        (silent "redis" { command = redis; })
        (silent "redis" { command = throughBash; })
      ];
  "Redis: `-` in the middle is no configuration" = says "redis" {
    command = [
      "bash"
      "-c"
      "exec docker-entrypoint.sh redis-server --dir /data - < /x"
    ];
  } [ "`-` (configuration from the standard input)" ];
  "an entry point that sleeps needs an init" =
    says "aider"
      {
        entrypoint = "sleep";
        command = [ "infinity" ];
      }
      [
        "sleep does not stop cleanly on SIGTERM"
      ];
  "files that are needed no more, or whose loss is declared" =
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
  "a secret counts as a variable that is set" = silent "litellm" {
    tag = "v1.104.0";
    environment.LITELLM_MASTER_KEY = null;
  };
  "systemd must wait longer than podman" = says "redis" {
    command = redis;
    stopTimeout = 90;
  } [ "systemd kills podman after 90 s" ];

  # ── programs ──
  "a client that the image lacks" = saysOf (asks "qdrant" "curl -fsS http://127.0.0.1:6333/readyz") [
    "the health command uses curl"
    "services.aiStack.qdrant.health.command"
  ];
  "one of several clients is enough" =
    asksWell "grafana" "curl -fsS http://127.0.0.1:3000/ || wget -q -O /dev/null http://127.0.0.1:3000/";
  "and none of them is not" =
    saysOf (asks "qdrant" "curl http://127.0.0.1/ || wget -q http://127.0.0.1/")
      [
        "uses curl, wget"
      ];
  "a text needs a shell, which a distroless image lacks" =
    saysOf (asks "loki" "/usr/bin/loki -health")
      [ "uses sh" ];
  "an array does not" = asksWell "loki" (
    builtins.toJSON [
      "/usr/bin/loki"
      "-health"
    ]
  );
  "a network by file name is bash's" =
    saysOf (asks "qdrant" "exec 3<>/dev/tcp/127.0.0.1/6333 && echo x >&3 && grep -q x <&3")
      [ "bash (for /dev/tcp)" ];
  "quoted text is no program" = asksWell "redis" "redis-cli ping | grep -qE 'PONG|NOAUTH; curl x'";
  "a program behind a pipe counts" = saysOf (asks "redis" "redis-cli ping | perl -e 'x'") [
    "uses perl"
  ];
  "the command of an entry point that runs it" = saysOf (saidOf (read "redis") "redis" {
    command = [
      "bash"
      "-c"
      "x=1 valkey-server && exec docker-entrypoint.sh redis-server"
    ];
  }) [ "the command uses valkey-server" ];

  # ── ports ──
  "a port that nothing listens on" =
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
  "a port that a variable names" = silent "ollama" {
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
  "another image is not held to the contract" =
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
  "unless its contract is given, of which any part may be left out" =
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
  "the default image is held to its contract" =
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
  "and every definition keeps to its own" = accepts (on {
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
