# The stack on real machines: NixOS tests that boot virtual machines. Their Python only
# boots and switches; what is asked is in scenarios, which `aistack-testdriver` runs.
{
  self,
  inputs,
  pkgs,
}:
let
  inherit (pkgs) lib;
  images = import ./images.nix { inherit pkgs; };

  redis = {
    enable = true;
    image = "localhost/redis:test";
    imageArchive = images.redis;
  };
  # Marked as a test stack: each of these machines is made to be broken.
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
      sharedModules = [ self.homeModules.default ];
    };
    virtualisation = {
      memorySize = 2048;
      diskSize = 8192;
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
      services.aiStack = stack services;
    };
  };

  # What the scripts have in common.
  prelude = ''
    def drive(machine, scenario, user=None):
        command = f"aistack-testdriver run {scenario} --destructive"
        if user is not None:
            command = f"{command} --stack /home/{user}/.config/aistack/stack.json"
            command = (
                f"systemd-run --user --machine={user}@ --quiet --pipe --wait "
                f"--setenv=PATH=/run/wrappers/bin:/run/current-system/sw/bin:/etc/profiles/per-user/{user}/bin {command}"
            )
        else:
            command = f"{command} --stack /etc/aistack/stack.json"
        print(machine.succeed(command))

    def reboot(machine):
        machine.shutdown()
        machine.start()
  '';

  test =
    name:
    { nodes, script }:
    pkgs.testers.runNixOSTest {
      name = "aistack-${name}";
      # The modules set what the test's package set must leave open.
      node.pkgsReadOnly = false;
      inherit nodes;
      testScript = prelude + script;
    };
in
lib.mapAttrs test {
  stack-system = {
    nodes.machine = system { inherit redis; };
    script = ''
      machine.wait_for_unit("multi-user.target")
      for scenario in ["boot", "kill", "recreate", "port-taken", "before-reboot"]:
          drive(machine, scenario)
      reboot(machine)
      drive(machine, "after-reboot")
    '';
  };

  stack-home = {
    nodes.machine = home { inherit redis; };
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
        (system { inherit redis; })
        (home {
          inherit redis;
          portOffset = 10000;
        })
      ];
    };
    script = ''
      machine.wait_for_unit("user@1000.service")
      drive(machine, "boot")
      drive(machine, "boot", "ann")
      # What happens to one scope is nothing to the other.
      drive(machine, "kill")
      drive(machine, "boot", "ann")
    '';
  };

  switch = {
    nodes.machine = {
      imports = [ (system { inherit redis; }) ];
      specialisation.moved.configuration.services.aiStack.redis.ports.redis = 16379;
    };
    script = ''
      machine.wait_for_unit("multi-user.target")
      drive(machine, "before-reboot")
      machine.succeed("/run/current-system/specialisation/moved/bin/switch-to-configuration test")
      machine.wait_until_succeeds("aistack check --system", timeout=300)
      # The data came along, and the new port is the one that is asked.
      drive(machine, "after-reboot")
      drive(machine, "boot")
    '';
  };

  gpu-fake-cdi = {
    nodes.machine = {
      imports = [
        (system {
          gpu.backend = "cuda";
          ollama = {
            enable = true;
            image = "localhost/standin:test";
            imageArchive = images.standin;
            extraArgs = [ "11434" ];
            health.command = "wget -q -O /dev/null http://127.0.0.1:11434/api/tags";
          };
        })
      ];
      # A machine without a card: no driver, and a spec that hands over a null device.
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
    script = ''
      machine.wait_for_unit("multi-user.target")
      drive(machine, "boot")
      drive(machine, "${
        pkgs.writeText "gpu.json" (
          builtins.toJSON {
            schema = 1;
            name = "gpu";
            groups = [
              {
                steps = [
                  {
                    exec = {
                      service = "ollama";
                      argv = [
                        "test"
                        "-c"
                        "/dev/nvidia0"
                      ];
                    };
                  }
                ];
              }
            ];
          }
        )
      }")
    '';
  };

  survive-reset = {
    nodes.machine = system { inherit redis; };
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
        })
      ];
      systemd.tmpfiles.rules = [ "f /run/keys/redis 0600 root root - a-password-of-the-test" ];
    };
    script = ''
      machine.wait_for_unit("multi-user.target")
      drive(machine, "boot")
      machine.fail("podman inspect local-ai-redis | grep a-password-of-the-test")
      machine.fail("journalctl --boot | grep a-password-of-the-test")
      machine.fail("grep -r a-password-of-the-test /etc/aistack /etc/containers/systemd")
    '';
  };

  fleet = {
    nodes = {
      data =
        system {
          redis = redis // {
            address = "0.0.0.0";
            openFirewall = true;
            passwordFile = "/run/keys/redis";
          };
        }
        // {
          systemd.tmpfiles.rules = [ "f /run/keys/redis 0600 root root - a-password" ];
        };
      client = {
        imports = [ (system { inherit redis; }) ];
      };
    };
    script = ''
      start_all()
      for machine in [data, client]:
          machine.wait_for_unit("multi-user.target")
          drive(machine, "boot")
      client.succeed("${pkgs.redis}/bin/redis-cli -h data ping | grep NOAUTH")
      # What the client keeps for itself nobody else reaches.
      data.fail("timeout 5 ${pkgs.redis}/bin/redis-cli -h client ping")
    '';
  };
}
