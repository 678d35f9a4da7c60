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

  # Users of Home Manager as a NixOS module: their stacks share the host's ports.
  homes =
    if options ? home-manager then
      filterAttrs (_: home: home.services.aiStack.enable or false) config.home-manager.users
    else
      { };

  firewalld = config.networking.firewall.backend or "iptables" == "firewalld";

  usesDevices =
    home:
    lib.any (s: s.gpu != null && lib.any (lib.hasPrefix "/dev/") s.gpu.devices) (
      lib.attrValues home.services.aiStack.resolved.services
    );

  # One rule for each folder, because several services may read the same folder.
  directories = lib.mergeAttrsList (
    concatLists (mapAttrsToList (_: s: map (d: { ${d.host} = d; }) s.data) cfg.resolved.services)
    # Also if no service reads the models: the download unit does not create the folder, because its
    # disk could be missing.
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

  # The text of a unit file.
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
    ../ledger/nixos.nix
    ./engine.nix
    ./monitoring.nix
  ];

  config = lib.mkMerge [
    {
      services.aiStack.scope = "system";
    }

    (mkIf (homes != { }) {
      # Rootless containers start without a login and need subordinate ids to map.
      users.users = mapAttrs (_: home: {
        linger = mkDefault true;
        autoSubUidGidRange = mkDefault true;
        # The groups of /dev/kfd and /dev/dri: rootless containers have only the rights of their
        # user.
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
        # File systems that are mounted at boot. One that may be missing would stop the container.
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

      # `userFiles` as examples to copy, because a system has no home folder.
      environment.etc = {
        ${manifestPath}.text = builtins.toJSON cfg.manifest;
        "aistack/scenarios.json".text = builtins.toJSON cfg.scenarios;
      }
      // lib.optionalAttrs cfg.verify.testStack { "aistack/test-stack".text = ""; }
      // mapAttrs' (
        path: text: nameValuePair "aistack/home/${lib.removePrefix "." path}" { inherit text; }
      ) cfg.userFiles;

      # Containers resolve each other's names by the DNS server on their bridge.
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
            # Mode 0711: an account with the same id as a container's user cannot list the folder.
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

      # `aistack unit apply` restarts a changed service once its image is present. The switch would stop
      # the service first and then wait for the download.
      systemd.services = mapAttrs' (
        _: s: nameValuePair s.container { restartIfChanged = mkDefault false; }
      ) cfg.resolved.services;
    })

    # Outside of `mkIf cfg.enable`: the units of aiOptimizerPrep exist without a stack too.
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
