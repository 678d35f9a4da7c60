# NixOS tests that boot virtual machines with the stack. Their Python only boots and switches; the
# checks are scenarios, which `aistack-testdriver` runs.
{
  self,
  inputs,
  pkgs,
}:
let
  inherit (pkgs) lib;
  inherit (import ./images.nix { inherit pkgs; }) images model;

  local = name: {
    enable = true;
    image = "localhost/${name}:test";
    imageArchive = images.${name};
  };
  redis = local "redis" // {
    # As in the official image: without a password Redis would only answer on loopback.
    extraArgs = [
      "--protected-mode"
      "no"
    ];
  };
  postgres = local "postgres";
  qdrant = local "qdrant";
  databases = { inherit redis postgres qdrant; };

  # Marked as a test stack: the tests break these machines on purpose.
  stack =
    services:
    {
      enable = true;
      verify.testStack = true;
    }
    // services;

  base = {
    # Once in a machine that has both scopes.
    key = "aistack-test-base";
    imports = [
      self.nixosModules.default
      inputs.home-manager.nixosModules.home-manager
    ];
    home-manager = {
      useGlobalPkgs = true;
      # The user's programs at a path that systemd-run can be given, see `drive`.
      useUserPackages = true;
      sharedModules = [ self.homeModules.default ];
    };
    # No manuals: their list of options takes a third of the evaluation time.
    documentation.enable = false;
    # The rollback switches for good, which installs the boot loader, and GRUB refuses the disk of
    # a test machine (nixpkgs' own test of switch-to-configuration disables it too).
    boot.loader.grub.enable = false;
    # The test framework sets 2: a container that meets its memory limit would end the machine
    # (nixpkgs, nixos/modules/testing/test-instrumentation.nix).
    boot.kernel.sysctl."vm.panic_on_oom" = lib.mkForce 0;
    virtualisation = {
      memorySize = lib.mkDefault 3072;
      diskSize = 16384;
      cores = 2;
    };
  };
  system = services: {
    imports = [ base ];
    services.aiStack = stack services;
  };
  home = services: {
    imports = [ base ];
    users.users.ann = {
      isNormalUser = true;
      uid = 1000;
    };
    home-manager.users.ann = {
      home.stateVersion = "26.05";
      manual.manpages.enable = false;
      services.aiStack = stack services;
    };
  };
  # A file that is present before the containers start.
  secret = path: text: {
    systemd.tmpfiles.rules = [ "f ${path} 0600 root root - ${text}" ];
  };

  # Steps for the scenarios of a test.
  says = argv: expect: {
    exec = {
      inherit argv;
    }
    // expect;
  };
  inside = service: argv: expect: {
    exec = {
      inherit service argv;
    }
    // expect;
  };

  # The common part of the scripts.
  prelude = ''
    def drive(machine, scenario, user=None):
        command = f"aistack-testdriver run {own.get(scenario, scenario)} --destructive"
        if user is not None:
            # By its path: to another user's systemd, systemd-run gives a name as it is, and that
            # systemd looks for it in its own PATH alone (systemd, src/run/run.c,
            # shall_make_executable_absolute).
            command = f"/etc/profiles/per-user/{user}/bin/{command}"
            command = f"{command} --stack /home/{user}/.config/aistack/stack.json"
            command = (
                f"systemd-run --user --machine={user}@ --quiet --pipe --wait "
                f"--setenv=PATH=/run/wrappers/bin:/run/current-system/sw/bin:/etc/profiles/per-user/{user}/bin {command}"
            )
        else:
            command = f"{command} --stack /etc/aistack/stack.json"
        print(machine.succeed(command))

    def switch(machine, toplevel):
        machine.succeed(f"{toplevel}/bin/switch-to-configuration test")

    def reboot(machine):
        machine.shutdown()
        machine.start()
  '';

  test =
    name:
    {
      nodes,
      script,
      # In addition to the built-in scenarios: name -> steps.
      scenarios ? { },
    }:
    let
      documents = lib.mapAttrs (name: steps: {
        schema = 1;
        inherit name;
        groups = [ { inherit steps; } ];
      }) scenarios;
      files = lib.mapAttrs (
        name: document: "${pkgs.writeText "${name}.json" (builtins.toJSON document)}"
      ) documents;
    in
    pkgs.testers.runNixOSTest {
      name = "aistack-${name}";
      inherit nodes;
      testScript = "own: dict[str, str] = ${builtins.toJSON files}\n" + prelude + script;
      # Values that can be read without a build.
      passthru = { inherit documents images model; };
    };
in
lib.mapAttrs test {
  stack-system = {
    nodes.machine = {
      imports = [
        (system (
          databases
          // {
            llama-cpp = local "llama-cpp" // {
              model = "tiny.gguf";
              contextSize = 2048;
              parallel = 1;
              # A flag of versions later than the one in nixpkgs.
              mlock = false;
            };
          }
        ))
      ];
      systemd.tmpfiles.rules = [ "C /var/lib/local-ai/models/tiny.gguf 0644 - - - ${model}" ];
      virtualisation.memorySize = 4096;
    };
    script = ''
      machine.wait_for_unit("multi-user.target")
      for scenario in ["boot", "kill", "hang", "recreate", "port-taken", "before-reboot"]:
          drive(machine, scenario)
      reboot(machine)
      drive(machine, "after-reboot")
    '';
  };

  stack-home = {
    nodes.machine = home databases;
    script = ''
      machine.wait_for_unit("user@1000.service")
      for scenario in ["boot", "kill", "recreate", "before-reboot"]:
          drive(machine, scenario, "ann")
      reboot(machine)
      machine.wait_for_unit("user@1000.service")
      drive(machine, "after-reboot", "ann")
    '';
  };

  both-scopes = {
    nodes.machine = {
      imports = [
        (system { inherit redis qdrant; })
        (home {
          inherit redis qdrant;
          portOffset = 10000;
        })
      ];
    };
    script = ''
      machine.wait_for_unit("user@1000.service")
      drive(machine, "boot")
      drive(machine, "boot", "ann")
      # A change of one scope does not affect the other.
      drive(machine, "kill")
      drive(machine, "boot", "ann")
    '';
  };

  switch = {
    nodes = {
      machine = {
        imports = [ (system { inherit redis postgres; }) ];
        specialisation = {
          # Another port, another image, and an additional service.
          changed.configuration.services.aiStack = {
            redis.ports.redis = 16379;
            postgres.ports.postgres = 15432;
            redis.image = lib.mkForce "localhost/redis-again:test";
            redis.imageArchive = lib.mkForce images.redis-again;
            inherit qdrant;
          };
        };
      };
      # A generation whose services cannot start is rolled back.
      careful = {
        imports = [ (system { inherit redis; }) ];
        services.aiStack.verify = {
          enable = true;
          rollback = true;
          timeout = 60;
          timer = null;
        };
        specialisation.broken.configuration.services.aiStack.redis.image =
          lib.mkForce "localhost/redis:not-in-the-archive";
        # The profile with the generations is writable.
        virtualisation.writableStore = true;
      };
    };
    scenarios = {
      changed = [
        { read-marker.service = "redis"; }
        { read-marker.service = "postgres"; }
        { nothing-listens.number = 6379; }
        { nothing-listens.number = 5432; }
        (says [
          "podman"
          "inspect"
          "--format={{.ImageName}}"
          "local-ai-redis"
        ] { stdout.contains = "redis-again"; })
      ];
      removed = [
        {
          retry = { };
          nothing-listens.number = 6333;
        }
        {
          unit = {
            unit = "local-ai-qdrant.service";
            state = "not-found";
          };
        }
      ];
    };
    script = ''
      start_all()
      machine.wait_for_unit("multi-user.target")
      before = machine.succeed("readlink -f /run/current-system").strip()
      drive(machine, "before-reboot")
      switch(machine, f"{before}/specialisation/changed")
      machine.wait_until_succeeds("aistack check --system", timeout=300)
      # The data is still present, and the checks use the new ports.
      drive(machine, "changed")
      drive(machine, "boot")
      # After the rollback the additional service and its ports are gone.
      switch(machine, before)
      machine.wait_until_succeeds("aistack check --system", timeout=300)
      drive(machine, "after-reboot")
      drive(machine, "removed")

      careful.wait_for_unit("multi-user.target")
      drive(careful, "boot")
      good = careful.succeed("readlink -f /run/current-system").strip()
      profile = "nix-env --profile /nix/var/nix/profiles/system --set"
      careful.succeed(f"{profile} {good}", f"{profile} {good}/specialisation/broken")
      switch(careful, "/nix/var/nix/profiles/system")
      careful.wait_until_succeeds(
          f"test $(readlink -f /run/current-system) = {good}", timeout=600
      )
      drive(careful, "boot")
    '';
  };

  gpu-fake-cdi = {
    nodes.machine = {
      imports = [
        (system {
          gpu.backend = "cuda";
          ollama = local "standin" // {
            extraArgs = [ "11434" ];
            health.command = "wget -q -O /dev/null http://127.0.0.1:11434/api/tags";
          };
        })
      ];
      # A machine without a card: no driver, and a CDI spec with a null device.
      services.aiStack.gpu.nvidia.enable = lib.mkForce false;
      environment.etc."cdi/nvidia.yaml".text = builtins.toJSON {
        cdiVersion = "0.5.0";
        kind = "nvidia.com/gpu";
        devices = [
          {
            name = "all";
            containerEdits.deviceNodes = [
              {
                path = "/dev/nvidia0";
                hostPath = "/dev/null";
                type = "c";
              }
            ];
          }
        ];
      };
    };
    scenarios.gpu = [
      (inside "ollama" [
        "test"
        "-c"
        "/dev/nvidia0"
      ] { })
    ];
    script = ''
      machine.wait_for_unit("multi-user.target")
      drive(machine, "boot")
      drive(machine, "gpu")
    '';
  };

  prep = {
    nodes.machine = {
      imports = [
        (system {
          inherit redis;
          # The stack uses other ports: AI-Optimizer has the usual ones.
          portOffset = 10000;
        })
      ];
      services.aiOptimizerPrep.enable = true;
      environment.systemPackages = [ pkgs.podman-compose ];
    };
    scenarios =
      let
        says-that-it-is = state: [
          (
            says [
              "aistack"
              "prep"
              "status"
            ] { stdout.contains = state; }
            // {
              retry = { };
            }
          )
        ];
      in
      {
        prepared = [
          { unit.unit = "ai-optimizer-prep.service"; }
          {
            retry = { };
            file = {
              path = "/var/cache/nixos-quick-deploy/integration/ai-optimizer.json";
              text.contains = "not_installed";
            };
          }
          (says [
            "stat"
            "--format=%a %U"
            "/var/lib/ai-optimizer/postgres"
          ] { stdout.equals = "700 root"; })
          # The module created nothing: containers and networks are the owner's task.
          (says [
            "podman"
            "ps"
            "--all"
            "--format={{.Names}}"
          ] { stdout.equals = "local-ai-redis"; })
          (says [
            "podman"
            "network"
            "ls"
            "--format={{.Name}}"
          ] { stdout.lacks = "aidb-network"; })
        ]
        ++ map (number: { nothing-listens = { inherit number; }; }) [
          5432
          6379
          8000
          8091
        ]
        ++ says-that-it-is "not_installed";
        running = says-that-it-is "running";
        stopped = says-that-it-is "stopped";
      };
    script =
      let
        # The owner's containers; their folders already exist.
        compose = pkgs.writeText "docker-compose.yml" (
          builtins.toJSON {
            services.redis = {
              image = "localhost/redis:test";
              command = [
                "redis-server"
                "--dir"
                "/data"
              ];
              ports = [ "127.0.0.1:6379:6379" ];
              volumes = [ "/var/lib/ai-optimizer/redis:/data" ];
            };
          }
        );
      in
      ''
        machine.wait_for_unit("multi-user.target")
        drive(machine, "boot")
        drive(machine, "prepared")
        machine.succeed(
            "install -D -m 0644 ${compose} /srv/AI-Optimizer/docker-compose.yml",
            "cd /srv/AI-Optimizer && podman-compose up --detach",
        )
        drive(machine, "running")
        machine.succeed("cd /srv/AI-Optimizer && podman-compose down")
        drive(machine, "stopped")
        # The other stack was not changed.
        drive(machine, "boot")
      '';
  };

  survive-reset = {
    nodes.machine = system databases;
    script = ''
      machine.wait_for_unit("multi-user.target")
      drive(machine, "boot")
      drive(machine, "survive-reset")
    '';
  };

  secrets = {
    nodes.machine = {
      imports = [
        (system {
          redis = redis // {
            passwordFile = "/run/keys/redis";
          };
          postgres = postgres // {
            secretEnv.POSTGRES_PASSWORD = "/run/keys/postgres";
          };
        })
        (secret "/run/keys/redis" "the-first-of-redis")
        (secret "/run/keys/postgres" "the-first-of-postgres")
      ];
    };
    scenarios =
      let
        # The value is only in the file and in podman's store of secrets.
        shown =
          value:
          map
            (
              argv:
              says argv {
                stdout.lacks = value;
              }
            )
            [
              [
                "podman"
                "inspect"
                "local-ai-redis"
                "local-ai-postgres"
              ]
              [
                "journalctl"
                "--boot"
                "--no-pager"
              ]
              [
                "ps"
                "-ewwo"
                "args"
              ]
              [
                "sh"
                "-c"
                "cat /etc/aistack/* /etc/containers/systemd/*"
              ]
            ];
        # Waits for the new container: its value is the file's, and clients must send it.
        holds =
          service: argv: value:
          {
            timeout = 300;
            retry = { };
          }
          // inside service argv { stdout.equals = value; };
        asks =
          number:
          [
            (holds "redis" [
              "cat"
              "/run/secrets/redis-password"
            ] "the-${number}-of-redis")
            (holds "postgres" [
              "printenv"
              "POSTGRES_PASSWORD"
            ] "the-${number}-of-postgres")
            (inside "redis" [
              "redis-cli"
              "ping"
            ] { stdout.contains = "NOAUTH"; })
            (holds "postgres" [
              "sh"
              "-c"
              "PGPASSWORD=$POSTGRES_PASSWORD psql -h 127.0.0.1 -U mcp -d mcp -qAtXc 'SELECT 1'"
            ] "1")
          ]
          ++ shown "the-${number}-of-redis"
          ++ shown "the-${number}-of-postgres";
        # Like a secret manager: a new file replaces the old one.
        rotate =
          service:
          says [
            "sh"
            "-c"
            "umask 077 && echo -n the-second-of-${service} > /run/keys/.new && mv /run/keys/.new /run/keys/${service}"
          ] { };
      in
      {
        kept = asks "first";
        rotated = [
          (rotate "redis")
          (rotate "postgres")
        ]
        ++ asks "second"
        ++ [ { wait-healthy = { }; } ];
      };
    script = ''
      machine.wait_for_unit("multi-user.target")
      for scenario in ["boot", "kept", "rotated"]:
          drive(machine, scenario)
    '';
  };

  fleet = {
    nodes = {
      data.imports = [
        (system {
          redis = redis // {
            address = "0.0.0.0";
            openFirewall = true;
            passwordFile = "/run/keys/redis";
          };
        })
        (secret "/run/keys/redis" "a-password")
      ];
      client = system { inherit redis; };
    };
    script = ''
      start_all()
      for machine in [data, client]:
          machine.wait_for_unit("multi-user.target")
          drive(machine, "boot")
      client.succeed("${pkgs.redis}/bin/redis-cli -h data ping | grep NOAUTH")
      # No other machine reaches the services that the client does not open.
      data.fail("timeout 5 ${pkgs.redis}/bin/redis-cli -h client ping")
    '';
  };
}
