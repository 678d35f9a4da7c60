# Evaluation tests of the service definitions: their checks follow the configuration, and
# what they tell the images is what the images understand.
{
  lib,
  on,
  container,
  equal,
}:
let
  scenarios = module: (on module).services.aiStack.scenarios;
  checks =
    module: name:
    lib.listToAttrs (map (c: lib.nameValuePair c.name c) (scenarios module).${name}.checks);
  llama = {
    enable = true;
    model = "m.gguf";
  };
in
{
  # ── checks follow the configuration ──
  "checks of PostgreSQL ask the configured user, database and extensions" =
    let
      module.postgres = {
        enable = true;
        user = "app";
        database = "shop";
        extensions = [ "vector" ];
        resources.memory = "2g";
      };
      all = builtins.toJSON (scenarios module).postgres;
    in
    equal
      [
        (lib.hasInfix ''"-U","app","-d","shop"'' all)
        (lib.hasInfix "mcp" all)
        (lib.attrNames (checks module "postgres"))
        (checks module "postgres")."has its extensions".expect
        (lib.hasInfix "pg_size_bytes('512MB')" all)
      ]
      [
        true
        false
        [
          "finds the nearest vector"
          "has its extensions"
          "is tuned to its memory"
        ]
        "vector"
        true
      ];
  "a setting of the user's is what the check expects" = equal (lib.hasInfix "pg_size_bytes('64MB')" (
    builtins.toJSON
      (scenarios {
        postgres = {
          enable = true;
          settings.shared_buffers = "64MB";
        };
      }).postgres
  )) true;
  "checks of Redis expect the configured policy, and what extraArgs say" =
    let
      seen = checks {
        redis = {
          enable = true;
          evictionPolicy = "allkeys-lru";
          extraArgs = [
            "--appendonly"
            "no"
          ];
        };
      } "redis";
    in
    equal
      [
        seen."evicts as declared".expect
        seen."keeps its log of writes as declared".expect
      ]
      [
        "allkeys-lru"
        "no"
      ];
  "llama.cpp without metrics is not asked for them, nor scraped" =
    let
      module = {
        llama-cpp = llama // {
          metrics = false;
        };
        prometheus.enable = true;
      };
    in
    equal
      [
        (lib.attrNames (checks module "llama-cpp"))
        (map (m: m.name) (on module).services.aiStack.llama-cpp._arguments.stack.metrics)
        (on module).services.aiStack.manifest.services.llama-cpp.metrics
      ]
      [
        [ "completes a chat" ]
        [ "prometheus" ]
        null
      ];
  "a check sends the declared key" =
    let
      key = "/run/secrets/key";
      seen = name: module: (lib.head (scenarios module).${name}.checks).http.auth or null;
      bearer = secret: {
        inherit secret;
        header = "authorization";
        prefix = "Bearer ";
      };
    in
    equal
      [
        (seen "qdrant" {
          qdrant = {
            enable = true;
            secretEnv.QDRANT__SERVICE__API_KEY = key;
          };
        })
        (seen "qdrant" { qdrant.enable = true; })
        (seen "llama-cpp" {
          llama-cpp = llama // {
            secretEnv.LLAMA_API_KEY = key;
          };
        })
        (seen "llama-cpp-embed" {
          llama-cpp-embed = llama // {
            secretEnv.LLAMA_API_KEY = key;
          };
        })
        (seen "vllm" {
          gpu.backend = "cuda";
          vllm = {
            enable = true;
            model = "a/b";
            secretEnv.VLLM_API_KEY = key;
          };
        })
        (seen "litellm" {
          litellm = {
            enable = true;
            secretEnv.LITELLM_MASTER_KEY = key;
          };
        })
      ]
      [
        {
          secret = "local-ai-qdrant-QDRANT__SERVICE__API_KEY";
          header = "api-key";
        }
        null
        (bearer "local-ai-llama-cpp-LLAMA_API_KEY")
        (bearer "local-ai-llama-cpp-embed-LLAMA_API_KEY")
        (bearer "local-ai-vllm-VLLM_API_KEY")
        (bearer "local-ai-litellm-LITELLM_MASTER_KEY")
      ];
  "a marker sends the key too" =
    let
      marker =
        (scenarios {
          qdrant = {
            enable = true;
            secretEnv.QDRANT__SERVICE__API_KEY = "/run/secrets/key";
          };
        }).qdrant.marker;
    in
    equal (map (w: w.http.auth.header) (marker.write ++ [ marker.read ])) [
      "api-key"
      "api-key"
      "api-key"
    ];
  "Redis is asked with its password, from its file inside the container" =
    let
      module.redis = {
        enable = true;
        passwordFile = "/run/secrets/redis";
      };
      seen = (checks module "redis")."evicts as declared".exec;
    in
    equal
      [
        (lib.hasInfix "REDISCLI_AUTH=$(cat /run/secrets/redis-password)" (lib.concatStringsSep " " seen))
        (lib.hasInfix "REDISCLI_AUTH" (container module "redis").healthCmd)
        (lib.hasInfix "NOAUTH" (container module "redis").healthCmd)
      ]
      [
        true
        true
        false
      ];

  # ── Redis ──
  "Redis with a password is the first process, with its modules" =
    let
      exec =
        (container {
          redis = {
            enable = true;
            passwordFile = "/run/secrets/redis";
          };
        } "redis").exec;
      line = lib.last exec;
    in
    equal
      [
        (lib.take 2 exec)
        (lib.hasPrefix "exec docker-entrypoint.sh redis-server - " line)
        (lib.hasInfix "|" line)
      ]
      [
        [
          "bash"
          "-c"
        ]
        true
        false
      ];
}
