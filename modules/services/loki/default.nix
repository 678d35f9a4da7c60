{ lib, ... }:
let
  inherit (lib) mkOption types;
  config = "/etc/loki/config.yaml";
in
{
  description = "logs of the stack";
  image = "loki";
  ports.http = {
    container = 3100;
    host = 3100;
  };
  data.data = {
    path = "/loki";
    dir = "loki";
  };
  user = {
    uid = 10001;
    gid = 10001;
  };
  readOnlyRoot = true;
  probe.http = {
    port = "http";
    path = "/ready";
  };
  # The image has no shell and no client: the program asks itself.
  healthCommand =
    _:
    builtins.toJSON [
      "/usr/bin/loki"
      "-health"
      "-config.file=${config}"
    ];
  metrics = {
    port = "http";
    path = "/metrics";
  };
  startTimeout = 300;
  resources.memory = "2g";
  options.retention = mkOption {
    type = types.str;
    default = "720h";
    description = "How long lines are kept.";
  };
  configFiles =
    {
      cfg,
      port,
      util,
      lib,
      ...
    }:
    {
      # JSON is YAML.
      ${config} = builtins.toJSON (
        {
          auth_enabled = false;
          analytics.reporting_enabled = false;
          server.http_listen_port = port "http";
          common = {
            path_prefix = "/loki";
            replication_factor = 1;
            instance_addr = "127.0.0.1";
            ring.kvstore.store = "inmemory";
            storage.filesystem = {
              chunks_directory = "/loki/chunks";
              rules_directory = "/loki/rules";
            };
          };
          schema_config.configs = [
            {
              from = "2024-04-01";
              store = "tsdb";
              object_store = "filesystem";
              schema = "v13";
              index = {
                prefix = "index_";
                period = "24h";
              };
            }
          ];
          limits_config.retention_period = cfg.retention;
          compactor = {
            working_directory = "/loki/compactor";
            retention_enabled = true;
            delete_request_store = "filesystem";
          };
        }
        # By default 4 GB, more than the container has (grafana/loki, pkg/ingester/wal.go).
        // lib.optionalAttrs (cfg.resources.memory != null) {
          ingester.wal.replay_memory_ceiling = "${toString (util.toMiB cfg.resources.memory / 2)}MB";
        }
      );
    };
  command = { cfg, ... }: [ "-config.file=${config}" ] ++ cfg.extraArgs;
}
