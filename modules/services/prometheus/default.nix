{ lib, ... }:
let
  inherit (lib) mkOption types;
  config = "/etc/prometheus/prometheus.yml";
  tokenIn = name: "/run/secrets/metrics-${name}";
in
{
  description = "metrics of the stack";
  image = "prometheus";
  ports.http = {
    container = 9090;
    host = 9090;
  };
  data.data = {
    path = "/prometheus";
    dir = "prometheus";
  };
  user = {
    uid = 65534;
    gid = 65534;
  };
  readOnlyRoot = true;
  probe.http = {
    port = "http";
    path = "/-/healthy";
  };
  client = "wget";
  metrics = {
    port = "http";
    path = "/metrics";
  };
  startTimeout = 300;
  resources.memory = "2g";
  options = {
    retention = mkOption {
      type = types.str;
      default = "30d";
      description = "How long samples are kept.";
    };
    scrapeInterval = mkOption {
      type = types.str;
      default = "30s";
      description = "Time between two samples.";
    };
    scrapeConfigs = mkOption {
      type = types.listOf (types.attrsOf types.anything);
      default = [ ];
      description = "Jobs beside those of this stack's services, as in Prometheus's `scrape_configs`.";
    };
  };
  configFiles =
    {
      cfg,
      stack,
      lib,
      ...
    }:
    {
      # JSON is YAML.
      ${config} = builtins.toJSON {
        global.scrape_interval = cfg.scrapeInterval;
        scrape_configs =
          map (
            m:
            {
              job_name = m.name;
              metrics_path = m.path;
              static_configs = [ { targets = [ m.target ]; } ];
            }
            // lib.optionalAttrs (m.token != null) {
              authorization.credentials_file = tokenIn m.name;
            }
          ) stack.metrics
          ++ cfg.scrapeConfigs;
      };
    };
  secretFiles =
    { stack, lib, ... }:
    lib.listToAttrs (
      map (m: lib.nameValuePair (tokenIn m.name) m.token) (lib.filter (m: m.token != null) stack.metrics)
    );
  assertions =
    {
      cfg,
      option,
      util,
      lib,
      ...
    }:
    let
      leaked = util.secretsIn cfg.scrapeConfigs;
    in
    [
      {
        assertion = leaked == [ ];
        message = "${
          lib.concatMapStringsSep ", " (place: "${option}.scrapeConfigs.${place}") leaked
        } looks like a secret, and would be readable by everyone in the Nix store. Put it into a file, set ${option}.secretFiles.\"/run/secrets/NAME\" to its path, and use the setting that takes a file (credentials_file, password_file).";
      }
    ];
  command =
    { cfg, ... }:
    [
      "--config.file=${config}"
      "--storage.tsdb.path=/prometheus"
      "--storage.tsdb.retention.time=${cfg.retention}"
    ]
    ++ cfg.extraArgs;
}
