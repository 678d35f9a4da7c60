# The six containers of hosts/workstation as a careful user writes them with quadlet-nix
# alone: the yardstick for the cost of our module at evaluation. Same images, ports, volumes,
# variables, commands and health checks; no ledger, no checks, no manifest.
{ config, lib, ... }:
let
  lock = lib.importJSON ../pkgs/images.json;
  # llama.cpp's has no digest in the lock.
  image =
    name:
    let
      entry = lock.${name};
    in
    "${entry.name}:${entry.tag}${lib.optionalString (entry.digest != null) "@${entry.digest}"}";
  healthy = command: {
    healthCmd = command;
    healthInterval = "30s";
    healthTimeout = "10s";
    healthRetries = 3;
    healthOnFailure = "kill";
    healthStartupCmd = command;
    healthStartupInterval = "2s";
    healthStartupRetries = 0;
    healthStartupTimeout = "10s";
    notify = "healthy";
  };
  hardened = {
    dropCapabilities = [ "all" ];
    noNewPrivileges = true;
    pidsLimit = 2048;
    networks = [ config.virtualisation.quadlet.networks.local-ai.ref ];
    stopTimeout = 80;
  };
  service = {
    Restart = "always";
    RestartSec = 2;
    RestartSteps = 6;
    RestartMaxDelaySec = 120;
    TimeoutStartSec = 300;
    TimeoutStopSec = 90;
  };
in
{
  virtualisation.quadlet = {
    networks.local-ai.networkConfig = {
      name = "local-ai";
      podmanArgs = [ "--interface-name=local-ai" ];
    };

    containers = {
      local-ai-ollama = {
        containerConfig =
          hardened
          // healthy "ollama list"
          // {
            name = "local-ai-ollama";
            image = image "ollama";
            networkAliases = [ "ollama" ];
            publishPorts = [ "127.0.0.1:11434:11434" ];
            volumes = [
              "/var/lib/local-ai/ollama:/root/.ollama"
              "/var/lib/local-ai/models:/models:ro"
            ];
            environments = {
              OLLAMA_HOST = "0.0.0.0:11434";
              OLLAMA_KEEP_ALIVE = "5m";
              OLLAMA_MAX_LOADED_MODELS = "2";
              OLLAMA_NO_CLOUD = "1";
              OLLAMA_NUM_PARALLEL = "4";
            };
          };
        serviceConfig = service;
        unitConfig = {
          Description = "Ollama";
          RequiresMountsFor = "/var/lib/local-ai";
        };
      };

      local-ai-llama-cpp = {
        containerConfig =
          hardened
          // healthy "curl -fsS -o /dev/null http://127.0.0.1:8080/health"
          // {
            name = "local-ai-llama-cpp";
            image = image "llama-cpp-cpu";
            networkAliases = [ "llama-cpp" ];
            publishPorts = [ "127.0.0.1:8080:8080" ];
            volumes = [ "/var/lib/local-ai/models:/models:ro" ];
            ulimits = [ "memlock=-1:-1" ];
            readOnly = true;
            exec = "--model /models/model.gguf --host 0.0.0.0 --port 8080 --ctx-size 8192 --parallel 4 --flash-attn on --cache-type-k q4_0 --cache-type-v q4_0 --batch-size 512 --ubatch-size 128 --cont-batching --load-mode mmap+mlock --cache-ram 1024 --numa distribute --metrics --alias llama-cpp";
          };
        serviceConfig = service // {
          TimeoutStartSec = 900;
          SuccessExitStatus = 143;
        };
        unitConfig = {
          Description = "llama.cpp";
          RequiresMountsFor = "/var/lib/local-ai";
        };
      };

      local-ai-open-webui = {
        containerConfig =
          hardened
          // healthy "python3 -c 'import urllib.request; urllib.request.urlopen(\"http://127.0.0.1:8080/health\", timeout=8)'"
          // {
            name = "local-ai-open-webui";
            image = image "open-webui";
            networkAliases = [ "open-webui" ];
            publishPorts = [ "127.0.0.1:8081:8080" ];
            volumes = [ "/var/lib/local-ai/open-webui:/data" ];
            podmanArgs = [ "--memory=4g" ];
            environmentFiles = [ "/run/secrets/open-webui.env" ];
            environments = {
              ANONYMIZED_TELEMETRY = "false";
              DATA_DIR = "/data";
              DO_NOT_TRACK = "true";
              ENABLE_OLLAMA_API = "true";
              ENABLE_OPENAI_API = "true";
              ENABLE_PERSISTENT_CONFIG = "false";
              ENABLE_SIGNUP = "false";
              ENABLE_VERSION_UPDATE_CHECK = "false";
              OLLAMA_BASE_URL = "http://local-ai-ollama:11434";
              OPENAI_API_BASE_URLS = "http://local-ai-llama-cpp:8080/v1";
              OPENAI_API_KEYS = "none";
              RAG_EMBEDDING_MODEL_AUTO_UPDATE = "false";
              SCARF_NO_ANALYTICS = "true";
              WEBUI_AUTH = "true";
            };
          };
        serviceConfig = service // {
          TimeoutStartSec = 900;
        };
        unitConfig = {
          Description = "Open WebUI";
          RequiresMountsFor = "/var/lib/local-ai";
          Wants = [
            "local-ai-ollama.service"
            "local-ai-llama-cpp.service"
          ];
          After = [
            "local-ai-ollama.service"
            "local-ai-llama-cpp.service"
          ];
        };
      };

      local-ai-qdrant = {
        containerConfig =
          hardened
          // healthy "bash -c \"exec 3<>/dev/tcp/127.0.0.1/6333 && echo -e 'GET /readyz HTTP/1.0\\r\\n\\r' >&3 && grep -qm1 ' 200 ' <&3\""
          // {
            name = "local-ai-qdrant";
            image = image "qdrant";
            networkAliases = [ "qdrant" ];
            publishPorts = [
              "127.0.0.1:6334:6334"
              "127.0.0.1:6333:6333"
            ];
            volumes = [
              "/var/lib/local-ai/qdrant-snapshots:/qdrant/snapshots"
              "/var/lib/local-ai/qdrant:/qdrant/storage"
            ];
            podmanArgs = [ "--memory=4g" ];
            user = "1000";
            group = "1000";
            readOnly = true;
            entrypoint = "./qdrant";
            environments = {
              QDRANT_INIT_FILE_PATH = "/tmp/.qdrant-initialized";
              QDRANT__TELEMETRY_DISABLED = "true";
            };
          };
        serviceConfig = service;
        unitConfig = {
          Description = "Qdrant";
          RequiresMountsFor = "/var/lib/local-ai";
        };
      };

      local-ai-postgres = {
        containerConfig =
          hardened
          // healthy "pg_isready -q -h 127.0.0.1 -p 5432 -U mcp -d mcp"
          // {
            name = "local-ai-postgres";
            image = image "postgres";
            networkAliases = [ "postgres" ];
            publishPorts = [ "127.0.0.1:5432:5432" ];
            volumes = [ "/var/lib/local-ai/postgres:/home/postgres/pgdata" ];
            podmanArgs = [ "--memory=4g" ];
            environmentFiles = [ "/run/secrets/postgres.env" ];
            shmSize = "1g";
            user = "1000";
            group = "1000";
            exec = "postgres -c effective_cache_size=3072MB -c max_connections=200 -c max_parallel_workers=2 -c max_parallel_workers_per_gather=1 -c max_worker_processes=21 -c shared_buffers=1024MB -c shared_preload_libraries=timescaledb -c timescaledb.max_background_workers=16";
            environments = {
              NO_TS_TUNE = "true";
              PGDATA = "/home/postgres/pgdata/data";
              POSTGRES_DB = "mcp";
              POSTGRES_USER = "mcp";
              TIMESCALEDB_TELEMETRY = "off";
            };
          };
        serviceConfig = service;
        unitConfig = {
          Description = "PostgreSQL";
          RequiresMountsFor = "/var/lib/local-ai";
        };
      };

      local-ai-redis = {
        containerConfig =
          hardened
          // healthy "redis-cli ping | grep -q PONG"
          // {
            name = "local-ai-redis";
            image = image "redis";
            networkAliases = [ "redis" ];
            publishPorts = [ "127.0.0.1:6379:6379" ];
            volumes = [ "/var/lib/local-ai/redis:/data" ];
            podmanArgs = [ "--memory=2g" ];
            user = "999";
            group = "999";
            readOnly = true;
            exec = ''redis-server --dir /data --appendonly yes --appendfsync everysec --save "900 1 300 10 60 10000" --maxmemory-policy noeviction'';
          };
        serviceConfig = service;
        unitConfig = {
          Description = "Redis";
          RequiresMountsFor = "/var/lib/local-ai";
        };
      };
    };
  };

  networking.firewall.interfaces.local-ai.allowedUDPPorts = [ 53 ];

  systemd.tmpfiles.settings.local-ai =
    lib.mapAttrs
      (_: owner: {
        d = {
          mode = "0700";
          user = owner;
          group = owner;
        };
      })
      {
        "/var/lib/local-ai/models" = "root";
        "/var/lib/local-ai/ollama" = "root";
        "/var/lib/local-ai/open-webui" = "root";
        "/var/lib/local-ai/postgres" = "1000";
        "/var/lib/local-ai/qdrant" = "1000";
        "/var/lib/local-ai/qdrant-snapshots" = "1000";
        "/var/lib/local-ai/redis" = "999";
      };
}
