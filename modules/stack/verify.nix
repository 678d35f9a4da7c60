# Runs `aistack-testdriver quick` after each switch and once a day and, if enabled, the rollback to
# the previous generation.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib)
    mapAttrs
    mkEnableOption
    mkIf
    mkOption
    optionalAttrs
    types
    ;

  util = import ../../lib { inherit lib; };
  cfg = config.services.aiStack;
  rootless = cfg.scope == "user";

  escaped = words: util.systemd.literal (lib.escapeShellArgs words);
  quick = escaped [
    "${cfg.package}/bin/aistack-testdriver"
    "quick"
    "--stack"
    cfg.identity.manifestPath
    "--wait"
    (toString cfg.verify.timeout)
  ];
  # Right after a switch the old containers still run. `aistack unit apply` waits for the one already in
  # progress, so that the new containers are tested. It fails if an image is missing.
  applied = escaped [
    "${cfg.package}/bin/aistack"
    "unit"
    "apply"
    "--stack"
    cfg.identity.manifestPath
    # Images that could not be downloaded are not requested a second time.
    "--settled"
  ];
  verify = {
    Unit = {
      Description = "Local AI: verify what runs";
      After = [ "local-ai-apply.service" ];
    };
    Service = {
      ExecStart = quick;
      TimeoutStartSec = "infinity";
    };
  };
  # The checks of a service as the test driver reads them (schemas/scenario.schema.json).
  scenario =
    _: s:
    let
      c = s.config;
      # The secret that clients send, if any: its name in stack.json, by which the driver finds
      # the file.
      sent = lib.findFirst (
        secret: secret.target ? env && (c.secrets.${secret.target.env}.header or null) != null
      ) null s.secrets;
      key = c.secrets.${sent.target.env};
      withKey =
        request:
        if sent == null then
          request
        else
          request
          // {
            auth = {
              secret = sent.name;
              inherit (key) header;
            }
            // optionalAttrs (key.prefix != "") { inherit (key) prefix; };
          };
      step = way: if way ? http then way // { http = withKey way.http; } else way;
    in
    {
      checks = lib.mapAttrsToList (name: check: { inherit name; } // step check) c.checks;
    }
    // optionalAttrs (c.marker != null) {
      marker = c.marker // {
        read = step c.marker.read;
        write = map step (lib.toList c.marker.write);
      };
    };

  # Allow one rollback for each successful verification: otherwise a chain of broken generations
  # would each roll back to the one before.
  mark = if rootless then "%t/local-ai-rolled-back" else "/run/local-ai-rolled-back";
in
{
  options.services.aiStack = {
    verify = {
      enable = mkEnableOption "the smoke test `aistack-testdriver quick` after every boot and after every switch that changes the stack. It checks that every service is healthy, listens as declared and answers, and it changes nothing";
      timeout = mkOption {
        type = types.ints.between 1 86400;
        default = 1800;
        description = "Seconds that a service may take to become healthy, including the download of its image.";
      };
      timer = mkOption {
        type = types.nullOr types.str;
        default = "daily";
        example = "*-*-* 04:00:00";
        description = "Time of further runs, in the format of systemd.time(7). `null`: no further runs. A failure of such a run never rolls back.";
      };
      rollback = mkOption {
        type = types.bool;
        default = false;
        description = "Return to the previous generation when the test fails after a switch. This happens once, and never after a boot.";
      };
      testStack = mkOption {
        type = types.bool;
        default = false;
        description = "Mark the stack as a test stack whose data may be lost. `aistack-testdriver run --destructive` then kills its containers and resets its storage.";
      };
    };
    scenarios = mkOption {
      type = types.raw;
      internal = true;
      readOnly = true;
      default = mapAttrs scenario cfg.resolved.services;
      defaultText = lib.literalMD "computed";
      description = "Checks of each service: the content of scenarios.json.";
    };
    verify.rollbackScript = mkOption {
      type = types.lines;
      internal = true;
      description = "Shell script that returns to the previous generation. The back ends set it.";
    };
    verify.rollbackCommand = mkOption {
      type = types.str;
      internal = true;
      default = "${pkgs.writeShellScriptBin "local-ai-rollback" cfg.verify.rollbackScript}/bin/local-ai-rollback";
      defaultText = lib.literalMD "`verify.rollbackScript` as a program";
      description = "Program that returns to the previous generation.";
    };
  };

  config = mkIf (cfg.enable && cfg.verify.enable) {
    services.aiStack.units = {
      # The switch starts this unit and does not wait for it.
      "local-ai-verify.service" = {
        Unit =
          verify.Unit
          // {
            X-StackHash = builtins.hashString "sha256" (builtins.toJSON cfg.manifest);
          }
          // optionalAttrs cfg.verify.rollback {
            OnFailure = [ "local-ai-verify-rollback.service" ];
          };
        Service = verify.Service // {
          Type = "exec";
          RemainAfterExit = true;
          # In double quotes, because a path with a space is in single quotes.
          ExecStart = "/bin/sh -c \"${applied} && ${quick}${lib.optionalString cfg.verify.rollback " && rm -f ${mark}"}\"";
        };
        Install.WantedBy = [ util.systemd.bootTarget.${cfg.scope} ];
      };
    }
    // optionalAttrs cfg.verify.rollback {
      "local-ai-verify-rollback.service" = {
        Unit = {
          Description = "Local AI: back to the generation before";
          ConditionPathExists = "!${mark}";
        };
        Service = {
          Type = "oneshot";
          ExecStart = [
            "/bin/sh -c ': > ${mark}'"
            cfg.verify.rollbackCommand
          ];
        };
      };
    }
    // optionalAttrs (cfg.verify.timer != null) {
      "local-ai-verify-timed.service" = {
        inherit (verify) Unit;
        Service = verify.Service // {
          Type = "oneshot";
        };
      };
      "local-ai-verify-timed.timer" = {
        Unit.Description = "Local AI: verify what runs";
        Timer = {
          OnCalendar = cfg.verify.timer;
          Persistent = true;
          RandomizedDelaySec = "10min";
        };
        Install.WantedBy = [ "timers.target" ];
      };
    };
  };
}
