# Where NixOS's own Prometheus runs, it scrapes the stack: people who have one need no
# second one in a container.
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
    # promtool would look for the files of the keys where the system is built, and they are never
    # there: nixpkgs, nixos/modules/services/monitoring/prometheus/default.nix; prometheus,
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
      # A file that the user of Prometheus must be able to read.
      // optionalAttrs (s.scrape.token != null) { authorization.credentials_file = s.scrape.token; }
    ) scraped;
  };
}
