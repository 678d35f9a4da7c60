# System scope: rootful containers under the system's systemd.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  inherit (lib)
    concatLists
    filterAttrs
    mapAttrs
    mapAttrs'
    mapAttrsToList
    mkDefault
    mkIf
    nameValuePair
    ;

  cfg = config.services.aiStack;
  util = import ../../lib { inherit lib; };
  manifestPath = "aistack/stack.json";

  # Home Manager as a module of this system: its users' stacks share our ports.
  homes =
    if options ? home-manager then
      filterAttrs (_: home: home.services.aiStack.enable or false) config.home-manager.users
    else
      { };

  # Those that claim something, with or without a stack.
  claiming =
    if options ? home-manager then
      filterAttrs (_: home: home.services.aiStack.ledger.active or false) config.home-manager.users
    else
      { };

  firewalld = config.networking.firewall.backend or "iptables" == "firewalld";

  usesDevices =
    home:
    lib.any (s: s.gpu != null && lib.any (lib.hasPrefix "/dev/") s.gpu.devices) (
      lib.attrValues home.services.aiStack.resolved.services
    );

  # One rule a folder: several services may read the same one.
  directories = lib.mergeAttrsList (
    concatLists (mapAttrsToList (_: s: map (d: { ${d.host} = d; }) s.data) cfg.resolved.services)
    # Whoever reads them: the fetching unit makes no folder, in case a disk is missing.
    ++ lib.optional (cfg.models != { }) {
      ${cfg.modelsDir} = {
        mode = "0755";
        owner = null;
      };
    }
  );

  openPorts =
    protocol:
    concatLists (
      mapAttrsToList (
        _: s:
        if s.config.openFirewall then
          map (p: p.host) (builtins.filter (p: p.protocol == protocol) s.ports)
        else
          [ ]
      ) cfg.resolved.services
    );

  named =
    kind: as:
    mapAttrs' (file: unit: nameValuePair (lib.removeSuffix kind file) (as unit)) (
      filterAttrs (file: _: lib.hasSuffix kind file && !(builtins.elem file cfg.helperUnits)) cfg.units
    );

  # A unit as systemd reads it.
  unitText = lib.generators.toINI {
    listsAsDuplicateKeys = true;
    mkKeyValue =
      key: value: "${key}=${if builtins.isBool value then lib.boolToString value else toString value}";
  };
in
{
  imports = [
    ../stack
    ../gpu
    ./engine.nix
    ./monitoring.nix
  ];

  config = lib.mkMerge [
    {
      services.aiStack.scope = "system";
    }

    (mkIf (homes != { }) {
      # Rootless containers that start without a login, with ids of their own to map.
      users.users = mapAttrs (_: home: {
        linger = mkDefault true;
        autoSubUidGidRange = mkDefault true;
        # What /dev/kfd and /dev/dri belong to; rootless containers have no more than
        # their user.
        extraGroups = lib.optionals (usesDevices home) [
          "render"
          "video"
        ];
      }) homes;
      virtualisation.podman.enable = mkDefault true;
      # Each rootless network waits up to 90 s for this target (podman-systemd.unit(5),
      # podman-user-wait-network-online.service), and since 25.05 nothing in NixOS wants it:
      # nixpkgs PR 365809.
      systemd.targets.network-online.wantedBy = [ "multi-user.target" ];
    })

    # A clash between a user's stack and the system concerns the host even where the
    # system's own stack is off.
    {
      services.aiStack.ledger.active = mkIf (claiming != { }) true;
    }
    (mkIf cfg.ledger.active {
      services.aiStack.ledger.claims =
        concatLists (mapAttrsToList (_: home: home.services.aiStack.ledger.claims) claiming)
        ++ import ./foreign.nix { inherit config lib; };
    })

    # The same for firewalld, which has zones in the place of rules for one interface:
    # nixpkgs, nixos/modules/services/networking/firewall-firewalld.nix.
    (lib.optionalAttrs (options.services ? firewalld) {
      services.firewalld.zones = mkIf (cfg.enable && firewalld) {
        ${cfg.network} = {
          interfaces = [ cfg.network ];
          ports =
            map
              (protocol: {
                inherit protocol;
                port = 53;
              })
              [
                "tcp"
                "udp"
              ];
        };
      };
    })

    (mkIf cfg.enable {
      services.aiStack = {
        dataRoot = mkDefault "/var/lib/local-ai";
        identity = {
          host = config.networking.hostName;
          user = null;
          manifestPath = "/etc/${manifestPath}";
        };
        # Those that are mounted at a boot; a file system that may be missing would stop the container.
        node-exporter.fileSystems = mkDefault (
          lib.attrNames (
            filterAttrs (
              path: fs:
              lib.hasPrefix "/" path
              && !(lib.any (o: lib.elem o fs.options) [
                "noauto"
                "nofail"
              ])
            ) config.fileSystems
          )
        );
        hostGroups = mapAttrs (_: group: group.gid) {
          inherit (config.users.groups) render systemd-journal video;
        };
        verify.rollbackScript = ''
          set -eu
          profile=/nix/var/nix/profiles/system
          # A switch holds this lock until it has ended, and one that finds it held gives up:
          # nixpkgs, switch-to-configuration-ng, do_user_switch and main.
          mkdir -p /run/nixos
          ${pkgs.util-linux}/bin/flock --timeout 600 /run/nixos/switch-to-configuration.lock true
          running=$(${pkgs.coreutils}/bin/readlink -f /run/current-system)
          # After a boot there was no switch that could be taken back.
          if [ "$(${pkgs.coreutils}/bin/readlink -f /run/booted-system)" = "$running" ]; then
            echo "this generation was booted, not switched to: it stays"
            exit 0
          fi
          # `nixos-rebuild test` leaves the profile alone: it still names the generation before.
          if [ "$(${pkgs.coreutils}/bin/readlink -f "$profile")" = "$running" ]; then
            ${config.nix.package}/bin/nix-env --profile "$profile" --rollback
          else
            echo "the profile is not what runs: back to the profile"
          fi
          # In a unit of its own: the switch stops and starts the one that found the fault.
          exec ${config.systemd.package}/bin/systemd-run --collect --unit=local-ai-rollback-switch \
            "$profile/bin/switch-to-configuration" switch
        '';
      };

      environment.systemPackages = [ cfg.package ];

      # Files for people's programs, as examples to copy: a system has no home.
      environment.etc = {
        ${manifestPath}.text = builtins.toJSON cfg.manifest;
        "aistack/scenarios.json".text = builtins.toJSON cfg.scenarios;
      }
      // lib.optionalAttrs cfg.verify.testStack { "aistack/test-stack".text = ""; }
      // mapAttrs' (
        path: text: nameValuePair "aistack/home/${lib.removePrefix "." path}" { inherit text; }
      ) cfg.userFiles;

      # Containers ask the resolver on their bridge for each other's names.
      networking.firewall = {
        interfaces = mkIf (!firewalld) {
          ${cfg.network} = {
            allowedUDPPorts = [ 53 ];
            allowedTCPPorts = [ 53 ];
          };
        };
        allowedTCPPorts = openPorts "tcp";
        allowedUDPPorts = openPorts "udp";
      };

      systemd.tmpfiles.settings.local-ai = lib.mkMerge (
        [
          {
            # Accounts with an id that a container has as well cannot list what is in there.
            ${cfg.dataRoot}.d = {
              mode = mkDefault "0711";
              user = mkDefault "root";
              group = mkDefault "root";
            };
            "${cfg.dataRoot}/secrets".d = {
              mode = mkDefault "0700";
              user = mkDefault "root";
              group = mkDefault "root";
            };
          }
        ]
        ++ mapAttrsToList (host: d: {
          ${util.systemd.path host}.d = {
            mode = mkDefault d.mode;
            user = mkDefault (toString (if d.owner == null then 0 else d.owner.uid));
            group = mkDefault (toString (if d.owner == null then 0 else d.owner.gid));
          };
        }) directories
      );

      # `aistack apply` restarts what changed, once its image is there. The switch itself
      # would stop it first and then wait for the download.
      systemd.services = mapAttrs' (
        _: s: nameValuePair s.container { restartIfChanged = mkDefault false; }
      ) cfg.resolved.services;
    })

    # Also those of what is prepared without a stack.
    {
      systemd = {
        units = lib.genAttrs cfg.helperUnits (file: {
          text = unitText cfg.units.${file};
        });
        targets = named ".target" (unit: {
          unitConfig = unit.Unit;
        });
        paths = named ".path" (unit: {
          unitConfig = unit.Unit;
          pathConfig = unit.Path;
        });
        timers = named ".timer" (unit: {
          unitConfig = unit.Unit;
          timerConfig = unit.Timer;
          wantedBy = unit.Install.WantedBy;
        });
        services = named ".service" (unit: {
          unitConfig = unit.Unit;
          serviceConfig = unit.Service;
          wantedBy = unit.Install.WantedBy or [ ];
        });
      };
    }
  ];
}
