# Evaluation tests of the services: their checks follow the configuration, and their images
# understand the arguments, variables and files.
{
  lib,
  on,
  coreIn,
  messages,
  nixos,
  withHome,
  manifest,
  container,
  refuses,
  accepts,
  equal,
}:
let
  util = import ../../lib { inherit lib; };
  file =
    module: name: target:
    (on module).services.aiStack.resolved.services.${name}.configTexts.${target};
  inherit ((on { }).services.aiStack) serviceNames;
  private = {
    enable = true;
    image = "registry.example/x:1@sha256:${lib.concatStrings (lib.genList (_: "0") 64)}";
  };
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
  "checks of PostgreSQL use the configured user, database and extensions" =
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
  "the check expects a setting from the user" = equal (lib.hasInfix "pg_size_bytes('64MB')" (
    builtins.toJSON
      (scenarios {
        postgres = {
          enable = true;
          settings.shared_buffers = "64MB";
        };
      }).postgres
  )) true;
  "checks of Redis expect the configured policy, also from extraArgs" =
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
  "llama.cpp without metrics is neither checked for them nor scraped" =
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
        (map (m: m.name) (on module).services.aiStack.interface.metrics)
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
  "a marker sends the declared key" =
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
  "checks of Redis read its password from the file inside the container" =
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
  "Redis with a password is the first process and loads its modules" =
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

  # ── one key for each client ──
  "LiteLLM and its clients share one key" =
    let
      module = {
        litellm.enable = true;
        llama-cpp = llama;
        open-webui.enable = true;
        aider.enable = true;
        goose = private;
      };
      of =
        name: variable:
        (lib.findFirst (s: s.name == "local-ai-${name}-${variable}") {
          source = null;
        } (manifest module).services.${name}.secrets).source;
    in
    equal [
      (of "litellm" "LITELLM_MASTER_KEY")
      (of "open-webui" "OPENAI_API_KEYS")
      (of "aider" "OPENAI_API_KEY")
      (of "goose" "OPENAI_API_KEY")
    ] (lib.genList (_: "/var/lib/local-ai/secrets/litellm/LITELLM_MASTER_KEY") 4);
  "Open WebUI joins the keys of several engines when it starts" =
    let
      module = {
        open-webui.enable = true;
        gpu.backend = "cuda";
        llama-cpp = llama // {
          secretEnv.LLAMA_API_KEY = "/run/secrets/llama";
        };
        vllm = {
          enable = true;
          model = "a/b";
        };
      };
      seen = container module "open-webui";
    in
    equal
      [
        seen.environments.OPENAI_API_BASE_URLS
        (seen.environments ? OPENAI_API_KEYS)
        (lib.last seen.exec)
        (map (s: s.source) (
          lib.filter (s: lib.hasInfix "key-of" s.name) (manifest module).services.open-webui.secrets
        ))
      ]
      [
        "http://local-ai-llama-cpp:8080/v1;http://local-ai-vllm:8000/v1"
        false
        "export OPENAI_API_KEYS=\"$$(cat /run/secrets/key-of-llama-cpp);none\"; exec bash start.sh"
        [ "/run/secrets/llama" ]
      ];

  # ── models by names that the engines know ──
  "clients of LiteLLM request one of its routes" =
    let
      module = {
        litellm = {
          enable = true;
          routes = [ { model_name = "big"; } ];
        };
        llama-cpp = llama;
        llama-cpp-embed = llama;
        ollama.enable = true;
        aider.enable = true;
        goose = private;
        continue.enable = true;
      };
      env = name: (container module name).environments;
      continue =
        (builtins.fromJSON (on module).services.aiStack.userFiles.".continue/config.yaml").models;
      models = engine: map (m: m.model) (lib.filter (m: lib.hasInfix engine m.name) continue);
    in
    equal
      [
        (env "aider").AIDER_MODEL
        (env "goose").GOOSE_MODEL
        (env "goose").OPENAI_MODEL
        (models "litellm")
        (models "ollama")
        (lib.elem "--alias" (container module "llama-cpp").exec)
        (lib.findFirst (m: m.name == "llama-cpp (litellm)") { } continue).apiKey
      ]
      [
        "openai/llama-cpp"
        "llama-cpp"
        "llama-cpp"
        [
          "llama-cpp"
          "big"
        ]
        [ "AUTODETECT" ]
        true
        "\${{ secrets.ENGINE_KEY_LITELLM }}"
      ];
  "warns about an agent whose engine declares no model" = equal (lib.any
    (lib.hasInfix "services.aiStack.aider.model")
    (
      (on {
        aider.enable = true;
        ollama.enable = true;
      }).warnings
    )
  ) true;
  "LiteLLM lists the models of its engines, next to a setting from the user" =
    equal
      (builtins.fromJSON (
        file {
          litellm = {
            enable = true;
            settings.litellm_settings.request_timeout = 600;
          };
        } "litellm" "/etc/litellm/config.yaml"
      )).litellm_settings
      {
        check_provider_endpoint = true;
        request_timeout = 600;
      };

  # ── requirements of the images ──
  "a container has less time to stop than its unit" =
    let
      seen = (on { redis.enable = true; }).virtualisation.quadlet.containers.local-ai-redis;
    in
    equal
      [
        seen.containerConfig.stopTimeout
        seen.serviceConfig.TimeoutStopSec
      ]
      [
        80
        90
      ];
  "Alloy's data is outside of the closed folder of its image" =
    let
      seen = container {
        alloy.enable = true;
        loki.enable = true;
      } "alloy";
    in
    equal
      [
        (lib.elem "/var/lib/local-ai/alloy:/alloy" seen.volumes)
        (lib.elem "--storage.path=/alloy" seen.exec)
      ]
      [
        true
        true
      ];
  "Aider's workspace belongs to the user of its image" =
    let
      seen = manifest { aider.enable = true; };
    in
    equal
      [
        # In the host's ids, because the container has its own range.
        (map (d: d.owner.uid - (seen.services.aider.ids.start or 0)) seen.services.aider.data)
        (container { aider.enable = true; } "aider").healthCmd
      ]
      [
        [ 1000 ]
        "test -w /workspace"
      ];
  "MindsDB has podman's init and the page of its image" =
    equal
      [
        (container { mindsdb.enable = true; } "mindsdb").runInit
        (lib.length (manifest { mindsdb.enable = true; }).services.mindsdb.setup)
      ]
      [
        true
        1
      ];
  "the data folder of Open WebUI hides no model of its image" =
    let
      seen = container { open-webui.enable = true; } "open-webui";
    in
    equal
      [
        (lib.elem "/var/lib/local-ai/open-webui:/data" seen.volumes)
        seen.environments.DATA_DIR
        seen.environments.RAG_EMBEDDING_MODEL_AUTO_UPDATE
        seen.environments.ENABLE_SIGNUP
        (seen.environments ? RAG_EMBEDDING_ENGINE)
      ]
      [
        true
        "/data"
        "false"
        "false"
        false
      ];
  "Open WebUI uses the stack's embeddings if configured" =
    let
      env =
        (container {
          open-webui = {
            enable = true;
            embeddings = "llama-cpp-embed";
          };
          llama-cpp-embed = llama;
        } "open-webui").environments;
    in
    equal
      [
        env.RAG_EMBEDDING_ENGINE
        env.RAG_OPENAI_API_BASE_URL
        env.RAG_EMBEDDING_MODEL
      ]
      [
        "openai"
        "http://local-ai-llama-cpp-embed:8080/v1"
        "llama-cpp-embed"
      ];
  "refuses a public address for Open WebUI without an administrator" =
    let
      open = {
        enable = true;
        address = "0.0.0.0";
        openFirewall = true;
      };
    in
    equal
      [
        (refuses (on { open-webui = open; }) [
          "services.aiStack.open-webui.address"
          "adminEmail"
        ])
        (accepts (on {
          open-webui = open // {
            adminEmail = "me@example.org";
            secretEnv.WEBUI_ADMIN_PASSWORD = "/run/secrets/webui";
          };
        }))
        (refuses
          (on {
            open-webui = {
              enable = true;
              adminEmail = "me@example.org";
            };
          })
          [
            "adminEmail"
            "WEBUI_ADMIN_PASSWORD"
          ]
        )
      ]
      [
        null
        null
        null
      ];
  "Loki replays at most half of its memory" =
    equal
      (builtins.fromJSON (
        file {
          loki = {
            enable = true;
            resources.memory = "1g";
          };
        } "loki" "/etc/loki/config.yaml"
      )).ingester.wal.replay_memory_ceiling
      "512MB";
  "Qdrant is its container's first process" =
    equal (container { qdrant.enable = true; } "qdrant").entrypoint
      "./qdrant";
  # ── values arrive literally ──
  "systemd expands nothing in the values of a service" =
    let
      seen = container {
        redis = {
          enable = true;
          environment.X = "$HOME %H";
          extraArgs = [ "100%" ];
          health.command = "echo $PATH";
          data.data = "/srv/100%";
        };
        postgres = {
          enable = true;
          settings.log_line_prefix = "%m [%p] ";
        };
      };
    in
    equal
      [
        (seen "redis").environments.X
        (lib.last (seen "redis").exec)
        (seen "redis").healthCmd
        (lib.head (seen "redis").volumes)
        (lib.elem "log_line_prefix=%%m [%%p] " (seen "postgres").exec)
      ]
      [
        "$$HOME %%H"
        "100%%"
        "echo $$PATH"
        "/srv/100%%:/data"
        true
      ];
  "paths with white space are one word in units" =
    let
      config = on {
        dataRoot = lib.mkForce "/srv/my data/%h";
        redis.enable = true;
      };
    in
    equal config.virtualisation.quadlet.containers.local-ai-redis.unitConfig.WantsMountsFor [
      ''"/srv/my data/%%h/redis"''
    ];

  # ── no secret in the store ──
  "refuses secrets in plain options, and names the option to use" =
    let
      leaks = module: words: refuses (on module) words;
    in
    equal (lib.filterAttrs (_: seen: seen != null) {
      keys = leaks {
        open-webui = {
          enable = true;
          environment.OPENAI_API_KEYS = "a;b";
        };
      } [ "services.aiStack.open-webui.secretEnv.OPENAI_API_KEYS" ];
      pass = leaks {
        grafana = {
          enable = true;
          environment.GF_SMTP_PASS = "x";
        };
      } [ "services.aiStack.grafana.secretEnv.GF_SMTP_PASS" ];
      auth = leaks {
        redisinsight = {
          enable = true;
          environment.REDIS_AUTH = "x";
        };
      } [ "services.aiStack.redisinsight.secretEnv.REDIS_AUTH" ];
      pwd = leaks {
        redis = {
          enable = true;
          environment.MY_PWD = "x";
        };
      } [ "services.aiStack.redis.secretEnv.MY_PWD" ];
      master =
        leaks
          {
            litellm = {
              enable = true;
              settings.general_settings.master_key = "abc";
            };
          }
          [
            "services.aiStack.litellm.settings.general_settings.master_key"
            "services.aiStack.litellm.secretEnv"
          ];
      route = leaks {
        litellm = {
          enable = true;
          routes = [
            {
              model_name = "a";
              litellm_params.api_key = "abc";
            }
          ];
        };
      } [ "services.aiStack.litellm.routes.0.litellm_params.api_key" ];
      flag =
        leaks
          {
            llama-cpp = llama // {
              extraArgs = [
                "--api-key"
                "abc"
              ];
            };
          }
          [
            "services.aiStack.llama-cpp.extraArgs"
            "--api-key"
            "secretEnv.LLAMA_API_KEY"
          ];
      joined = leaks {
        vllm = {
          enable = true;
          model = "a/b";
          extraArgs = [ "--api-key=abc" ];
        };
      } [ "services.aiStack.vllm.extraArgs" ];
      redis =
        leaks
          {
            redis = {
              enable = true;
              extraArgs = [
                "--requirepass"
                "abc"
              ];
            };
          }
          [
            "services.aiStack.redis.extraArgs"
            "passwordFile"
          ];
      url = leaks {
        models.m = {
          url = "https://me:pw@models.example/m.gguf";
          sha256 = lib.concatStrings (lib.genList (_: "0") 64);
        };
      } [ "services.aiStack.models.m.tokenFile" ];
      continue =
        leaks
          {
            continue = {
              enable = true;
              models = [
                {
                  name = "x";
                  apiKey = "abc";
                }
              ];
            };
          }
          [
            "services.aiStack.continue.models.0.apiKey"
            "secrets.NAME"
          ];
      scrape = leaks {
        prometheus = {
          enable = true;
          scrapeConfigs = [ { basic_auth.password = "abc"; } ];
        };
      } [ "services.aiStack.prometheus.scrapeConfigs.0.basic_auth.password" ];
    }) { };
  "accepts names of secrets, files and numbers in plain options" = accepts (on {
    litellm = {
      enable = true;
      settings.general_settings.database_url = "os.environ/DATABASE_URL";
      routes = [
        {
          model_name = "a";
          litellm_params.api_key = "os.environ/OTHER_KEY";
        }
      ];
    };
    continue = {
      enable = true;
      models = [ { apiKey = "\${{ secrets.OTHER }}"; } ];
    };
    llama-cpp = llama // {
      extraArgs = [
        "--api-key-file"
        "/run/secrets/keys"
        "--token-count"
        "12"
        "--keep"
        "-1"
      ];
    };
    postgres = {
      enable = true;
      environment.POSTGRES_HOST_AUTH_METHOD = "trust";
    };
  });
  "refuses an invalid name of a model's file, and a folder with a colon" =
    equal
      [
        (refuses (on {
          models.m = {
            url = "https://models.example/m.gguf";
            sha256 = lib.concatStrings (lib.genList (_: "0") 64);
            fileName = "..";
          };
        }) [ "services.aiStack.models.m.fileName" ])
        (refuses (on {
          redis = {
            enable = true;
            data.data = "/srv/a:b";
          };
        }) [ "services.aiStack.redis.data.data" ])
        (refuses (on {
          redis = {
            enable = true;
            data.data = "/srv/a\nb";
          };
        }) [ "services.aiStack.redis.data.data" ])
      ]
      [
        null
        null
        null
      ];
  "refuses a public address for vLLM with a key" = refuses (on {
    gpu.backend = "cuda";
    vllm = {
      enable = true;
      model = "a/b";
      address = "0.0.0.0";
      openFirewall = true;
      secretEnv.VLLM_API_KEY = "/run/secrets/vllm";
    };
  }) [ "services.aiStack.vllm.allowUnauthenticated" ];
  "no two services of the project have the same user ids" =
    let
      ids = import ../../modules/stack/ids.nix { inherit lib; };
      starts = map ids.startOf serviceNames;
    in
    equal (lib.length (lib.unique starts)) (lib.length starts);

  # ── risks of the images ──
  "refuses a GGUF file for a vLLM that cannot read it" =
    let
      stack = image: {
        gpu.backend = "cuda";
        models.tiny = {
          url = "https://models.example/tiny.gguf";
          sha256 = lib.concatStrings (lib.genList (_: "0") 64);
        };
        vllm = {
          enable = true;
          model = "tiny";
        }
        // image;
      };
    in
    equal
      [
        (refuses (on (stack { })) [
          "services.aiStack.vllm.model"
          "services.aiStack.llama-cpp.model"
        ])
        # AMD's image is of 0.23, and one's own may have the plugin.
        (accepts (on (stack { } // { gpu.backend = "rocm"; })))
        (accepts (
          on (stack {
            image = "registry.example/vllm-gguf:1@sha256:${lib.concatStrings (lib.genList (_: "0") 64)}";
          })
        ))
      ]
      [
        null
        null
        null
      ];
  "refuses AMD's image for RDNA cards on an Instinct" =
    let
      card = target: {
        slot = "0000:03:00.0";
        vendor = "amd";
        backend = "rocm";
        gfxTarget = target;
      };
      of =
        target:
        on {
          gpu = {
            backend = "rocm";
            cards = [ (card target) ];
          };
          vllm = {
            enable = true;
            model = "a/b";
          };
        };
    in
    equal
      [
        (refuses (of "gfx942") [
          "services.aiStack.vllm.image"
          "_cdna_"
        ])
        (accepts (of "gfx1100"))
      ]
      [
        null
        null
      ];
  "vLLM's context is the model's own unless it is set" =
    let
      exec =
        more:
        (container {
          gpu.backend = "cuda";
          vllm = {
            enable = true;
            model = "a/b";
          }
          // more;
        } "vllm").exec;
    in
    equal
      [
        (lib.elem "--max-model-len" (exec { }))
        (util.lastArgument (exec { maxModelLen = 4096; }) "--max-model-len")
      ]
      [
        false
        "4096"
      ];
  "only quantised values in the KV cache need flash attention" =
    let
      of =
        types:
        on {
          llama-cpp =
            llama
            // {
              flashAttention = "off";
            }
            // types;
        };
    in
    equal
      [
        (accepts (of {
          cacheTypeK = "q8_0";
          cacheTypeV = "f16";
        }))
        (refuses (of { cacheTypeK = "f16"; }) [ "services.aiStack.llama-cpp.cacheTypeV" ])
      ]
      [
        null
        null
      ];
  "PostgreSQL is healthy once it answers over TCP" = equal (lib.hasPrefix
    "pg_isready -q -h 127.0.0.1 -p 5432 "
    (container {
      postgres.enable = true;
    } "postgres").healthCmd
  ) true;
  "an extension that must be loaded at the start is loaded" = equal (lib.elem
    "shared_preload_libraries=timescaledb,pg_textsearch"
    (container {
      postgres = {
        enable = true;
        databases.docs.extensions = [ "pg_textsearch" ];
      };
    } "postgres").exec
  ) true;
  "runAs sets the user of the user's own image" =
    let
      module = {
        goose = private // {
          runAs = {
            uid = 1234;
            gid = 1235;
          };
        };
      };
    in
    equal
      [
        (container module "goose").user
        (coreIn "user" (module // { enable = true; }))
        .virtualisation.quadlet.containers.local-ai-goose.containerConfig.userns
      ]
      [
        "1234:1235"
        "keep-id:uid=1234,gid=1235"
      ];
  "containers run without SELinux labels in a home, unless enabled" =
    let
      of =
        scope: more:
        (coreIn scope (
          {
            enable = true;
            redis.enable = true;
          }
          // more
        )).virtualisation.quadlet.containers.local-ai-redis.containerConfig.securityLabelDisable;
    in
    equal
      [
        (of "user" { })
        (of "user" { selinuxLabels = true; })
        (of "system" { })
      ]
      [
        true
        null
        null
      ];
  "telemetry is disabled, and nothing runs on other servers" =
    let
      env =
        name: more:
        (container {
          gpu.backend = "cuda";
          ${name} = {
            enable = true;
          }
          // more;
        } name).environments;
    in
    equal
      [
        (env "ollama" { }).OLLAMA_NO_CLOUD
        (env "tgi" { model = "a/b"; }).USAGE_STATS
        (env "vllm" { model = "a/b"; }).VLLM_NO_USAGE_STATS
        (env "open-webui" { }).ENABLE_VERSION_UPDATE_CHECK
        (env "litellm" { }).LITELLM_LOCAL_MODEL_COST_MAP
        (env "mindsdb" { }).MINDSDB_NO_STUDIO
        (env "redisinsight" { }).RI_STDOUT_LOGGER
        (env "grafana" { }).GF_NEWS_NEWS_FEED_ENABLED
      ]
      [
        "1"
        "off"
        "1"
        "false"
        "True"
        "true"
        "true"
        "false"
      ];
  "a system and a home name the missing option" =
    let
      stack = {
        enable = true;
        llama-cpp.enable = true;
        vllm.enable = true;
      };
      # tryEval catches a failed assertion, but not every evaluation error.
      builds = config: (builtins.tryEval config.system.build.toplevel.drvPath).success;
      system = nixos [ { services.aiStack = stack; } ];
      home = nixos [ (withHome stack) ];
    in
    equal
      [
        (builds system)
        (builds home)
        (refuses system [ "services.aiStack.llama-cpp.model is not set" ])
        (refuses home.home-manager.users.ann [ "services.aiStack.vllm.model is not set" ])
      ]
      [
        false
        false
        null
        null
      ];
}
# ── each service alone: it evaluates, or names the missing option ──
// lib.mergeAttrsList (
  lib.concatMap
    (
      scope:
      map (
        name:
        let
          config = coreIn scope {
            enable = true;
            ${name}.enable = true;
          };
          said = messages config;
          # All values that a back end turns into files. Configuration files are texts here.
          rendered = {
            inherit (config.services.aiStack)
              manifest
              units
              scenarios
              userFiles
              ledger
              ;
            inherit (config.virtualisation) quadlet;
            texts = lib.mapAttrs (_: s: s.configTexts) config.services.aiStack.resolved.services;
            inherit (config) warnings;
          };
          tried = builtins.tryEval (
            # Also with a failed assertion: other modules of NixOS read our units and containers in their
            # own assertions, and an error there would hide ours.
            builtins.deepSeq said (
              builtins.stringLength (builtins.toJSON (rendered // { ledger = rendered.ledger.table; }))
            )
          );
          unclear = lib.filter (m: !(lib.hasInfix "services.aiStack." m)) said;
        in
        {
          "${name} alone in ${scope} scope evaluates, or names the option that is missing" =
            if !tried.success then
              "an error of evaluation"
            else if unclear != [ ] then
              "no option is named: ${toString unclear}"
            else
              null;
        }
      ) serviceNames
    )
    [
      "system"
      "user"
    ]
)
