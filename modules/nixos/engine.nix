# podman itself, and optional tools.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mkDefault
    mkIf
    mkOption
    optional
    types
    ;

  cfg = config.services.aiStack;
  inherit (cfg) engine;
  fileSystem = if cfg.facts == null then null else cfg.facts.fileSystems.containers;
in
{
  options.services.aiStack.engine = {
    storageDriver = mkOption {
      type = types.enum [
        "overlay"
        "btrfs"
        "zfs"
        "vfs"
      ];
      default =
        if
          builtins.elem fileSystem [
            "btrfs"
            "zfs"
          ]
        then
          fileSystem
        else
          "overlay";
      defaultText = lib.literalMD "`btrfs` or `zfs` if the facts name it as the file system of /var/lib/containers, else `overlay`";
      description = "Podman's storage driver for the layers of images. A change hides the present images; the stack downloads them again.";
    };
    tools = mkOption {
      type = types.bool;
      default = false;
      description = "Install dive, podman-tui, podman-compose, buildah and skopeo.";
    };
    rootlessDocker = mkOption {
      type = types.bool;
      default = false;
      description = "Run a rootless Docker for each user, next to podman, and remove its unused data every week. The command `docker` is then Docker's.";
    };
  };

  config = mkIf cfg.enable {
    virtualisation = {
      podman = {
        enable = mkDefault true;
        dockerCompat = mkDefault (!config.virtualisation.docker.enable && !engine.rootlessDocker);
        defaultNetwork.settings.dns_enabled = mkDefault true;
      };
      # Overrides NixOS's default and yields to a value from the user.
      containers.storage.settings.storage.driver = lib.mkOverride 900 engine.storageDriver;
      docker.rootless = mkIf engine.rootlessDocker {
        enable = mkDefault true;
        setSocketVariable = mkDefault true;
      };
    };

    environment.systemPackages = mkIf engine.tools [
      pkgs.buildah
      pkgs.dive
      pkgs.podman-compose
      pkgs.podman-tui
      pkgs.skopeo
    ];

    # NixOS's own pruning is for root's daemon only.
    systemd.user = mkIf engine.rootlessDocker {
      services.local-ai-docker-prune = {
        description = "Clear rootless Docker of what nothing uses";
        after = [ "docker.service" ];
        requires = [ "docker.service" ];
        serviceConfig = {
          Type = "oneshot";
          ExecStart = "${lib.getExe config.virtualisation.docker.rootless.package} --host unix://%t/docker.sock system prune --force";
        };
      };
      timers.local-ai-docker-prune = {
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnCalendar = mkDefault "weekly";
          Persistent = true;
        };
      };
    };

    warnings =
      optional (engine.storageDriver == "vfs")
        "services.aiStack.engine.storageDriver = \"vfs\" copies every layer of every image and takes several times the disk space. Use it only on file systems where no other driver works.";
  };
}
