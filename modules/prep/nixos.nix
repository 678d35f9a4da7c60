# System scope: root's folders, and the report after the switch.
{ config, lib, ... }:
let
  inherit (lib) genAttrs mkDefault mkIf;

  cfg = config.services.aiOptimizerPrep;
  file = "aistack/prep.json";
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
      manifestPath = "/etc/${file}";
    };

    environment.systemPackages = [ config.services.aiStack.package ];
    environment.etc.${file}.text = builtins.toJSON cfg.manifest;

    # The colons apply these values only to folders that are newly created. Containers give their
    # folders to their own users, and a boot must not undo that.
    systemd.tmpfiles.settings.ai-optimizer-prep = genAttrs cfg.directories (_: {
      d = {
        mode = mkDefault ":0700";
        user = mkDefault ":root";
        group = mkDefault ":root";
      };
    });
  };
}
