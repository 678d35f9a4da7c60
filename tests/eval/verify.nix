# Evaluation tests of the verification after a switch, and of the rollback.
{
  lib,
  self,
  on,
  nixos,
  withHome,
  accepts,
  refuses,
  equal,
}:
let
  inherit (lib) hasInfix;

  # A program of the back end; the core alone has none.
  rollback = {
    rollback = true;
    rollbackCommand = "/bin/back";
  };
  units = verify: (on { inherit verify; }).services.aiStack.units;
  named = verify: lib.filter (hasInfix "verify") (lib.attrNames (units verify));
  service = verify: (units verify)."local-ai-verify.service";
  system =
    stack:
    nixos [
      {
        services.aiStack = {
          enable = true;
        }
        // stack;
      }
    ];
in
{
  "the disabled verification has no unit" = equal (named { }) [ ];
  "the verification runs after a switch and once a day" = equal (named { enable = true; }) [
    "local-ai-verify-timed.service"
    "local-ai-verify-timed.timer"
    "local-ai-verify.service"
  ];
  "the verification without a timer runs after a switch only" = equal (named {
    enable = true;
    timer = null;
  }) [ "local-ai-verify.service" ];
  "a switch does not wait for the verification, and each change starts it" =
    let
      unit = service { enable = true; };
    in
    equal
      [
        unit.Service.Type
        unit.Unit.After
        (unit.Unit ? X-StackHash)
        (unit.Unit ? OnFailure)
        unit.Install.WantedBy
        (hasInfix "aistack unit apply --stack /etc/aistack/stack.json --settled && " unit.Service.ExecStart)
        (hasInfix "aistack-testdriver quick --stack /etc/aistack/stack.json --wait 1800" unit.Service.ExecStart)
      ]
      [
        "exec"
        [ "local-ai-apply.service" ]
        true
        false
        [ "multi-user.target" ]
        true
        true
      ];
  "a failure after a switch rolls back once, a failure of a timed run never" =
    let
      seen = units ({ enable = true; } // rollback);
    in
    equal
      [
        seen."local-ai-verify.service".Unit.OnFailure
        (seen."local-ai-verify-timed.service".Unit ? OnFailure)
        seen."local-ai-verify-rollback.service".Unit.ConditionPathExists
        (lib.last seen."local-ai-verify-rollback.service".Service.ExecStart)
      ]
      [
        [ "local-ai-verify-rollback.service" ]
        false
        "!/run/local-ai-rolled-back"
        "/bin/back"
      ];
  "the system has units, timer and scenarios, and the test mark only with testStack" =
    let
      config = system {
        redis.enable = true;
        verify = {
          enable = true;
          rollback = true;
        };
      };
    in
    equal
      [
        config.systemd.timers.local-ai-verify-timed.timerConfig.OnCalendar
        config.systemd.timers.local-ai-verify-timed.wantedBy
        (config.systemd.services ? local-ai-verify-rollback)
        (lib.attrNames (builtins.fromJSON config.environment.etc."aistack/scenarios.json".text))
        (config.environment.etc ? "aistack/test-stack")
        ((system { verify.testStack = true; }).environment.etc ? "aistack/test-stack")
      ]
      [
        "daily"
        [ "timers.target" ]
        true
        [ "redis" ]
        false
        true
      ];
  "a user's stack has units, timer and scenarios" =
    let
      home =
        (nixos [
          (withHome {
            redis.enable = true;
            verify.enable = true;
          })
        ]).home-manager.users.ann;
    in
    equal
      [
        home.systemd.user.timers.local-ai-verify-timed.Timer.OnCalendar
        home.systemd.user.services.local-ai-verify.Install.WantedBy
        (home.xdg.configFile ? "aistack/scenarios.json")
        (home.xdg.configFile ? "aistack/test-stack")
      ]
      [
        "daily"
        [ "default.target" ]
        true
        false
      ];
  "refuses rollback for a home that is part of NixOS" =
    refuses
      (nixos [
        (withHome {
          verify = {
            enable = true;
            rollback = true;
          };
        })
      ]).home-manager.users.ann
      [
        "services.aiStack.verify.rollback of user ann"
        "no generations of its own"
      ];
  "accepts rollback for a standalone home" = accepts (
    (self.homeConfigurations.ai.extendModules {
      modules = [
        {
          services.aiStack.verify = {
            enable = true;
            rollback = true;
          };
        }
      ];
    }).config
  );
}
