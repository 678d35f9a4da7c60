# System scope: root's folders, and the report behind the switch.
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

    # The colons: only what is made anew gets these. Containers give their folders to
    # users of their own, which must not be undone at each boot.
    systemd.tmpfiles.settings.ai-optimizer-prep = genAttrs cfg.directories (_: {
      d = {
        mode = mkDefault ":0700";
        user = mkDefault ":root";
        group = mkDefault ":root";
      };
    });
  };
}
