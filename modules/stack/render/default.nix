# The resolved stack as quadlets (through quadlet-nix) and as the plain units beside
# them. Written in the sections of systemd's own files, so that both back ends can
# take it as it is.
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

  # What the hash of a service covers: the container, less what cannot be compared.
  hashOf =
    s:
    builtins.hashString "sha256" (
      builtins.toJSON (
        # What is not set counts for nothing: a new option restarts no service that leaves it.
        lib.filterAttrs (_: value: value != null) (containerConfig s)
        // {
          inherit (s) setup postgres qdrant;
          archive = s.image.archive;
        }
      )
    );
  hashes = mapAttrs (_: hashOf) services;

  unitsOf = names: map (n: services.${n}.unit) (builtins.filter (n: services ? ${n}) names);

  # Devices of a CDI kind are made by a unit of the system; a user's unit cannot be
  # ordered after it, so `aistack unit prestart` waits there.
  extraUnitConfig =
    s:
    lib.optionalAttrs (
      !rootless && s.gpu != null && lib.any (lib.hasInfix "nvidia.com/gpu") s.gpu.devices
    ) (lib.genAttrs [ "Wants" "After" ] (_: [ "nvidia-container-toolkit-cdi-generator.service" ]));

  networkUnit = "${cfg.network}-network.service";

  # Firewalls that take our rules away when they are loaded again.
  firewalls = [
    "firewall.service"
    "firewalld.service"
    "nftables.service"
  ];
  # Rules that keep other machines, networks and accounts away from the containers. A user's
  # containers lie in a network namespace of that user's, which nobody else reaches.
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
  # What a container waits for before it may use the network.
  networkUnits = [ networkUnit ] ++ optional (!rootless) guardUnit;

  containerUnit =
    s:
    nameValuePair s.container {
      # Whoever starts it: the target, `aistack unit apply`, a user. Not multi-user.target
      # or default.target, which would wait for downloads and models.
      autoStart = false;
      # A rootless network namespace copies the host's addresses when it is made, so it
      # waits for them; a bridge of root's does not care, and loopback needs no network.
      quadletConfig.defaultDependencies = if rootless then null else false;
      containerConfig = mapAttrs (_: mkDefault) (containerConfig s);
      unitConfig = lib.mkMerge [
        (extraUnitConfig s)
        {
          Description = "Local AI: ${s.name} (${s.description})";
          PartOf = [ cfg.resolved.target ];
          # Wants and an order, also of what it cannot do without: a start job that fails by
          # Requires= leaves a service with Restart= waiting for ever. `aistack unit prestart`
          # refuses while a need is not up, and the restart tries again.
          # Not the unit that brings the image: `aistack unit prestart` starts that when the image is
          # missing and refuses until it is there. A start job that waits for a download keeps a
          # boot from ever being over, and those wait that are ordered after this service.
          Wants = networkUnits ++ unitsOf (s.needs ++ s.wants);
          After = networkUnits ++ unitsOf (s.needs ++ s.wants) ++ optional (asked s) secretsUnit;
          WantsMountsFor = map (d: util.systemd.word (util.systemd.path d.host)) s.data;
          # A cause that goes away (a secret that arrives, a disk that is mounted, a port
          # that is freed) must not find the unit given up on.
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
        # Longer than podman's, as podman-systemd.unit(5) asks.
        TimeoutStopSec = s.config.stopTimeout + 10;
        # What podman ends with when SIGTERM ended the container: a stop, no failure.
        SuccessExitStatus = 143;
      }
      // lib.optionalAttrs (s.setup != [ ] || s.postgres != null || s.qdrant != null) {
        # What fails there leaves the server up: others use the databases that are well, and
        # `aistack check` says which are not.
        ExecStartPost = "-${
          run [
            "setup"
            s.name
          ]
        }";
      };
    };

  # Whether it reads secrets that the user's secret manager brings. sops-nix decrypts in
  # a unit where it does not do so in the activation; an order after a unit that does
  # not exist costs nothing.
  asked = s: lib.any (secret: !secret.generate) s.secrets || roleSources s != [ ];
  roleSources =
    s: map (role: role.passwordSource) (if s.postgres == null then [ ] else s.postgres.roles);
  # A generated one too: who shares it must not be ahead of whom it opens.
  sourcesOf = s: lib.unique (map (secret: secret.source) s.secrets ++ roleSources s);
  secretsUnit = if rootless then "sops-nix.service" else "sops-install-secrets.service";

  # Restarts a service, and no other, when one of its secrets has another value. A secret
  # manager replaces the files at each activation, so the unit compares the values.
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

  # What a service is to be filled with, behind its start: it never delays or fails that.
  loaderUnit = s: {
    Unit = {
      Description = "Local AI: models of ${s.name}";
      After = [ s.unit ];
      # Stopped with the stack, and it never starts the service: its own restart would take
      # back the stop of the whole.
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
      # Not oneshot: no job waits while it fetches. It is asked again whenever a container
      # starts without its image, also after `podman system reset`.
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
              # Not the switch: `aistack unit apply` starts it, and waits for nothing.
              X-OnlyManualStart = true;
              Wants =
                mapAttrsToList (_: s: s.unit) services
                ++ lib.filter (lib.hasSuffix ".path") (lib.attrNames helpers)
                ++ mapAttrsToList (_: m: m.unit) cfg.models
                ++ mapAttrsToList (_: s: s.loader.unit) loaded;
            }
            # sd-switch, which Home Manager switches with, knows no X-OnlyManualStart: it starts
            # a changed target and waits for it. By default a target is ordered after what it
            # wants, downloads included (systemd.target(5), Default Dependencies).
            // lib.optionalAttrs rootless {
              DefaultDependencies = false;
              Conflicts = [ "shutdown.target" ];
              Before = [ "shutdown.target" ];
            };
          };
          # Runs behind a switch or a boot: neither waits for a download. It gets the
          # images, restarts what changed, and starts the rest.
          "local-ai-apply.service" = {
            Unit = {
              Description = "Local AI: bring the stack to what is declared";
              X-StackHash = builtins.hashString "sha256" (builtins.toJSON cfg.manifest);
              # Names the target, so that systemd keeps its units in memory also while none
              # runs: else each question about one of them reads them all from disk. It
              # delays nothing: this unit has started once its program has.
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
        # Every container that starts asks for it, all at once after a boot.
        unitConfig.StartLimitIntervalSec = 0;
        # Each start of a container asks anew whether the network is there: `podman system
        # reset` takes it away behind systemd's back.
        serviceConfig = {
          # podman keeps a network as it was made: one with other options is made again.
          ExecStartPre = run [ "network" ];
          RemainAfterExit = false;
          # It would remove the network at once.
          ExecStop = [ ];
        };
        networkConfig = {
          name = cfg.network;
          options = cfg.resolved.networkOptions;
          # A name of our own for the bridge: the firewall opens DNS on it and on no other.
          podmanArgs = optional (!rootless) "--interface-name=${cfg.network}";
        };
      };
    };
  };
}
