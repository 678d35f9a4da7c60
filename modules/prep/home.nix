# User scope: the user's folders, and the report behind the switch.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf;

  cfg = config.services.aiOptimizerPrep;
  inherit (config.services.aiStack) package;
  file = "aistack/prep.json";
in
{
  imports = [
    ../home
    ./options.nix
  ];

  config = mkIf cfg.enable {
    services.aiOptimizerPrep = {
      dataRoot = mkDefault "${config.xdg.dataHome}/ai-optimizer";
      configRoot = mkDefault "${config.xdg.configHome}/ai-optimizer";
      expectedLocation = mkDefault "${config.home.homeDirectory}/Documents/AI-Optimizer";
      statusFile = mkDefault "${config.xdg.cacheHome}/nixos-quick-deploy/integration/ai-optimizer.json";
      user = config.home.username;
    };

    home.packages = [ package ];
    xdg.configFile.${file}.text = builtins.toJSON cfg.manifest;

    # As in system scope: only what is made anew.
    systemd.user.tmpfiles.rules = map (path: "d \"${path}\" :0700 - - -") cfg.directories;

    systemd.user.services.ai-optimizer-prep = {
      Unit = {
        Description = "AI-Optimizer: make the machine ready for it, and report";
        After = [ "systemd-tmpfiles-setup.service" ];
        X-Restart-Triggers = [ (builtins.hashString "sha256" (builtins.toJSON cfg.manifest)) ];
      };
      Service = {
        Type = "exec";
        RemainAfterExit = true;
        ExecStart = "-${package}/bin/aistack prep --file ${lib.escapeShellArg "${config.xdg.configHome}/${file}"}";
        TimeoutStartSec = 120;
      };
      Install.WantedBy = [ "default.target" ];
    };
  };
}
