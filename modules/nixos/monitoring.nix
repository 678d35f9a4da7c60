# Where NixOS's own Prometheus runs, it scrapes the stack: people who have one need no
# second one in a container.
{ config, lib, ... }:
let
  inherit (lib)
    filterAttrs
    mapAttrsToList
    mkIf
    optionalAttrs
    ;

  cfg = config.services.aiStack;
in
{
  config = mkIf (cfg.enable && config.services.prometheus.enable) {
    services.prometheus.scrapeConfigs = mapAttrsToList (
      name: s:
      {
        job_name = "local-ai-${name}";
        metrics_path = s.scrape.path;
        static_configs = [ { targets = [ s.scrape.target ]; } ];
      }
      # A file that the user of Prometheus must be able to read.
      // optionalAttrs (s.scrape.token != null) { authorization.credentials_file = s.scrape.token; }
    ) (filterAttrs (_: s: s.scrape != null) cfg.resolved.services);
  };
}
