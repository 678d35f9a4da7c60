# Evaluation tests: name -> null where it holds, or what was seen instead.
{ self, inputs }:
let
  inherit (inputs.nixpkgs) lib;
  inherit (lib)
    concatStringsSep
    filter
    hasInfix
    ;

  util = import ../../lib { inherit lib; };
  ledger = import ../../modules/stack/ledger.nix { inherit lib util; };

  # The core alone, without NixOS around it: quick, and enough for whatever the core
  # decides by itself.
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

  ## What a test may say.

  # Every one of the failing assertions' words is there, in one message.
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
// nixosTests
// {
  # ── the ledger ──
  "one port twice within the stack names both options" =
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
  "several conflicts come in one report" =
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
  "one data directory for two writers is refused" =
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
  "a port that is claimed outside is respected" =
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
  "wildcards meet each specific address" =
    equal
      [ true true true ]
      [
        (clashes (port 1 "0.0.0.0") (port 1 "127.0.0.1"))
        (clashes (port 1 "::") (port 1 "10.0.0.1"))
        (clashes (port 1 "::1") (port 1 "::1"))
      ];
  "different addresses, ports and protocols do not meet" =
    equal
      [ false false false ]
      [
        (clashes (port 1 "127.0.0.1") (port 1 "10.0.0.1"))
        (clashes (port 1 "127.0.0.1") (port 2 "127.0.0.1"))
        (clashes (port 1 "127.0.0.1") (port 1 "127.0.0.1" // { protocol = "udp"; }))
      ];
  "the table shows each claim" = equal true (
    hasInfix "127.0.0.1:6379/tcp" (on { redis.enable = true; }).services.aiStack.ledger.table
  );
  "against services.ollama of nixpkgs" =
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
  "a user's stack against the system's" =
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
  "a user's stack against services.redis of the system" =
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
  "against well-known services, web servers, exporters and containers of the host" =
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
  "a container of the same name" =
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
  "a folder inside another's is refused" =
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
  "a folder whose name only begins like another's is not" = accepts (on {
    redis.enable = true;
    qdrant = {
      enable = true;
      data.storage = "/var/lib/local-ai/redis-vectors";
    };
  });
  "a data directory of a service of nixpkgs" =
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
  "published ports as podman writes them" =
    let
      published = import ../../modules/stack/published.nix { inherit lib; };
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
  "an offset lets both scopes run" = accepts (nixos [
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
  "the user of a stack lingers and has subordinate ids" =
    let
      ann = (nixos [ (withHome { redis.enable = true; }) ]).users.users.ann;
    in
    equal
      [ ann.linger ann.autoSubUidGidRange ]
      [
        true
        true
      ];
  "without lingering a user's stack is refused" = refuses (nixos [
    (withHome { redis.enable = true; })
    { users.users.ann.linger = false; }
  ]) [ "users.users.ann.linger = true" ];

  # ── open to other machines ──
  "an open address wants the firewall's option" = refuses (on {
    redis = {
      enable = true;
      address = "0.0.0.0";
    };
  }) [ "services.aiStack.redis.openFirewall = true" ];
  "an open address wants authentication" =
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
  "Open WebUI without logins stays at home" = refuses (on {
    open-webui = {
      enable = true;
      auth = false;
      address = "::";
      openFirewall = true;
    };
  }) [ "set auth = true" ];
  "with a key it may be open" = accepts (on {
    qdrant = {
      enable = true;
      address = "0.0.0.0";
      openFirewall = true;
      secretEnv.QDRANT__SERVICE__API_KEY = key;
    };
  });
  "or when somebody says so" = accepts (on {
    ollama = {
      enable = true;
      address = "0.0.0.0";
      openFirewall = true;
      allowUnauthenticated = true;
    };
  });

  # ── llama.cpp ──
  "a quantised KV cache needs flash attention" =
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
  "an f16 cache does not" = accepts (on {
    llama-cpp = {
      enable = true;
      model = "m.gguf";
      flashAttention = "off";
      cacheTypeK = "f16";
      cacheTypeV = "f16";
    };
  });
  "a model outside the folder that the container sees" =
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
  "a model by its whole path inside it" =
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
  "no model" = refuses (on { llama-cpp.enable = true; }) [
    "services.aiStack.llama-cpp.model is not set"
  ];

  # ── secrets ──
  "a password in the environment is refused" =
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
  "so is a token under an innocent name" = refuses (on {
    ollama = {
      enable = true;
      environment.EXTRA = "hf_abcdefgh";
    };
  }) [ "EXTRA looks like a secret" ];
  "what looks like a secret" =
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
  "what does not" =
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
  "a secret reaches the container by name, its value nowhere" =
    equal
      (container {
        qdrant = {
          enable = true;
          secretEnv.QDRANT__SERVICE__API_KEY = key;
        };
      } "qdrant").secrets
      [ "local-ai-qdrant-QDRANT__SERVICE__API_KEY,type=env,target=QDRANT__SERVICE__API_KEY" ];
  "a secret that nobody gives is made" =
    let
      made = lib.head (manifest { postgres.enable = true; }).services.postgres.secrets;
    in
    equal
      [ made.generate made.source ]
      [
        true
        "/var/lib/local-ai/secrets/postgres/POSTGRES_PASSWORD"
      ];
  "one that is given is not" = equal (map (s: s.generate)
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
  "a name or a port in place of an address is a type error" =
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
  "needs something that is off" =
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
  "`latest` is refused" = refuses (on {
    redis = {
      enable = true;
      image = "docker.io/library/redis:latest";
    };
  }) [ "latest" ];
  "a tag without a digest is warned about" = equal true (
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
  "facts of another schema are refused" =
    refuses
      (on {
        facts.schema = 99;
        redis.enable = true;
      })
      [
        "schema 99"
        "aistack facts"
      ];
  "the image follows the GPU" =
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
  "and so do the devices" =
    equal
      (container {
        gpu.backend = "rocm";
        ollama.enable = true;
      } "ollama").devices
      [
        "/dev/kfd"
        "/dev/dri"
      ];
  "Open WebUI finds the engines that are on" =
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
  "the user's environment wins" =
    equal
      (container {
        ollama = {
          enable = true;
          environment.OLLAMA_NUM_PARALLEL = 1;
        };
      } "ollama").environments.OLLAMA_NUM_PARALLEL
      "1";
  "PostgreSQL is tuned to the memory granted" = equal true (
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
  "a password of Redis is no argument" = equal false (
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
  "image references" =
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
  "amounts of memory" =
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

  "a number alone is MiB for podman as well" =
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
  "the table of addresses holds" =
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
  "every spelling of a wildcard meets a specific address" = equal [ true true true ] (
    map (wildcard: clashes (port 1 wildcard) (port 1 "127.0.0.1")) [
      "::0"
      "0:0:0:0:0:0:0:0"
      "::ffff:0.0.0.0"
    ]
  );

  # ── off ──
  "off, the core sets nothing" =
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
  "off, the system is the one without the module" =
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

  # ── every folder of a service is whole ──
  "every service has its module and page" =
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
  "every service that answers has a check or a marker" =
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

  "a host, a home and the overlay have the package of the flake" =
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
  # A change there makes no new package.
  "what the package is made of has no tests in it" =
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
