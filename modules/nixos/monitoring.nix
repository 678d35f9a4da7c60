# NixOS's own Prometheus, if enabled, scrapes the stack, so that nobody needs a second one in a
# container.
{ config, lib, ... }:
let
  inherit (lib)
    filterAttrs
    mapAttrsToList
    mkDefault
    mkIf
    optionalAttrs
    ;

  cfg = config.services.aiStack;
  scraped = filterAttrs (_: s: s.scrape != null) cfg.resolved.services;
in
{
  config = mkIf (cfg.enable && config.services.prometheus.enable) {
    # promtool would look for the key files at build time, when they are always missing:
    # nixpkgs, nixos/modules/services/monitoring/prometheus/default.nix; prometheus,
    # cmd/promtool/main.go, checkFileExists.
    services.prometheus.checkConfig = mkIf (lib.any (s: s.scrape.token != null) (
      lib.attrValues scraped
    )) (mkDefault "syntax-only");
    services.prometheus.scrapeConfigs = mapAttrsToList (
      name: s:
      {
        job_name = "local-ai-${name}";
        metrics_path = s.scrape.path;
        static_configs = [ { targets = [ s.scrape.target ]; } ];
      }
      # The user of NixOS's Prometheus must be able to read this file.
      // optionalAttrs (s.scrape.token != null) { authorization.credentials_file = s.scrape.token; }
    ) scraped;
  };
}
