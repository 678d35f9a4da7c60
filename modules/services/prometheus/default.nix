{
  config,
  lib,
  option,
  stack,
  util,
  ...
}:
let
  inherit (lib) mkOption types;

  configFile = "/etc/prometheus/prometheus.yml";
  tokenIn = name: "/run/secrets/metrics-${name}";
in
{
  options = {
    retention = mkOption {
      type = types.str;
      default = "30d";
      description = "Time for which samples are kept.";
    };
    scrapeInterval = mkOption {
      type = types.str;
      default = "30s";
      description = "Time between two scrapes.";
    };
    scrapeConfigs = mkOption {
      type = types.listOf (types.attrsOf types.anything);
      default = [ ];
      description = "Further scrape jobs, next to those of the stack's services, in the format of Prometheus's `scrape_configs`.";
    };
  };

  config = {
    description = "metrics of the stack";
    lock = "prometheus";
    ports.http.container = 9090;
    data.data.path = "/prometheus";
    runAs = {
      uid = 65534;
      gid = 65534;
    };
    readOnlyRoot = true;
    health = {
      http = {
        port = "http";
        path = "/-/healthy";
      };
      client = "wget";
    };
    metrics.port = "http";
    resources.memory = "2g";
    # JSON is YAML.
    configFiles.${configFile} = builtins.toJSON {
      global.scrape_interval = config.scrapeInterval;
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
        ++ config.scrapeConfigs;
    };
    secrets = lib.listToAttrs (
      map (
        m:
        lib.nameValuePair "metrics-${m.name}" {
          description = "bearer token for the metrics of ${m.name}";
          file = tokenIn m.name;
          source = m.token;
        }
      ) (lib.filter (m: m.token != null) stack.metrics)
    );
    command = [
      "--config.file=${configFile}"
      "--storage.tsdb.path=/prometheus"
      "--storage.tsdb.retention.time=${config.retention}"
    ]
    ++ config.extraArgs;
    checks."scrapes itself" = {
      http = {
        port = "http";
        path = "/api/v1/targets";
      };
      expect = "activeTargets";
    };
    assertions = [
      (util.noSecrets {
        places = map (place: "${option}.scrapeConfigs.${place}") (util.secretsIn config.scrapeConfigs);
        instead = "Put it into a file, set ${option}.secretFiles.\"/run/secrets/NAME\" to its path, and use the setting that takes a file (credentials_file, password_file).";
      })
    ];
  };
}
