# User scope: the user's folders, and the report after the switch.
{ config, lib, ... }:
let
  inherit (lib) mkDefault mkIf;

  cfg = config.services.aiOptimizerPrep;
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
      manifestPath = "${config.xdg.configHome}/${file}";
    };

    home.packages = [ config.services.aiStack.package ];
    xdg.configFile.${file}.text = builtins.toJSON cfg.manifest;

    # As in system scope: only for newly created folders.
    systemd.user.tmpfiles.rules = map (path: "d \"${path}\" :0700 - - -") cfg.directories;
  };
}
