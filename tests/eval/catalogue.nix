# Evaluation tests of the project's services: connections between services, refused
# configurations, models, secrets and databases.
{
  lib,
  on,
  manifest,
  container,
  nixos,
  refuses,
  accepts,
  equal,
  throws,
}:
let
  inherit (lib) elem hasInfix head;

  # The configuration of each service; no service is enabled.
  catalog =
    let
      stack = (on { }).services.aiStack;
    in
    lib.genAttrs stack.serviceNames (name: stack.${name});

  file =
    module: name: target:
    (on module).services.aiStack.resolved.services.${name}.configTexts.${target};
  json =
    module: name: target:
    builtins.fromJSON (file module name target);
  units = module: (on module).services.aiStack.units;
  warnsOf = module: lib.concatStringsSep "\n" (on module).warnings;
  secretsOf =
    module: name:
    lib.listToAttrs (
      map (s: lib.nameValuePair s.name s.source) (manifest module).services.${name}.secrets
    );

  repeated = n: c: lib.concatStrings (lib.genList (_: c) n);
  hash = repeated 64 "0";
  model = {
    url = "https://models.example/a/tiny.gguf?x=1";
    sha256 = hash;
  };
  llama = {
    enable = true;
    model = "m.gguf";
  };
  vllm = {
    enable = true;
    model = "a/b";
  };
  private = {
    enable = true;
    image = "registry.example/x:1@sha256:${hash}";
  };
  databases = {
    postgres.enable = true;
    redis.enable = true;
  };
  withKey = databases // {
    postgres = {
      enable = true;
      secretEnv.POSTGRES_PASSWORD = "/run/secrets/pg";
    };
  };
  scrapes =
    stack:
    (json (stack // { prometheus.enable = true; }) "prometheus" "/etc/prometheus/prometheus.yml")
    .scrape_configs;
in
{
  # ── private images ──
  "a service without a default image says how to set one" =
    refuses (on (databases // { aidb.enable = true; }))
      [
        "services.aiStack.aidb has no default image"
        "services.aiStack.aidb.image"
      ];
  "accepts aidb with an image" = accepts (on (databases // { aidb = private; }));
  "refuses aidb without its databases" = refuses (on { aidb = private; }) [
    "services.aiStack.aidb needs postgres, redis"
  ];

  # ── connections between services ──
  "Open WebUI uses every enabled engine" =
    let
      env =
        (container {
          open-webui.enable = true;
          ollama.enable = true;
          llama-cpp = llama;
          llama-cpp-embed = llama;
          litellm.enable = true;
        } "open-webui").environments;
    in
    equal
      [
        env.OLLAMA_BASE_URL
        env.OPENAI_API_BASE_URLS
      ]
      [
        "http://local-ai-ollama:11434"
        "http://local-ai-litellm:4000/v1"
      ];
  "another host port changes no address inside the network" =
    equal
      (container {
        open-webui.enable = true;
        llama-cpp = llama // {
          ports.http = 9999;
        };
      } "open-webui").environments.OPENAI_API_BASE_URLS
      "http://local-ai-llama-cpp:8080/v1";
  "LiteLLM has a route for every engine, and marks embeddings" =
    let
      routes =
        (json {
          litellm.enable = true;
          llama-cpp = llama // {
            alias = "small";
          };
          llama-cpp-embed = llama;
          ollama = {
            enable = true;
            models = [ "llama3.2:3b" ];
          };
        } "litellm" "/etc/litellm/config.yaml").model_list;
      named = name: lib.findFirst (r: r.model_name == name) null routes;
    in
    equal
      [
        (named "small").litellm_params
        (named "llama-cpp").litellm_params.model
        (named "llama-cpp-embed").model_info.mode
        (named "llama3.2:3b").litellm_params.api_base
        (named "ollama/*").litellm_params.model
      ]
      [
        {
          api_base = "http://local-ai-llama-cpp:8080/v1";
          api_key = "none";
          model = "openai/small";
        }
        "openai/small"
        "embedding"
        "http://local-ai-ollama:11434/v1"
        "openai/*"
      ];
  "LiteLLM gets an engine's key as a secret, not in its configuration" =
    let
      stack = {
        litellm.enable = true;
        llama-cpp = llama // {
          secretEnv.LLAMA_API_KEY = "/run/secrets/llama";
        };
      };
    in
    equal
      [
        (hasInfix "os.environ/ENGINE_KEY_LLAMA_CPP" (file stack "litellm" "/etc/litellm/config.yaml"))
        (secretsOf stack "litellm").local-ai-litellm-ENGINE_KEY_LLAMA_CPP
      ]
      [
        true
        "/run/secrets/llama"
      ];
  "aidb gets the addresses of its databases, and their passwords as secrets" =
    let
      stack = withKey // {
        aidb = private;
        qdrant.enable = true;
      };
      env = (container stack "aidb").environments;
    in
    equal
      [
        env.POSTGRES_HOST
        env.QDRANT_URL
        (secretsOf stack "aidb").local-ai-aidb-POSTGRES_PASSWORD
      ]
      [
        "local-ai-postgres"
        "http://local-ai-qdrant:6333"
        "/run/secrets/pg"
      ];
  "server and client read a generated password from the same file" =
    equal (secretsOf (databases // { aidb = private; }) "aidb").local-ai-aidb-POSTGRES_PASSWORD
      "/var/lib/local-ai/secrets/postgres/POSTGRES_PASSWORD";
  "the coordinator declares its collections, and the user can override them" =
    let
      seen =
        (manifest {
          qdrant = {
            enable = true;
            collections.best-practices.size = 1024;
          };
          hybrid-coordinator = private // {
            embeddingSize = 768;
          };
        }).services.qdrant.qdrant.collections;
    in
    equal (map (c: "${c.name} ${toString c.size} ${c.distance}") seen) [
      "best-practices 1024 Cosine"
      "codebase-context 768 Cosine"
      "error-solutions 768 Cosine"
      "interaction-history 768 Cosine"
      "skills-patterns 768 Cosine"
    ];
  "Qdrant without collections has nothing to set up" = equal (
    (manifest { qdrant.enable = true; }).services.qdrant ? qdrant
  ) false;
  "an agent uses the enabled engine" =
    equal
      (container {
        goose = private;
        ollama.enable = true;
        llama-cpp = llama;
      } "goose").environments.OPENAI_BASE_URL
      "http://local-ai-llama-cpp:8080/v1";
  "stack.json has the addresses and ranks of the engines" =
    equal
      (lib.mapAttrs (_: s: s.engine or null)
        (manifest {
          litellm = {
            enable = true;
            address = "0.0.0.0";
            openFirewall = true;
            allowUnauthenticated = true;
          };
          llama-cpp = llama;
          llama-cpp-embed = llama;
          redis.enable = true;
        }).services
      )
      {
        litellm = {
          url = "http://127.0.0.1:4000/v1";
          rank = 1;
          apiKeySource = "/var/lib/local-ai/secrets/litellm/LITELLM_MASTER_KEY";
        };
        llama-cpp = {
          url = "http://127.0.0.1:8080/v1";
          rank = 2;
        };
        # An engine for embeddings cannot chat.
        llama-cpp-embed = null;
        redis = null;
      };
  "no two engines have the same rank" =
    let
      ranks = lib.filter (rank: rank != null) (
        lib.mapAttrsToList (_: s: if s.openai == null then null else s.openai.rank) catalog
      );
    in
    equal (lib.length (lib.unique ranks)) (lib.length ranks);
  "refuses an agent whose engine is not enabled" =
    refuses
      (on {
        goose = private // {
          engine = "vllm";
        };
      })
      [
        ''services.aiStack.goose.engine = "vllm"''
        "services.aiStack.vllm.enable"
      ];
  "Ralph has no value for an endless loop" =
    throws
      (on {
        ralph = private // {
          maxIterations = 0;
        };
      }).services.aiStack.ralph.maxIterations;

  # ── monitoring ──
  "Prometheus scrapes exactly the enabled services" =
    equal
      (map (j: (head (head j.static_configs).targets)) (scrapes {
        qdrant.enable = true;
        redis.enable = true;
        llama-cpp = llama;
      }))
      [
        "local-ai-llama-cpp:8080"
        "local-ai-prometheus:9090"
        "local-ai-qdrant:6333"
      ];
  "Prometheus reads the key of a service from a file" =
    let
      stack = {
        prometheus.enable = true;
        qdrant = {
          enable = true;
          secretEnv.QDRANT__SERVICE__API_KEY = "/run/secrets/q";
        };
      };
    in
    equal
      [
        (lib.last (scrapes stack)).authorization.credentials_file
        (lib.attrValues (secretsOf stack "prometheus"))
      ]
      [
        "/run/secrets/metrics-qdrant"
        [ "/run/secrets/q" ]
      ];
  "the dashboard has panels for the enabled services" =
    let
      shows =
        stack:
        elem "Qdrant: collections" (
          map (p: p.title)
            (json (
              stack
              // {
                grafana.enable = true;
                prometheus.enable = true;
              }
            ) "grafana" "/etc/grafana/dashboards/local-ai.json").panels
        );
    in
    equal
      [
        (shows { qdrant.enable = true; })
        (shows { })
      ]
      [
        true
        false
      ];
  "NixOS's own Prometheus scrapes the stack" =
    let
      jobs =
        (nixos [
          {
            services.prometheus = {
              enable = true;
              port = 9099;
            };
            services.aiStack = {
              enable = true;
              qdrant.enable = true;
            };
          }
        ]).services.prometheus.scrapeConfigs;
    in
    equal (map (j: j.job_name) jobs) [ "local-ai-qdrant" ];
  "a changed configuration file changes the container" =
    let
      of =
        retention:
        (manifest {
          loki = {
            enable = true;
            inherit retention;
          };
        }).services.loki.configHash;
    in
    equal (of "24h" == of "48h") false;

  # ── engines ──
  "refuses vLLM without a GPU" = refuses (on { inherit vllm; }) [
    "services.aiStack.vllm needs an NVIDIA or AMD GPU"
    "allowCpu"
  ];
  "the command for AMD's image of vLLM begins with its program" =
    equal
      (lib.take 3
        (container {
          gpu.backend = "rocm";
          inherit vllm;
        } "vllm").exec
      )
      [
        "vllm"
        "serve"
        "a/b"
      ];
  "vLLM claims its share of the card's memory" = equal (hasInfix "vllm takes 20400 MiB" (warnsOf {
    gpu = {
      backend = "cuda";
      cards = [
        {
          slot = "0000:01:00.0";
          vendor = "nvidia";
          backend = "cuda";
          vramMiB = 24000;
        }
      ];
    };
    inherit vllm;
    ollama = {
      enable = true;
      gpu.memoryMiB = 8000;
    };
  })) true;
  "warns about a model without a revision" = equal (hasInfix "vllm.revision" (warnsOf {
    gpu.backend = "cuda";
    inherit vllm;
  })) true;
  "warns about an archived server" = equal (hasInfix "archived" (warnsOf {
    gpu.backend = "cuda";
    tgi = vllm;
  })) true;
  "refuses a batch smaller than the longest text" =
    refuses
      (on {
        llama-cpp-embed = llama // {
          ubatchSize = 512;
        };
      })
      [
        "ubatchSize = 512"
        "longestChunk = 2048"
      ];
  "refuses a slot smaller than the longest text" =
    refuses
      (on {
        llama-cpp-embed = llama // {
          parallel = 8;
        };
      })
      [
        "leaves 1024"
        "longestChunk = 2048"
      ];

  # ── models ──
  "an engine gets the file and the unit of a declared model" =
    let
      stack = {
        models.tiny = model;
        llama-cpp = llama // {
          model = "tiny";
        };
      };
      wanted = head (manifest stack).services.llama-cpp.files;
    in
    equal
      [
        wanted.path
        wanted.unit
        (elem "/models/tiny.gguf" (container stack "llama-cpp").exec)
        (manifest stack).models.tiny.path
        (units stack)."local-ai-model-tiny.service".Unit.OnSuccess
      ]
      [
        "/var/lib/local-ai/models/tiny.gguf"
        "local-ai-model-tiny.service"
        true
        "/var/lib/local-ai/models/tiny.gguf"
        [ "local-ai-llama-cpp.service" ]
      ];
  "a switch does not wait for the download of a model" =
    let
      seen = units { models.tiny = model; };
      unit = seen."local-ai-model-tiny.service";
    in
    equal
      [
        (elem "local-ai-model-tiny.service" seen."local-ai.target".Unit.Wants)
        unit.Service.Type
        (unit ? Install)
      ]
      [
        true
        "exec"
        false
      ];
  "the address of a model on Hugging Face contains the commit" =
    equal
      (manifest {
        models.m = {
          huggingface = {
            repo = "a/b";
            file = "c.gguf";
            revision = repeated 40 "a";
          };
          sha256 = hash;
        };
      }).models.m.url
      "https://huggingface.co/a/b/resolve/${repeated 40 "a"}/c.gguf";
  "a branch as a revision is a type error" =
    throws
      (manifest {
        models.m = {
          huggingface = {
            repo = "a/b";
            file = "c.gguf";
            revision = "main";
          };
          sha256 = hash;
        };
      }).models;
  "an invalid hash is a type error" =
    throws
      (manifest {
        models.m = model // {
          sha256 = "abc";
        };
      }).models;
  "refuses two models with one file name" =
    refuses
      (on {
        models = {
          a = model;
          b = model;
        };
      })
      [
        "tiny.gguf"
        "fileName"
      ];
  "refuses a model outside of the engine's folder" =
    refuses
      (on {
        models.tiny = model;
        llama-cpp = llama // {
          model = "tiny";
          data.models = "/srv/elsewhere";
        };
      })
      [
        "services.aiStack.llama-cpp.data.models"
        "/var/lib/local-ai/models"
      ];
  "refuses an import of an unknown model" = refuses (on {
    ollama = {
      enable = true;
      importModels = [ "nope" ];
    };
  }) [ "services.aiStack.ollama.importModels: nope" ];
  "a separate unit loads the models of Ollama" =
    let
      unit =
        (units {
          ollama = {
            enable = true;
            models = [ "llama3.2:3b" ];
          };
        })."local-ai-ollama-models.service";
    in
    equal
      [
        (hasInfix "ollama-load" unit.Service.ExecStart)
        (hasInfix "llama3.2:3b" unit.Service.ExecStart)
        (unit.Unit ? Wants || unit.Unit ? Requires)
        unit.Unit.PartOf
      ]
      [
        true
        true
        false
        [ "local-ai.target" ]
      ];
  "Ollama without models has no loader unit" = equal (
    (units { ollama.enable = true; }) ? "local-ai-ollama-models.service"
  ) false;

  # ── databases ──
  "PostgreSQL's version, databases and users are in the manifest" =
    let
      p =
        (manifest {
          postgres = {
            enable = true;
            users.app.passwordFile = "/run/secrets/app";
            databases.app = {
              owner = "app";
              extensions = [ "vector" ];
            };
          };
        }).services.postgres.postgres;
    in
    equal
      [
        p.major
        (map (d: "${d.name} of ${d.owner}") p.databases)
        (head p.roles).passwordSource
      ]
      [
        18
        [
          "mcp of mcp"
          "app of app"
        ]
        "/run/secrets/app"
      ];
  "aidb adds its tables to PostgreSQL's migrations" = equal (lib.hasSuffix "-aistack-migrations-aidb"
    (head (manifest (databases // { aidb = private; })).services.postgres.postgres.databases).migrations
  ) true;
  "refuses a database owner who is not a user" =
    refuses
      (on {
        postgres = {
          enable = true;
          databases.app.owner = "nobody";
        };
      })
      [
        "the owner nobody"
        "services.aiStack.postgres.users"
      ];
  "the machine's memory and cores tune the server" =
    let
      exec =
        (container {
          facts = {
            schema = 1;
            memory.totalMiB = 16384;
            cpu.cores = 8;
          };
          postgres = {
            enable = true;
            resources.memory = null;
          };
        } "postgres").exec;
      wanted = [
        "shared_buffers=4096MB"
        "effective_cache_size=12288MB"
        "max_parallel_workers=8"
        "max_connections=200"
      ];
    in
    equal (lib.subtractLists exec wanted) [ ];

  # ── secrets ──
  "a changed secret restarts its service only" =
    let
      seen = units (withKey // { ollama.enable = true; });
    in
    equal
      [
        (lib.filter (hasInfix "-secrets.path") (lib.attrNames seen))
        seen."local-ai-postgres-secrets.path".Path.PathChanged
        (hasInfix "rotate postgres" seen."local-ai-postgres-secrets.service".Service.ExecStart)
      ]
      [
        [ "local-ai-postgres-secrets.path" ]
        [ "/run/secrets/pg" ]
        true
      ];
  "services with secrets start after sops-nix" =
    equal (hasInfix "sops-install-secrets.service" (builtins.toJSON (on withKey).virtualisation.quadlet.containers.local-ai-postgres.unitConfig)) true;

  # ── podman ──
  "the facts' file system selects podman's storage driver" =
    let
      driver =
        facts:
        (nixos [
          {
            services.aiStack = {
              enable = true;
            }
            // lib.optionalAttrs (facts != null) {
              facts = {
                schema = 1;
                fileSystems.containers = facts;
              };
            };
          }
        ]).virtualisation.containers.storage.settings.storage.driver;
    in
    equal
      [
        (driver "btrfs")
        (driver "ext4")
        (driver null)
      ]
      [
        "btrfs"
        "overlay"
        "overlay"
      ];
  "rootless Docker provides the command docker, and its unused data is removed" =
    let
      config = nixos [
        {
          services.aiStack = {
            enable = true;
            engine = {
              rootlessDocker = true;
              storageDriver = "vfs";
            };
          };
        }
      ];
    in
    equal
      [
        config.virtualisation.podman.dockerCompat
        (config.systemd.user.timers ? local-ai-docker-prune)
        (lib.any (hasInfix "copies every layer") config.warnings)
      ]
      [
        false
        true
        true
      ];

  # ── security ──
  "each added capability and each mounted folder of the host has a reason" = equal (lib.filter
    (why: why == "")
    (
      lib.concatLists (
        lib.mapAttrsToList (_: s: lib.attrValues s.capabilities ++ map (m: m.why) s.mounts) catalog
      )
    )
  ) [ ];
  "no service is privileged, and every service drops all capabilities" =
    let
      seen = lib.mapAttrs (_: c: c.containerConfig) (on databases).virtualisation.quadlet.containers;
      loose = lib.filterAttrs (
        _: c:
        !(lib.elem "all" c.dropCapabilities)
        || !c.noNewPrivileges
        || lib.any (hasInfix "privileged") c.podmanArgs
      ) seen;
    in
    equal (lib.attrNames loose) [ ];
  "refuses the tag latest for each service" =
    refuses
      (on {
        litellm = {
          enable = true;
          image = "ghcr.io/berriai/litellm:latest";
        };
      })
      [
        "services.aiStack.litellm.image"
        "latest"
      ];
  "an editor's configuration has no container" =
    let
      config = on {
        continue.enable = true;
        llama-cpp = llama;
      };
    in
    equal
      [
        (lib.attrNames config.services.aiStack.manifest.services)
        (head (builtins.fromJSON config.services.aiStack.userFiles.".continue/config.yaml").models).apiBase
      ]
      [
        [ "llama-cpp" ]
        "http://127.0.0.1:8080/v1"
      ];
}
