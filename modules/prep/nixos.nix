# System scope: root's folders, and the report behind the switch.
{ config, lib, ... }:
let
  inherit (lib) genAttrs mkDefault mkIf;

  cfg = config.services.aiOptimizerPrep;
  inherit (config.services.aiStack) package;
in
{
  imports = [
    ../nixos
    ./options.nix
  ];

  config = mkIf cfg.enable {
    services.aiOptimizerPrep = {
      dataRoot = mkDefault "/var/lib/ai-optimizer";
      expectedLocation = mkDefault "/srv/AI-Optimizer";
      statusFile = mkDefault "/var/cache/nixos-quick-deploy/integration/ai-optimizer.json";
      user = null;
    };

    environment.systemPackages = [ package ];
    environment.etc."aistack/prep.json".text = builtins.toJSON cfg.manifest;

    # The colons: only what is made anew gets these. Containers give their folders to
    # users of their own, which must not be undone at each boot.
    systemd.tmpfiles.settings.ai-optimizer-prep = genAttrs cfg.directories (_: {
      d = {
        mode = mkDefault ":0700";
        user = mkDefault ":root";
        group = mkDefault ":root";
      };
    });

    systemd.services.ai-optimizer-prep = {
      description = "AI-Optimizer: make the machine ready for it, and report";
      wantedBy = [ "multi-user.target" ];
      after = [ "systemd-tmpfiles-setup.service" ];
      restartTriggers = [ (builtins.hashString "sha256" (builtins.toJSON cfg.manifest)) ];
      serviceConfig = {
        # `exec` and not `oneshot`: a switch does not wait for it. The minus: what is not
        # ready is in its report, and fails nothing.
        Type = "exec";
        RemainAfterExit = true;
        ExecStart = "-${package}/bin/aistack prep --file /etc/aistack/prep.json";
        TimeoutStartSec = 120;
      };
    };
  };
}
