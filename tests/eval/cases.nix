# Evaluation tests: name -> null if the test passes, else the value that was found.
{ self, inputs }:
let
  inherit (inputs.nixpkgs) lib;
  inherit (lib)
    concatStringsSep
    filter
    hasInfix
    ;

  util = import ../../lib { inherit lib; };
  addresses = import ../../lib/addresses.nix { inherit lib; };
  ledger = import ../../modules/ledger/conflicts.nix { inherit lib addresses; };

  # The core alone, without NixOS around it: quick, and enough to test the core.
  core = coreIn "system";
  coreIn =
    scope: module:
    (import ../../lib/core.nix { inherit lib; } { inherit scope; } [
      { services.aiStack = module; }
    ]).config;

  on = module: core ({ enable = true; } // module);
  manifest = module: (on module).services.aiStack.manifest;
  container =
    module: name: (on module).virtualisation.quadlet.containers."local-ai-${name}".containerConfig;

  messages = config: map (a: a.message) (filter (a: !a.assertion) config.assertions);

  machine = {
    nixpkgs.hostPlatform = "x86_64-linux";
    fileSystems."/" = {
      device = "/dev/disk/by-label/nixos";
      fsType = "ext4";
    };
    boot.loader.grub.enable = false;
    system.stateVersion = "26.05";
  };
  nixos =
    modules:
    (lib.nixosSystem {
      modules = [
        machine
        self.nixosModules.default
        inputs.home-manager.nixosModules.home-manager
      ]
      ++ modules;
    }).config;
  withHome = stack: {
    users.users.ann.isNormalUser = true;
    home-manager.users.ann = {
      imports = [ self.homeModules.default ];
      home.stateVersion = "26.05";
      services.aiStack = {
        enable = true;
      }
      // stack;
    };
  };

  ## The statements of the tests.

  # One message of the failing assertions contains all of the words.
  refuses =
    config: words:
    let
      said = messages config;
      fits = message: lib.all (word: hasInfix word message) words;
    in
    if lib.any fits said then
      null
    else
      "no assertion with the words ${concatStringsSep ", " words}; failing: ${
        if said == [ ] then "none" else concatStringsSep " | " said
      }";
  accepts =
    config:
    let
      said = messages config;
    in
    if said == [ ] then null else "refused: ${concatStringsSep " | " said}";
  equal =
    seen: wanted:
    if seen == wanted then null else "seen ${builtins.toJSON seen}, wanted ${builtins.toJSON wanted}";
  # An error of evaluation, from a type or a throw.
  throws =
    value: if (builtins.tryEval (builtins.deepSeq value null)).success then "no error" else null;

  port = port: address: {
    kind = "port";
    protocol = "tcp";
    owner = "x";
    option = "y";
    inherit port address;
  };
  clashes =
    a: b:
    ledger.conflicts [
      a
      b
    ] != [ ];

  key = "/run/secrets/key";

  gpu = import ./gpu.nix {
    inherit
      lib
      core
      refuses
      accepts
      equal
      ;
    nixos =
      modules: nixos (modules ++ [ { home-manager.sharedModules = [ self.homeModules.default ]; } ]);
  };
  services = import ./services.nix {
    inherit
      lib
      self
      nixos
      on
      equal
      throws
      ;
  };
  catalogue = import ./catalogue.nix {
    inherit
      lib
      on
      manifest
      container
      nixos
      refuses
      accepts
      equal
      throws
      ;
  };
  definitions = import ./definitions.nix {
    inherit
      lib
      on
      coreIn
      messages
      nixos
      withHome
      manifest
      container
      refuses
      accepts
      equal
      ;
  };
  prep = import ./prep.nix {
    inherit
      lib
      inputs
      self
      machine
      nixos
      refuses
      accepts
      equal
      throws
      ;
  };
  verify = import ./verify.nix {
    inherit
      lib
      self
      on
      nixos
      withHome
      accepts
      refuses
      equal
      ;
  };
  host = import ./host.nix {
    inherit
      lib
      self
      nixos
      withHome
      equal
      ;
  };
  contracts = import ./contracts.nix {
    inherit
      lib
      on
      messages
      refuses
      accepts
      equal
      ;
  };
  isolation = import ./isolation.nix {
    inherit
      lib
      on
      coreIn
      container
      nixos
      refuses
      accepts
      equal
      ;
  };
  ledgerAlone = import ./ledger.nix {
    inherit
      lib
      self
      inputs
      refuses
      accepts
      equal
      ;
  };
  facts = import ./facts.nix {
    inherit
      lib
      on
      nixos
      refuses
      accepts
      equal
      throws
      ;
  };
  nixosTests = import ./nixos.nix { inherit lib self equal; };
in
gpu
// catalogue
// services
// definitions
// prep
// verify
// host
// contracts
// isolation
// facts
// ledgerAlone
// nixosTests
// {
  # ── the ledger ──
  "refuses one port for two services, and names both options" =
    refuses
      (on {
        ollama.enable = true;
        qdrant = {
          enable = true;
          ports.http = 11434;
        };
      })
      [
        "port 11434/tcp on 127.0.0.1"
        "services.aiStack.ollama.ports.http"
        "services.aiStack.qdrant.ports.http"
      ];
  "reports several conflicts together" =
    refuses
      (on {
        ollama.enable = true;
        qdrant = {
          enable = true;
          ports = {
            http = 11434;
            grpc = 8081;
          };
        };
        open-webui.enable = true;
      })
      [
        "2 conflict(s)"
        "11434"
        "8081"
      ];
  "refuses one data directory for two services that write" =
    refuses
      (on {
        redis.enable = true;
        qdrant = {
          enable = true;
          data.storage = "/var/lib/local-ai/redis";
        };
      })
      [
        "data directory /var/lib/local-ai/redis"
        "services.aiStack.qdrant.data.storage"
      ];
  "refuses a port that ledger.extra claims" =
    refuses
      (on {
        ollama.enable = true;
        ledger.extra = [
          {
            port = 11434;
            owner = "the old server";
          }
        ];
      })
      [
        "the old server"
        "services.aiStack.ollama.ports.http"
      ];
  "a wildcard address conflicts with each specific address" =
    equal
      [ true true true ]
      [
        (clashes (port 1 "0.0.0.0") (port 1 "127.0.0.1"))
        (clashes (port 1 "::") (port 1 "10.0.0.1"))
        (clashes (port 1 "::1") (port 1 "::1"))
      ];
  "different addresses, ports and protocols do not conflict" =
    equal
      [ false false false ]
      [
        (clashes (port 1 "127.0.0.1") (port 1 "10.0.0.1"))
        (clashes (port 1 "127.0.0.1") (port 2 "127.0.0.1"))
        (clashes (port 1 "127.0.0.1") (port 1 "127.0.0.1" // { protocol = "udp"; }))
      ];
  "the ledger's table shows every claim" = equal true (
    hasInfix "127.0.0.1:6379/tcp" (on { redis.enable = true; }).services.aiStack.ledger.table
  );
  "reports a conflict with services.ollama of nixpkgs" =
    refuses
      (nixos [
        {
          services.aiStack = {
            enable = true;
            ollama.enable = true;
          };
          services.ollama.enable = true;
        }
      ])
      [
        "services.ollama (NixOS)"
        "services.ollama.port"
        "services.aiStack.ollama.ports.http"
      ];
  "reports a conflict of a user's stack with the system's stack" =
    refuses
      (nixos [
        {
          services.aiStack = {
            enable = true;
            ollama.enable = true;
          };
        }
        (withHome { ollama.enable = true; })
      ])
      [
        "services.aiStack.ollama (system)"
        "services.aiStack.ollama (user ann)"
      ];
  "reports a conflict of a user's stack with services.redis of the system" =
    refuses
      (nixos [
        {
          services.redis.servers.cache = {
            enable = true;
            port = 6379;
          };
        }
        (withHome { redis.enable = true; })
      ])
      [
        "services.redis.servers.cache"
        "user ann"
      ];
  "reports conflicts with services, web servers, exporters and containers of the host" =
    let
      report =
        (nixos [
          {
            services = {
              prometheus = {
                enable = true;
                port = 11434;
                exporters.node = {
                  enable = true;
                  port = 6379;
                };
              };
              grafana = {
                enable = true;
                settings.server.http_port = 8081;
              };
              nginx = {
                enable = true;
                virtualHosts.x.listen = [
                  {
                    addr = "127.0.0.1";
                    port = 5432;
                  }
                ];
              };
              aiStack = {
                enable = true;
                ollama.enable = true;
                open-webui.enable = true;
                redis.enable = true;
                postgres.enable = true;
                qdrant.enable = true;
                llama-cpp = {
                  enable = true;
                  model = "m.gguf";
                };
              };
            };
            virtualisation.oci-containers = {
              backend = "podman";
              containers.old = {
                image = "x:1";
                ports = [ "6330-6335:6330-6335" ];
              };
            };
            virtualisation.quadlet.containers.mine.containerConfig = {
              image = "x:1";
              publishPorts = [ "8080:80" ];
            };
          }
        ]).services.aiStack.ledger.report;
    in
    equal (lib.filter (word: !(hasInfix word report)) [
      "services.prometheus (NixOS): port 11434/tcp"
      "services.prometheus.exporters.node (NixOS): port 6379/tcp"
      "change services.grafana.settings.server.http_port"
      "services.nginx (NixOS): port 5432/tcp on 127.0.0.1"
      "virtualisation.oci-containers.containers.old (NixOS): port 6333/tcp on 0.0.0.0"
      "virtualisation.oci-containers.containers.old (NixOS): port 6334/tcp"
      "change virtualisation.quadlet.containers.mine.containerConfig.publishPorts"
      "7 conflict(s)"
    ]) [ ];
  "refuses two containers with one name" =
    refuses
      (nixos [
        {
          services.aiStack = {
            enable = true;
            redis.enable = true;
          };
          virtualisation.oci-containers = {
            backend = "podman";
            containers.local-ai-redis.image = "x:1";
          };
        }
      ])
      [
        "container name local-ai-redis"
        "virtualisation.oci-containers.containers.local-ai-redis"
      ];
  "refuses a data folder inside the folder of another service" =
    refuses
      (on {
        redis.enable = true;
        qdrant = {
          enable = true;
          data.storage = "/var/lib/local-ai/redis/vectors";
        };
      })
      [
        "data directory /var/lib/local-ai/redis;"
        "data directory /var/lib/local-ai/redis/vectors;"
      ];
  "accepts a data folder whose name only begins like another one" = accepts (on {
    redis.enable = true;
    qdrant = {
      enable = true;
      data.storage = "/var/lib/local-ai/redis-vectors";
    };
  });
  "refuses the data directory of a service of nixpkgs" =
    refuses
      (nixos [
        {
          services.postgresql = {
            enable = true;
            dataDir = "/var/lib/postgresql/17";
          };
          services.aiStack = {
            enable = true;
            postgres = {
              enable = true;
              ports.postgres = 5433;
              data.data = "/var/lib/postgresql";
            };
          };
        }
      ])
      [
        "services.postgresql.dataDir"
        "services.aiStack.postgres.data.data"
      ];
  "reads published ports in podman's notation" =
    let
      published = import ../../modules/ledger/published.nix { inherit lib; };
      show = text: map (p: "${p.address} ${toString p.port} ${p.protocol}") (published text);
    in
    equal
      (map show [
        "8080:80"
        "127.0.0.1:8080:80/udp"
        "[::1]:53:53"
        "8000-8002:9000-9002"
        "80"
        "not a port"
      ])
      [
        [ "0.0.0.0 8080 tcp" ]
        [ "127.0.0.1 8080 udp" ]
        [ "::1 53 tcp" ]
        [
          "0.0.0.0 8000 tcp"
          "0.0.0.0 8001 tcp"
          "0.0.0.0 8002 tcp"
        ]
        [ ]
        [ ]
      ];
  "a port offset lets both scopes run on one host" = accepts (nixos [
    {
      services.aiStack = {
        enable = true;
        ollama.enable = true;
        qdrant.enable = true;
      };
    }
    (withHome {
      portOffset = 10000;
      ollama.enable = true;
      qdrant.enable = true;
    })
  ]);
  "the owner of a user stack gets lingering and subordinate ids" =
    let
      ann = (nixos [ (withHome { redis.enable = true; }) ]).users.users.ann;
    in
    equal
      [ ann.linger ann.autoSubUidGidRange ]
      [
        true
        true
      ];
  "refuses a user stack without lingering" = refuses (nixos [
    (withHome { redis.enable = true; })
    { users.users.ann.linger = false; }
  ]) [ "users.users.ann.linger = true" ];

  # ── open to other machines ──
  "refuses a public address without openFirewall" = refuses (on {
    redis = {
      enable = true;
      address = "0.0.0.0";
    };
  }) [ "services.aiStack.redis.openFirewall = true" ];
  "refuses a public address without authentication" =
    refuses
      (on {
        qdrant = {
          enable = true;
          address = "0.0.0.0";
          openFirewall = true;
        };
      })
      [
        "without authentication"
        "secretEnv.QDRANT__SERVICE__API_KEY"
        "services.aiStack.qdrant.allowUnauthenticated"
      ];
  "refuses a public address for Open WebUI with auth = false" = refuses (on {
    open-webui = {
      enable = true;
      auth = false;
      address = "::";
      openFirewall = true;
    };
  }) [ "set auth = true" ];
  "accepts a public address for llama.cpp with an API key" = accepts (on {
    qdrant = {
      enable = true;
      address = "0.0.0.0";
      openFirewall = true;
      secretEnv.QDRANT__SERVICE__API_KEY = key;
    };
  });
  "accepts a public address with allowUnauthenticated" = accepts (on {
    ollama = {
      enable = true;
      address = "0.0.0.0";
      openFirewall = true;
      allowUnauthenticated = true;
    };
  });

  # ── llama.cpp ──
  "refuses a quantised KV cache without flash attention" =
    refuses
      (on {
        llama-cpp = {
          enable = true;
          model = "m.gguf";
          flashAttention = "off";
        };
      })
      [
        "cacheTypeV = q4_0"
        "services.aiStack.llama-cpp.flashAttention = \"on\""
      ];
  "accepts an f16 KV cache without flash attention" = accepts (on {
    llama-cpp = {
      enable = true;
      model = "m.gguf";
      flashAttention = "off";
      cacheTypeK = "f16";
      cacheTypeV = "f16";
    };
  });
  "refuses a model outside of the mounted folder" =
    refuses
      (on {
        llama-cpp = {
          enable = true;
          model = "/home/ann/models/m.gguf";
        };
      })
      [
        "/var/lib/local-ai/models"
        "services.aiStack.llama-cpp.data.models = \"/home/ann/models\""
      ];
  "accepts a model by its absolute path in the mounted folder" =
    equal
      (lib.take 2
        (container {
          llama-cpp = {
            enable = true;
            model = "/var/lib/local-ai/models/sub/m.gguf";
          };
        } "llama-cpp").exec
      )
      [
        "--model"
        "/models/sub/m.gguf"
      ];
  "refuses llama.cpp without a model" = refuses (on { llama-cpp.enable = true; }) [
    "services.aiStack.llama-cpp.model is not set"
  ];

  # ── secrets ──
  "refuses a password in the environment" =
    refuses
      (on {
        ollama = {
          enable = true;
          environment.SOME_API_KEY = "abc123";
        };
      })
      [
        "SOME_API_KEY looks like a secret"
        "services.aiStack.ollama.secretEnv.SOME_API_KEY"
      ];
  "refuses a token in a variable with a harmless name" = refuses (on {
    ollama = {
      enable = true;
      environment.EXTRA = "hf_abcdefgh";
    };
  }) [ "EXTRA looks like a secret" ];
  "recognises values that look like secrets" =
    equal
      (lib.mapAttrsToList util.looksSecret {
        DB_PASSWORD = "x";
        DATABASE = "postgres://me:pw@host/db";
        GITHUB_TOKEN = "abc";
        SECRET_KEY_BASE = "abc";
      })
      [
        true
        true
        true
        true
      ];
  "recognises values that do not look like secrets" =
    equal
      (lib.mapAttrsToList util.looksSecret {
        MAX_TOKENS = "4096";
        PASSWORD_FILE = "/run/secrets/x";
        TOKENIZER = "bpe";
        API_KEY_PATH = "/run/x";
        OPENAI_API_KEYS = "none";
        URL = "http://host:8080/v1";
        ENABLE_API_KEY = "true";
      })
      [
        false
        false
        false
        false
        false
        false
        false
      ];
  "a secret is passed to the container by name, and its value is nowhere" =
    equal
      (container {
        qdrant = {
          enable = true;
          secretEnv.QDRANT__SERVICE__API_KEY = key;
        };
      } "qdrant").secrets
      [ "local-ai-qdrant-QDRANT__SERVICE__API_KEY,type=env,target=QDRANT__SERVICE__API_KEY" ];
  "a secret that the user does not set is generated" =
    let
      made = lib.head (manifest { postgres.enable = true; }).services.postgres.secrets;
    in
    equal
      [ made.generate made.source ]
      [
        true
        "/var/lib/local-ai/secrets/postgres/POSTGRES_PASSWORD"
      ];
  "a secret that the user sets is not generated" = equal (map (s: s.generate)
    (manifest {
      postgres = {
        enable = true;
        secretEnv.POSTGRES_PASSWORD = key;
      };
    }).services.postgres.secrets
  ) [ false ];

  # ── the rest of the options ──
  "a port out of range is a type error" = throws (manifest {
    qdrant = {
      enable = true;
      ports.http = 70000;
    };
  });
  "a name or a port as an address is a type error" =
    equal
      (map
        (
          address:
          (builtins.tryEval (
            builtins.deepSeq (manifest {
              redis = {
                enable = true;
                inherit address;
              };
            }) null
          )).success
        )
        [
          "localhost"
          "127.0.0.1:80"
          "[::1]"
          "127.0.0.1"
          "::1"
        ]
      )
      [
        false
        false
        false
        true
        true
      ];
  "an offset moves every default port" =
    equal
      (map (p: p.host)
        (manifest {
          portOffset = 1000;
          qdrant.enable = true;
        }).services.qdrant.ports
      )
      [
        7334
        7333
      ];
  "an offset beyond the last port is an error" = throws (manifest {
    portOffset = 60000;
    ollama.enable = true;
  });
  "a relative data directory is a type error" = throws (manifest {
    redis = {
      enable = true;
      data.data = "redis";
    };
  });
  "refuses a service whose required service is not enabled" =
    refuses
      (on {
        open-webui = {
          enable = true;
          needs = [ "postgres" ];
        };
      })
      [
        "services.aiStack.open-webui needs postgres"
        "services.aiStack.postgres.enable = true"
      ];
  "refuses the tag latest" = refuses (on {
    redis = {
      enable = true;
      image = "docker.io/library/redis:latest";
    };
  }) [ "latest" ];
  "warns about a tag without a digest" = equal true (
    lib.any (hasInfix "pinned by tag only")
      (on {
        redis = {
          enable = true;
          image = "docker.io/library/redis:8";
        };
      }).warnings
  );
  "an unknown option of a service is an error" = throws (manifest {
    redis.enabled = true;
  });
  "refuses facts of another schema" =
    refuses
      (on {
        facts.schema = 99;
        redis.enable = true;
      })
      [
        "schema 99"
        "aistack facts"
      ];
  "the GPU backend selects the image" =
    equal
      (map
        (
          backend:
          (manifest {
            gpu.backend = backend;
            llama-cpp = {
              enable = true;
              model = "m.gguf";
            };
          }).services.llama-cpp.image.tag
        )
        [
          "cpu"
          "cuda"
          "rocm"
          "vulkan"
          "sycl"
        ]
      )
      [
        "server-b11206"
        "server-cuda-b11206"
        "server-rocm-b11206"
        "server-vulkan-b11382"
        "server-intel-b11206"
      ];
  "the GPU backend selects the devices" =
    equal
      (container {
        gpu.backend = "rocm";
        ollama.enable = true;
      } "ollama").devices
      [
        "/dev/kfd"
        "/dev/dri"
      ];
  "Open WebUI uses the enabled engines" =
    let
      env =
        (container {
          open-webui.enable = true;
          llama-cpp = {
            enable = true;
            model = "m.gguf";
          };
        } "open-webui").environments;
    in
    equal
      [
        env.ENABLE_OLLAMA_API
        env.OPENAI_API_BASE_URLS
        (env ? OLLAMA_BASE_URL)
      ]
      [
        "false"
        "http://local-ai-llama-cpp:8080/v1"
        false
      ];
  "the user's environment overrides the service's" =
    equal
      (container {
        ollama = {
          enable = true;
          environment.OLLAMA_NUM_PARALLEL = 1;
        };
      } "ollama").environments.OLLAMA_NUM_PARALLEL
      "1";
  "PostgreSQL is tuned to its memory limit" = equal true (
    let
      args =
        (container {
          postgres = {
            enable = true;
            resources.memory = "8g";
          };
        } "postgres").exec;
    in
    lib.elem "shared_buffers=2048MB" args && lib.elem "effective_cache_size=6144MB" args
  );
  "the password of Redis is not an argument" = equal false (
    hasInfix key (
      concatStringsSep " "
        (container {
          redis = {
            enable = true;
            passwordFile = key;
          };
        } "redis").exec
    )
  );
  "parses image references" =
    equal
      (map (r: removeAttrs (util.parseImage r) [ "reference" ]) [
        "docker.io/a/b:1.2@sha256:${lib.concatStrings (lib.genList (_: "a") 64)}"
        "localhost:5000/b"
        "b:1"
      ])
      [
        {
          name = "docker.io/a/b";
          tag = "1.2";
          digest = "sha256:${lib.concatStrings (lib.genList (_: "a") 64)}";
        }
        {
          name = "localhost:5000/b";
          tag = null;
          digest = null;
        }
        {
          name = "b";
          tag = "1";
          digest = null;
        }
      ];
  "parses amounts of memory" =
    equal
      (map util.toMiB [
        "4g"
        "512m"
        "1T"
        "2GiB"
        "7"
      ])
      [
        4096
        512
        1048576
        2048
        7
      ];

  "a plain number is MiB for podman too" =
    equal
      [
        "1024m"
        "4g"
      ]
      (
        map util.memoryLimit [
          "1024"
          "4g"
        ]
      );
  "addresses are parsed as the shared table says" =
    let
      table = lib.importJSON ../../crates/aistack-machine/tests/fixtures/addresses.json;
    in
    equal
      {
        spellings = map (c: c.canonical) table.spellings;
        meet = map (c: [
          c.meet
          c.meet
        ]) table.meet;
        wildcards = true;
        loopback = true;
        typed = map (c: c.canonical != null) table.spellings;
      }
      {
        spellings = map (c: util.canonicalOrNull c.text) table.spellings;
        meet = map (c: [
          (util.addressesMeet c.one c.other)
          (util.addressesMeet c.other c.one)
        ]) table.meet;
        wildcards = lib.all util.isWildcard table.wildcards;
        loopback = lib.all util.isLoopback table.loopback;
        typed = map (c: util.types.address.check c.text) table.spellings;
      };
  "every notation of a wildcard conflicts with a specific address" = equal [ true true true ] (
    map (wildcard: clashes (port 1 wildcard) (port 1 "127.0.0.1")) [
      "::0"
      "0:0:0:0:0:0:0:0"
      "::ffff:0.0.0.0"
    ]
  );

  # ── disabled ──
  "the disabled core sets nothing" =
    let
      config = core { ollama.enable = true; };
    in
    equal
      [ config.virtualisation.quadlet config.assertions config.warnings config.services.aiStack.units ]
      [
        { }
        [ ]
        [ ]
        { }
      ];
  "the disabled module does not change the system" =
    let
      with_ = nixos [ ];
      without =
        (lib.nixosSystem {
          modules = [
            machine
            inputs.quadlet-nix.nixosModules.quadlet
            inputs.home-manager.nixosModules.home-manager
          ];
        }).config;
    in
    equal with_.system.build.toplevel.drvPath without.system.build.toplevel.drvPath;

  # ── every folder of a service is complete ──
  "every service has a module and a page" =
    let
      lacking =
        lib.concatMap
          (
            dir:
            lib.concatMap (
              name:
              map (f: "${name}/${f}") (
                lib.subtractLists (lib.attrNames (builtins.readDir (dir + "/${name}"))) [
                  "README.md"
                  "default.nix"
                ]
              )
            ) (lib.attrNames (lib.filterAttrs (_: type: type == "directory") (builtins.readDir dir)))
          )
          [
            ../../modules/services
            ../../modules/contrib
          ];
    in
    equal lacking [ ];
  "every service with a port has a check or a marker" =
    let
      stack = (on { }).services.aiStack;
    in
    equal
      (filter (name: stack.${name}.checks == { } && stack.${name}.marker == null) stack.serviceNames)
      [
        "aider" # A program for a terminal.
        "continue" # It runs in no container.
      ];
  "every option has a description" =
    let
      options = lib.optionAttrSetToDocList self.nixosConfigurations.workstation.options.services.aiStack;
    in
    equal (map (o: o.name) (filter (o: !o.internal && (o.description or null) == null) options)) [ ];

  ## The package.

  "a host, a home and the overlay use the package of the flake" =
    let
      packages = [
        self.nixosConfigurations.workstation.config.services.aiStack.package
        self.homeConfigurations.ai.config.services.aiStack.package
        (import inputs.nixpkgs {
          system = "x86_64-linux";
          overlays = [ self.overlays.default ];
        }).aistack
      ];
    in
    equal (map (p: p.drvPath) packages) (map (_: self.packages.x86_64-linux.aistack.drvPath) packages);
  # So a change of a test does not rebuild the package.
  "the source of the package contains no tests" =
    let
      inherit (self.packages.x86_64-linux.aistack) files;
      below = folder: filter (lib.hasPrefix "${folder}/") files;
      has = path: lib.elem path files || below path != [ ];
      tests = filter (file: builtins.match "/crates/[^/]+/tests/.*" file != null) files;
    in
    equal
      {
        inherit tests;
        there = map has [
          "/crates/aistack/src/main.rs"
          "/templates/workstation/flake.nix"
          "/tests/rendered"
          "/hosts"
        ];
      }
      {
        tests = [ ];
        there = [
          true
          true
          false
          false
        ];
      };
}
