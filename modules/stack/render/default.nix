# The resolved stack as quadlets (through quadlet-nix) and as plain systemd units. The units are
# written in the sections of systemd's own files, so that both back ends can use them unchanged.
{ config, lib, ... }:
let
  inherit (lib)
    mapAttrs
    mapAttrs'
    mapAttrsToList
    mkDefault
    mkIf
    mkOption
    nameValuePair
    optional
    types
    ;

  cfg = config.services.aiStack;
  util = import ../../../lib { inherit lib; };

  rootless = cfg.scope == "user";
  tool = "${cfg.package}/bin/aistack";
  manifest = cfg.identity.manifestPath;
  run =
    arguments:
    util.systemd.exec (
      [
        tool
        "unit"
      ]
      ++ arguments
      ++ [
        "--stack"
        manifest
      ]
    );
  inherit (cfg.resolved) services;

  containerConfig = import ./container.nix { inherit lib util cfg; };

  # The hash of a service: a change of it restarts the service. It covers the container and what
  # `aistack unit setup` brings into it.
  hashOf =
    s:
    builtins.hashString "sha256" (
      builtins.toJSON (
        # Unset values are left out, so that a new option does not restart services that do not set it.
        lib.filterAttrs (_: value: value != null) (containerConfig s)
        // {
          inherit (s) setup postgres qdrant;
          archive = s.image.archive;
        }
      )
    );
  hashes = mapAttrs (_: hashOf) services;

  unitsOf = names: map (n: services.${n}.unit) (builtins.filter (n: services ? ${n}) names);

  # A unit of the system creates the CDI devices. A user's unit cannot be ordered after it, so in
  # user scope `aistack unit prestart` waits for the devices.
  extraUnitConfig =
    s:
    lib.optionalAttrs (
      !rootless && s.gpu != null && lib.any (lib.hasInfix "nvidia.com/gpu") s.gpu.devices
    ) (lib.genAttrs [ "Wants" "After" ] (_: [ "nvidia-container-toolkit-cdi-generator.service" ]));

  networkUnit = "${cfg.network}-network.service";

  # Firewalls that remove our rules when they are reloaded.
  firewalls = [
    "firewall.service"
    "firewalld.service"
    "nftables.service"
  ];
  # Firewall rules that block other machines, networks and accounts from the containers. A user's
  # containers need none: they are in that user's own network namespace.
  guardUnit = "local-ai-guard.service";
  guard = {
    Unit = {
      Description = "Local AI: close the containers to other machines";
      Wants = [ networkUnit ];
      After = [ networkUnit ] ++ firewalls;
      # `systemctl restart` and `reload` of a firewall reach this unit as well.
      PartOf = firewalls;
      ReloadPropagatedFrom = firewalls;
      StartLimitIntervalSec = 0;
    };
    Service = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = run [ "guard" ];
      ExecReload = run [ "guard" ];
    };
  };
  # Units that must be up before a container may use the network.
  networkUnits = [ networkUnit ] ++ optional (!rootless) guardUnit;

  containerUnit =
    s:
    nameValuePair s.container {
      # Containers are started by the target, by `aistack unit apply` or by a user, and not by
      # multi-user.target or default.target, which would wait for downloads and models.
      autoStart = false;
      # A rootless network namespace copies the host's addresses when it is created, so it must wait
      # for them. Root's bridge does not depend on them, and loopback needs no network.
      quadletConfig.defaultDependencies = if rootless then null else false;
      containerConfig = mapAttrs (_: mkDefault) (containerConfig s);
      unitConfig = lib.mkMerge [
        (extraUnitConfig s)
        {
          Description = "Local AI: ${s.name} (${s.description})";
          PartOf = [ cfg.resolved.target ];
          # Wants= and After= also for required services: a start job that fails because of
          # Requires= leaves a service with Restart= waiting without end. Instead `aistack unit prestart`
          # refuses to start while a required service is down, and Restart= tries again.
          # The pull unit is not listed: `aistack unit prestart` starts it when the image is missing and
          # refuses until the image is present. A start job that waits for a download would keep the
          # boot from finishing, and delay all units that are ordered after this service.
          Wants = networkUnits ++ unitsOf (s.needs ++ s.wants);
          After = networkUnits ++ unitsOf (s.needs ++ s.wants) ++ optional (asked s) secretsUnit;
          WantsMountsFor = map (d: util.systemd.word (util.systemd.path d.host)) s.data;
          # No limit of restarts: the cause of a failure can disappear later (a secret arrives, a disk is
          # mounted, a port becomes free), and the unit must then still try to start.
          StartLimitIntervalSec = 0;
        }
      ];
      serviceConfig = {
        ExecStartPre = run [
          "prestart"
          s.name
        ];
        Restart = "always";
        RestartSec = 2;
        RestartSteps = 6;
        RestartMaxDelaySec = 120;
        TimeoutStartSec = s.config.health.startTimeout;
        # Longer than podman's time-out, as podman-systemd.unit(5) requires.
        TimeoutStopSec = s.config.stopTimeout + 10;
        # podman's exit code after SIGTERM ended the container: a regular stop, not a failure.
        SuccessExitStatus = 143;
      }
      // lib.optionalAttrs (s.setup != [ ] || s.postgres != null || s.qdrant != null) {
        # A failure of the setup does not stop the server: other services use the databases that are
        # healthy, and `aistack check` reports the others.
        ExecStartPost = "-${
          run [
            "setup"
            s.name
          ]
        }";
      };
    };

  # Whether a service reads secrets from the user's secret manager. sops-nix decrypts either in a
  # unit or in the activation. An order after a unit that does not exist has no effect.
  asked = s: lib.any (secret: !secret.generate) s.secrets || roleSources s != [ ];
  roleSources =
    s: map (role: role.passwordSource) (if s.postgres == null then [ ] else s.postgres.roles);
  # Includes generated secrets: a client must not restart with a new password before its server
  # does.
  sourcesOf = s: lib.unique (map (secret: secret.source) s.secrets ++ roleSources s);
  secretsUnit = if rootless then "sops-nix.service" else "sops-install-secrets.service";

  # Restarts a single service when the value of one of its secrets changes. A secret manager
  # replaces the files at each activation, so the unit compares the values.
  watched = lib.filterAttrs (_: s: sourcesOf s != [ ]) services;
  rotateUnit = s: {
    Unit.Description = "Local AI: secrets of ${s.name}";
    Service = {
      Type = "oneshot";
      ExecStart = run [
        "rotate"
        s.name
      ];
    };
  };
  rotatePath = s: {
    Unit = {
      Description = "Local AI: watch the secrets of ${s.name}";
      PartOf = [ cfg.resolved.target ];
    };
    Path.PathChanged = map util.systemd.path (sourcesOf s);
  };

  # Loads models into a service after its start. It never delays the start or lets it fail.
  loaderUnit = s: {
    Unit = {
      Description = "Local AI: models of ${s.name}";
      After = [ s.unit ];
      # It stops with the stack, and it never starts the service: otherwise its own restart would
      # undo a stop of the stack.
      PartOf = [ cfg.resolved.target ];
      StartLimitIntervalSec = 0;
    };
    Service = {
      Type = "exec";
      ExecStart = util.systemd.exec (
        [
          tool
          "unit"
          s.loader.command
          "--stack"
          manifest
        ]
        ++ lib.concatMap (i: [
          "--import"
          "${i.name}=${i.path}"
        ]) s.loader.imports
        ++ s.loader.names
      );
      Restart = "on-failure";
      RestartSec = 60;
      RestartSteps = 6;
      RestartMaxDelaySec = 3600;
    };
  };
  loaded = lib.filterAttrs (_: s: s.loader != null) services;

  pullUnit = s: {
    Unit = {
      Description = "Local AI: image of ${s.name}";
    };
    Service = {
      # `exec` and not `oneshot`, so that no job waits for the download. `aistack unit prestart` starts the
      # unit whenever a container starts without its image, also after `podman system reset`.
      Type = "exec";
      ExecStart = run [
        "pull"
        s.name
      ];
    };
  };

  helpers =
    mapAttrs' (_: s: nameValuePair s.pullUnit (pullUnit s)) services
    // mapAttrs' (_: s: nameValuePair s.loader.unit (loaderUnit s)) loaded
    // mapAttrs' (_: s: nameValuePair "${s.container}-secrets.service" (rotateUnit s)) watched
    // mapAttrs' (_: s: nameValuePair "${s.container}-secrets.path" (rotatePath s)) watched;
in
{
  options.services.aiStack.units = mkOption {
    type = types.attrsOf types.raw;
    internal = true;
    default = { };
    description = "Plain systemd units of the stack by file name, as sections of systemd's unit files.";
  };
  options.services.aiStack.helperUnits = mkOption {
    type = types.listOf types.str;
    internal = true;
    default = [ ];
    description = "Names of the `units` that every service has. Nobody configures them, so the system scope writes their text itself: evaluating NixOS's options for units costs more than the rest of a service.";
  };

  config = mkIf cfg.enable {
    services.aiStack = {
      manifest = import ../manifest.nix { inherit lib; } cfg.resolved hashes;

      helperUnits = lib.attrNames helpers;
      units =
        helpers
        // lib.optionalAttrs (!rootless) { ${guardUnit} = guard; }
        // {
          ${cfg.resolved.target} = {
            Unit = {
              Description = "Local AI stack";
              # The switch does not start it: `aistack unit apply` does, without waiting.
              X-OnlyManualStart = true;
              Wants =
                mapAttrsToList (_: s: s.unit) services
                ++ lib.filter (lib.hasSuffix ".path") (lib.attrNames helpers)
                ++ mapAttrsToList (_: m: m.unit) cfg.models
                ++ mapAttrsToList (_: s: s.loader.unit) loaded;
            }
            # Home Manager's sd-switch does not support X-OnlyManualStart: it starts a changed target and
            # waits for it. By default a target is ordered after the units that it wants, including
            # downloads (systemd.target(5), Default Dependencies).
            // lib.optionalAttrs rootless {
              DefaultDependencies = false;
              Conflicts = [ "shutdown.target" ];
              Before = [ "shutdown.target" ];
            };
          };
          # Runs after a switch or a boot, neither of which waits for it. It gets the images, restarts
          # changed services, and starts the others.
          "local-ai-apply.service" = {
            Unit = {
              Description = "Local AI: bring the stack to what is declared";
              X-StackHash = builtins.hashString "sha256" (builtins.toJSON cfg.manifest);
              # Refers to the target, so that systemd keeps the stack's units in memory also while none
              # runs. Otherwise each query of one unit reads all of them from disk. It delays nothing:
              # systemd counts this unit as started as soon as its program runs.
              Before = [ cfg.resolved.target ];
            };
            Service = {
              Type = "exec";
              RemainAfterExit = true;
              ExecStart = run [ "apply" ];
              Restart = "on-failure";
              RestartSec = 60;
            };
            Install.WantedBy = [ util.systemd.bootTarget.${cfg.scope} ];
          };
        };
    };

    virtualisation.quadlet = {
      containers = mapAttrs' (_: containerUnit) services;
      networks.${cfg.network} = {
        autoStart = false;
        quadletConfig.defaultDependencies = if rootless then null else false;
        # Every container that starts also starts this unit; after a boot all do so at once.
        unitConfig.StartLimitIntervalSec = 0;
        # Each start of a container checks again that the network is present: `podman system reset`
        # removes it without systemd's knowledge.
        serviceConfig = {
          # podman cannot change a network. With other options it is created again.
          ExecStartPre = run [ "network" ];
          RemainAfterExit = false;
          # quadlet's ExecStop= would remove the network at once.
          ExecStop = [ ];
        };
        networkConfig = {
          name = cfg.network;
          options = cfg.resolved.networkOptions;
          # A fixed name for the bridge: the firewall opens DNS on this interface only.
          podmanArgs = optional (!rootless) "--interface-name=${cfg.network}";
        };
      };
    };
  };
}
