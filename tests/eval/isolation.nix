# Evaluation tests of the isolation of containers: ranges of user ids, the network, and the
# firewall rules of the guard.
{
  lib,
  on,
  coreIn,
  container,
  nixos,
  refuses,
  accepts,
  equal,
}:
let
  ids = import ../../modules/stack/ids.nix { inherit lib; };
  redis.redis.enable = true;
  stack = module: {
    services.aiStack = {
      enable = true;
    }
    // module;
  };
  start = ids.startOf "redis";
in
{
  "a container in system scope has a range of ids that owns its data" =
    let
      config = on redis;
      service = config.services.aiStack.resolved.services.redis;
    in
    equal
      {
        inherit (container redis "redis") uidMaps gidMaps;
        inherit (lib.head service.data) owner;
      }
      {
        uidMaps = [ "0:${toString start}:65536" ];
        gidMaps = [ "0:${toString start}:65536" ];
        owner = {
          uid = start + 999;
          gid = start + 999;
        };
      };

  "a range lies between systemd's containers and its foreign range" = equal (lib.filter (
    name: ids.startOf name < 1879048192 || ids.startOf name + ids.size > 2147352576
  ) (lib.attrNames (builtins.readDir ../../modules/services))) [ ];

  "a container without a range uses the ids of the host" =
    let
      module.redis = {
        enable = true;
        userNamespace.start = null;
      };
    in
    equal
      {
        inherit (container module "redis") uidMaps gidMaps;
        inherit (lib.head (on module).services.aiStack.resolved.services.redis.data) owner;
      }
      {
        uidMaps = [ ];
        gidMaps = [ ];
        owner = {
          uid = 999;
          gid = 999;
        };
      };

  "in user scope podman maps the user's own ids" =
    let
      config = coreIn "user" ({ enable = true; } // redis);
      quadlet = config.virtualisation.quadlet.containers.local-ai-redis.containerConfig;
    in
    equal
      {
        inherit (quadlet) uidMaps userns;
        ids = config.services.aiStack.manifest.services.redis ? ids;
        guard = config.services.aiStack.units ? "local-ai-guard.service";
      }
      {
        uidMaps = [ ];
        userns = "keep-id:uid=999,gid=999";
        ids = false;
        guard = false;
      };

  "an AMD card's devices keep their groups" =
    let
      module = {
        gpu.backend = "rocm";
        ollama.enable = true;
      };
      inherit (ids) groupIn;
      ollama = ids.startOf "ollama";
    in
    equal
      {
        inherit (container module "ollama") gidMaps addGroups;
      }
      {
        gidMaps = [
          "0:${toString ollama}:65536"
          "${toString (groupIn 0)}:303:1"
          "${toString (groupIn 1)}:26:1"
        ];
        addGroups = [
          (toString (groupIn 0))
          (toString (groupIn 1))
        ];
      };

  "refuses an account with ids of a service's range, and names both" =
    refuses
      (nixos [
        (stack redis)
        {
          users.users.ann = {
            isNormalUser = true;
            subUidRanges = [
              {
                startUid = start - 10;
                count = 100;
              }
            ];
          };
        }
      ])
      [
        "users.users.ann.subUidRanges"
        "services.aiStack.redis.userNamespace.start"
        "claimed twice: user ids"
      ];

  "refuses two services with one range of ids" =
    refuses
      (nixos [
        (stack {
          redis = {
            enable = true;
            userNamespace.start = 2000000000;
          };
          qdrant = {
            enable = true;
            userNamespace.start = 2000000000 + 65535;
          };
        })
      ])
      [
        "services.aiStack.redis.userNamespace.start"
        "services.aiStack.qdrant.userNamespace.start"
      ];

  "accepts overlapping ranges of user ids and of group ids" = accepts (nixos [
    (stack redis)
    {
      users.users.ann = {
        isNormalUser = true;
        subUidRanges = [
          {
            startUid = 100000;
            count = 65536;
          }
        ];
        subGidRanges = [
          {
            startGid = 100000;
            count = 131072;
          }
        ];
      };
    }
  ]);

  "the network is isolated, and containers wait for the guard" =
    let
      config = on redis;
      unit = config.virtualisation.quadlet.containers.local-ai-redis.unitConfig;
      parts = lib.filter (p: p ? After) (unit.contents or [ unit ]);
    in
    equal
      {
        inherit (config.virtualisation.quadlet.networks.local-ai.networkConfig) options;
        waits = lib.any (p: lib.elem "local-ai-guard.service" p.After) parts;
        restarted =
          lib.elem "nftables.service"
            config.services.aiStack.units."local-ai-guard.service".Unit.PartOf;
      }
      {
        options.isolate = "strict";
        waits = true;
        restarted = true;
      };
}
