# Prepares the machine for a docker-compose stack that its owner installs by hand: folders,
# reserved ports and a report, the same in every scope. Nothing is installed, downloaded or
# started.
{ config, lib, ... }:
let
  inherit (lib)
    attrNames
    concatMapStringsSep
    filter
    mapAttrs
    mapAttrsToList
    mkDefault
    mkEnableOption
    mkIf
    mkOption
    optional
    types
    ;

  util = import ../../lib { inherit lib; };
  facts = import ../facts/type.nix { inherit lib; };
  cfg = config.services.aiOptimizerPrep;
  stack = config.services.aiStack;
  root = "services.aiOptimizerPrep";

  path = types.strMatching "/[^\n]*";
  # `aistack prep` creates the same folders if no switch has created them.
  folders = [
    "postgres"
    "redis"
    "qdrant"
    "vllm-models"
    "imports"
    "exports"
    "backups"
  ];

  portOption =
    default: description:
    mkOption {
      type = types.port;
      inherit default;
      description = "Host port of ${description}.";
    };

  within = outer: inner: lib.hasPrefix "${lib.removeSuffix "/" outer}/" "${inner}/";
  owner = "${root} (${if stack.scope == "system" then "system" else "user ${cfg.user}"})";
  directory = option: {
    kind = "directory";
    inherit owner;
    option = "${root}.${option}";
    path = cfg.${option};
    exclusive = true;
  };

  twice = filter (p: lib.count (q: q == p) (lib.attrValues cfg.ports) > 1) (
    lib.unique (lib.attrValues cfg.ports)
  );
  called = port: filter (name: cfg.ports.${name} == port) (attrNames cfg.ports);
in
{
  options.services.aiOptimizerPrep = {
    enable = mkEnableOption "preparation for a separately installed AI-Optimizer (a private docker-compose stack): folders, reserved ports and a report. Nothing is installed, downloaded or started";

    dataRoot = mkOption {
      type = path;
      description = "Folder of AI-Optimizer's data, which stays when AI-Optimizer is removed. The default is `~/.local/share/ai-optimizer` in user scope and `/var/lib/ai-optimizer` in system scope.";
    };

    configRoot = mkOption {
      type = path;
      description = "Folder of AI-Optimizer's configuration (`config.yaml`, `.env`, `settings.json`). The default is `~/.config/ai-optimizer` in user scope and `config` below `dataRoot` in system scope.";
    };

    expectedLocation = mkOption {
      type = path;
      example = "/home/ann/src/AI-Optimizer";
      description = "Folder where the owner puts the checkout of AI-Optimizer. It is read and never written. The default is `~/Documents/AI-Optimizer` in user scope and `/srv/AI-Optimizer` in system scope.";
    };

    statusFile = mkOption {
      type = path;
      description = "File to which `aistack prep` writes its report. The default is `nixos-quick-deploy/integration/ai-optimizer.json` below `~/.cache` in user scope and below `/var/cache` in system scope.";
    };

    networkName = mkOption {
      type = types.strMatching "[a-zA-Z0-9][a-zA-Z0-9_.-]*";
      default = "aidb-network";
      description = "Bridge network that AI-Optimizer's containers share. Only `aistack prep ensure-network` creates it.";
    };

    ports = {
      postgres = portOption 5432 "its PostgreSQL";
      redis = portOption 6379 "its Redis";
      vllm = portOption 8000 "its vLLM";
      mcp = portOption 8091 "its MCP server over HTTP";
      mcpWebSocket = portOption 8791 "its MCP server over WebSocket";
      redisInsight = portOption 5540 "its Redis Insight";
    };

    facts = mkOption {
      type = facts.facts;
      default = stack.facts;
      defaultText = lib.literalExpression "config.services.aiStack.facts";
      example = lib.literalExpression "./facts.json";
      description = "Hardware facts of the machine, as `aistack facts` writes them. The model in the proposed `.env` follows from them. `null`: the tool reads the hardware itself.";
    };

    user = mkOption {
      type = types.nullOr types.str;
      internal = true;
      description = "Owner in user scope.";
    };

    manifest = mkOption {
      type = types.raw;
      internal = true;
      readOnly = true;
      description = "The content of prep.json, as a value.";
    };

    manifestPath = mkOption {
      type = types.str;
      internal = true;
      description = "Path of prep.json on the machine.";
    };

    directories = mkOption {
      type = types.listOf types.str;
      internal = true;
      readOnly = true;
      description = "Folders that a switch creates.";
    };
  };

  config = mkIf cfg.enable {
    services.aiStack.units."ai-optimizer-prep.service" = {
      Unit = {
        Description = "AI-Optimizer: make the machine ready for it, and report";
        After = [ "systemd-tmpfiles-setup.service" ];
        X-Restart-Triggers = [ (builtins.hashString "sha256" (builtins.toJSON cfg.manifest)) ];
      };
      Service = {
        # `exec` and not `oneshot`, so that a switch does not wait for it. The minus sign: the report
        # lists what is not ready, and the unit does not fail.
        Type = "exec";
        RemainAfterExit = true;
        ExecStart = "-${stack.package}/bin/aistack prep --file ${lib.escapeShellArg cfg.manifestPath}";
        TimeoutStartSec = 120;
      };
      Install.WantedBy = [ util.systemd.bootTarget.${stack.scope} ];
    };

    assertions = [
      {
        assertion = twice == [ ];
        message = "${root}.ports: ${
          concatMapStringsSep "; " (
            p: "${toString p} is the port of ${lib.concatStringsSep " and " (called p)}"
          ) twice
        }. Change one of ${
          concatMapStringsSep ", " (name: "${root}.ports.${name}") (lib.concatMap called twice)
        }.";
      }
      {
        assertion = !(within cfg.expectedLocation cfg.dataRoot);
        message = "${root}.dataRoot = \"${cfg.dataRoot}\" lies in the checkout at ${root}.expectedLocation = \"${cfg.expectedLocation}\" and would be removed with it: choose a folder outside.";
      }
      (facts.assertion "${root}.facts" cfg.facts)
    ];

    services.aiStack.ledger = {
      active = true;
      claims =
        # Compose publishes on every address unless its file names one.
        lib.optionals (twice == [ ]) (
          mapAttrsToList (name: port: {
            kind = "port";
            inherit owner port;
            option = "${root}.ports.${name}";
            address = "0.0.0.0";
            protocol = "tcp";
          }) cfg.ports
        )
        ++ [ (directory "dataRoot") ]
        ++ optional (!(within cfg.dataRoot cfg.configRoot)) (directory "configRoot");
    };

    services.aiOptimizerPrep = {
      configRoot = mkIf (stack.scope == "system") (mkDefault "${cfg.dataRoot}/config");

      directories = [ cfg.dataRoot ] ++ map (f: "${cfg.dataRoot}/${f}") folders ++ [ cfg.configRoot ];

      manifest = {
        schema = 1;
        inherit (stack) scope;
        inherit (cfg)
          user
          dataRoot
          configRoot
          expectedLocation
          statusFile
          networkName
          ;
        ports = mapAttrs (name: port: {
          inherit port;
          option = "${root}.ports.${name}";
        }) cfg.ports;
        # Only the facts that the proposed configuration depends on.
        gpus =
          if cfg.facts == null then null else map (g: { inherit (g) slot vendor vramMiB; }) cfg.facts.gpus;
      };
    };
  };
}
