# Evaluation tests of services.aiOptimizerPrep: what it reserves in every combination of
# scopes, what it declares, and that it does nothing when disabled.
{
  lib,
  inputs,
  self,
  machine,
  nixos,
  refuses,
  accepts,
  equal,
  throws,
}:
let
  prep.services.aiOptimizerPrep.enable = true;
  postgres = {
    enable = true;
    postgres.enable = true;
  };
  system.services.aiStack = postgres;

  # Home Manager as a module of the host.
  user = module: {
    users.users.ann.isNormalUser = true;
    home-manager.users.ann = {
      imports = [
        self.homeModules.default
        module
      ];
      home.stateVersion = "26.05";
    };
  };
  # Home Manager alone, as on another distribution.
  home =
    module:
    (inputs.home-manager.lib.homeManagerConfiguration {
      pkgs = import inputs.nixpkgs { system = "x86_64-linux"; };
      modules = [
        self.homeModules.default
        {
          home = {
            username = "ann";
            homeDirectory = "/home/ann";
            stateVersion = "26.05";
          };
        }
        module
      ];
    }).config;
  # Home Manager alone throws when an assertion fails, so the ledger is read without assertions.
  quiet.assertions = lib.mkForce [ ];
  clashes = config: {
    assertions = [
      {
        assertion = false;
        message = config.services.aiStack.ledger.report;
      }
    ];
  };
  # Without the stack's module.
  alone =
    (lib.nixosSystem {
      modules = [
        machine
        self.nixosModules.aiOptimizerPrep
        prep
      ];
    }).config;

  names = {
    system = [
      "services.aiOptimizerPrep (system): port 5432/tcp"
      "services.aiOptimizerPrep.ports.postgres"
    ];
    user = [
      "services.aiOptimizerPrep (user ann): port 5432/tcp"
      "services.aiOptimizerPrep.ports.postgres"
    ];
    stack = [ "services.aiStack.postgres (system)" ];
    userStack = [ "services.aiStack.postgres (user ann)" ];
  };
  moved = {
    services.aiStack = postgres // {
      portOffset = 10000;
    };
  };
  claims =
    config:
    lib.filter (lib.hasInfix "aiOptimizerPrep") (
      map (c: c.owner) config.services.aiStack.ledger.claims
    );
in
{
  # ── reserved ports ──
  "prep: refuses the system's stack on a port that the system reserved" = refuses (nixos [
    prep
    system
  ]) (names.system ++ names.stack);
  "prep: refuses the system's stack on a port that a user reserved" = refuses (nixos [
    (user prep)
    system
  ]) (names.user ++ names.stack);
  "prep: refuses a user's stack on a port that the system reserved" = refuses (nixos [
    prep
    (user system)
  ]) (names.system ++ names.userStack);
  "prep: refuses a user's stack on a port that the same user reserved" = refuses (nixos [
    (user {
      imports = [
        prep
        system
      ];
    })
  ]) (names.user ++ names.userStack);
  "prep: refuses a user's stack on a reserved port, without NixOS" =
    let
      both =
        more:
        home {
          imports = [
            prep
            system
          ]
          ++ more;
        };
    in
    equal
      [
        (refuses (clashes (both [ quiet ])) (names.user ++ names.userStack))
        (throws (both [ ]).services.aiStack.ledger.report)
      ]
      [
        null
        null
      ];
  "prep: refuses the examples without their port offset" =
    let
      without =
        it: more:
        (it.extendModules {
          modules = more ++ [ { services.aiStack.portOffset = lib.mkForce 0; } ];
        }).config;
      host = without self.nixosConfigurations.optimizer [ ];
      user = clashes (without self.homeConfigurations.optimizer [ quiet ]);
      ai = map (lib.replaceStrings [ "user ann" ] [ "user ai" ]);
    in
    equal
      [
        (refuses host (names.system ++ names.stack))
        (refuses user (ai (names.user ++ names.userStack)))
      ]
      [
        null
        null
      ];
  "prep: refuses AI-Optimizer for the system and a user of one host" = refuses (nixos [
    prep
    (user prep)
  ]) (names.system ++ names.user);
  "prep: accepts a stack with a port offset, in each scope" =
    let
      combinations = [
        (nixos [
          prep
          moved
        ])
        (nixos [
          (user prep)
          moved
        ])
        (nixos [
          prep
          (user moved)
        ])
        (nixos [
          (user {
            imports = [
              prep
              moved
            ];
          })
        ])
        (home {
          imports = [
            prep
            moved
          ];
        })
      ];
    in
    equal (lib.filter (r: r != null) (map accepts combinations)) [ ];
  "prep: reports a conflict with PostgreSQL of nixpkgs, without the stack" =
    refuses
      (nixos [
        prep
        {
          services.postgresql = {
            enable = true;
            dataDir = "/var/lib/postgresql/17";
          };
        }
      ])
      [
        "services.postgresql (NixOS)"
        "services.aiOptimizerPrep (system): port 5432/tcp"
      ];
  "prep: reports a user's conflict with Redis of nixpkgs, without the stack" =
    refuses
      (nixos [
        (user prep)
        {
          services.redis.servers.cache = {
            enable = true;
            port = 6379;
          };
        }
      ])
      [
        "services.redis.servers.cache"
        "services.aiOptimizerPrep (user ann): port 6379/tcp"
      ];
  "prep: refuses a port that ledger.extra claims, without the stack" =
    refuses
      (nixos [
        prep
        {
          services.aiStack.ledger.extra = [
            {
              port = 8091;
              owner = "the proxy";
            }
          ];
        }
      ])
      [
        "the proxy"
        "services.aiOptimizerPrep.ports.mcp"
      ];
  "prep: reserves the port that the user sets" = accepts (nixos [
    {
      services.aiOptimizerPrep = {
        enable = true;
        ports.postgres = 15432;
      };
    }
    system
  ]);
  "prep: refuses its data folder for another service" =
    refuses
      (nixos [
        prep
        {
          services.aiStack = {
            enable = true;
            qdrant = {
              enable = true;
              data.storage = "/var/lib/ai-optimizer/qdrant";
            };
          };
        }
      ])
      [
        "data directory /var/lib/ai-optimizer;"
        "services.aiOptimizerPrep.dataRoot"
        "services.aiStack.qdrant.data.storage"
      ];

  # ── refused configurations ──
  "prep: refuses one port for two of its services, in one message" =
    refuses
      (nixos [
        {
          services.aiOptimizerPrep = {
            enable = true;
            ports.redis = 5432;
          };
        }
      ])
      [
        "5432 is the port of postgres and redis"
        "services.aiOptimizerPrep.ports.redis"
      ];
  "prep: refuses data inside the checkout" =
    refuses
      (nixos [
        {
          services.aiOptimizerPrep = {
            enable = true;
            dataRoot = "/srv/AI-Optimizer/data";
          };
        }
      ])
      [
        ''services.aiOptimizerPrep.dataRoot = "/srv/AI-Optimizer/data"''
        "expectedLocation"
      ];
  "prep: a relative path is a type error" =
    throws
      (nixos [
        {
          services.aiOptimizerPrep = {
            enable = true;
            dataRoot = "data";
          };
        }
      ]).services.aiOptimizerPrep.dataRoot;
  "prep: refuses facts of another schema" = refuses (nixos [
    {
      services.aiOptimizerPrep = {
        enable = true;
        facts.schema = 9;
      };
    }
  ]) [ "services.aiOptimizerPrep.facts has schema 9" ];

  # ── declared values ──
  "prep: the system's folders get their owner only when they are created" =
    let
      rules = alone.systemd.tmpfiles.settings.ai-optimizer-prep;
    in
    equal
      [
        (lib.attrNames rules)
        rules."/var/lib/ai-optimizer/postgres".d.mode
        rules."/var/lib/ai-optimizer/postgres".d.user
      ]
      [
        (
          [ "/var/lib/ai-optimizer" ]
          ++ map (f: "/var/lib/ai-optimizer/${f}") [
            "backups"
            "config"
            "exports"
            "imports"
            "postgres"
            "qdrant"
            "redis"
            "vllm-models"
          ]
        )
        ":0700"
        ":root"
      ];
  "prep: a user's folders" =
    let
      inherit ((home prep).systemd.user.tmpfiles) rules;
    in
    equal
      [
        (lib.length rules)
        (lib.elem ''d "/home/ann/.local/share/ai-optimizer/vllm-models" :0700 - - -'' rules)
        (lib.elem ''d "/home/ann/.config/ai-optimizer" :0700 - - -'' rules)
      ]
      [
        9
        true
        true
      ];
  "prep: its manifest in the system" =
    equal
      (builtins.fromJSON
        (nixos [
          prep
          {
            services.aiOptimizerPrep.facts = {
              schema = 1;
              gpus = [
                {
                  slot = "0000:01:00.0";
                  vendor = "nvidia";
                  vramMiB = 24576;
                  name = "x";
                }
              ];
            };
          }
        ]).environment.etc."aistack/prep.json".text
      )
      {
        schema = 1;
        scope = "system";
        user = null;
        dataRoot = "/var/lib/ai-optimizer";
        configRoot = "/var/lib/ai-optimizer/config";
        expectedLocation = "/srv/AI-Optimizer";
        statusFile = "/var/cache/nixos-quick-deploy/integration/ai-optimizer.json";
        networkName = "aidb-network";
        ports =
          lib.mapAttrs
            (name: port: {
              inherit port;
              option = "services.aiOptimizerPrep.ports.${name}";
            })
            {
              postgres = 5432;
              redis = 6379;
              vllm = 8000;
              mcp = 8091;
              mcpWebSocket = 8791;
              redisInsight = 5540;
            };
        gpus = [
          {
            slot = "0000:01:00.0";
            vendor = "nvidia";
            vramMiB = 24576;
          }
        ];
      };
  "prep: a user's manifest is in the user's configuration folder" =
    let
      seen = builtins.fromJSON (home prep).xdg.configFile."aistack/prep.json".text;
    in
    equal
      [
        seen.user
        seen.scope
        seen.configRoot
        seen.statusFile
        seen.gpus
      ]
      [
        "ann"
        "user"
        "/home/ann/.config/ai-optimizer"
        "/home/ann/.cache/nixos-quick-deploy/integration/ai-optimizer.json"
        null
      ];
  "prep: a switch neither waits for its unit nor fails with it" =
    let
      unit = alone.systemd.services.ai-optimizer-prep;
      userUnit = (home prep).systemd.user.services.ai-optimizer-prep;
    in
    equal
      [
        unit.serviceConfig.Type
        (lib.hasPrefix "-/" unit.serviceConfig.ExecStart)
        unit.wantedBy
        (lib.hasPrefix "-/" (lib.head (lib.toList userUnit.Service.ExecStart)))
        userUnit.Install.WantedBy
      ]
      [
        "exec"
        true
        [ "multi-user.target" ]
        true
        [ "default.target" ]
      ];
  "prep: adds no container, no podman and no docker" =
    let
      config = alone;
    in
    equal
      [
        config.virtualisation.quadlet.containers
        config.virtualisation.podman.enable
        config.virtualisation.docker.enable
        (accepts config)
      ]
      [
        { }
        false
        false
        null
      ];
  "prep: the module can be imported several times" =
    accepts
      (lib.nixosSystem {
        modules = [
          machine
          self.nixosModules.aiOptimizerPrep
          self.nixosModules.default
          self.nixosModules.aiStack
          prep
        ];
      }).config;

  # ── disabled ──
  "prep: the disabled module claims and declares nothing" =
    let
      system = nixos [
        {
          services.aiOptimizerPrep = {
            ports.postgres = 1;
            networkName = "x";
          };
        }
      ];
      user = home { };
    in
    equal
      [
        (claims system)
        (system.environment.etc ? "aistack/prep.json")
        (system.systemd.services ? ai-optimizer-prep)
        (system.systemd.tmpfiles.settings ? ai-optimizer-prep)
        system.services.aiStack.ledger.active
        (claims user)
        (user.systemd.user.services ? ai-optimizer-prep)
      ]
      [
        [ ]
        false
        false
        false
        false
        [ ]
        false
      ];
  "prep: every option has a description and a type" =
    let
      options = lib.filter (o: lib.hasPrefix "services.aiOptimizerPrep." o.name) (
        lib.optionAttrSetToDocList
          (lib.nixosSystem {
            modules = [
              machine
              self.nixosModules.aiOptimizerPrep
            ];
          }).options.services.aiOptimizerPrep
      );
    in
    equal
      [
        (lib.length options > 12)
        (map (o: o.name) (lib.filter (o: (o.description or null) == null) options))
      ]
      [
        true
        [ ]
      ];
}
