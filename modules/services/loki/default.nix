{
  config,
  lib,
  util,
  ...
}:
let
  inherit (lib) mkOption types;

  configFile = "/etc/loki/config.yaml";
in
{
  options.retention = mkOption {
    type = types.str;
    default = "720h";
    description = "Time for which log lines are kept.";
  };

  config = {
    description = "logs of the stack";
    lock = "loki";
    ports.http.container = 3100;
    data.data.path = "/loki";
    runAs = {
      uid = 10001;
      gid = 10001;
    };
    readOnlyRoot = true;
    health = {
      http = {
        port = "http";
        path = "/ready";
      };
      # The image has no shell and no HTTP client: Loki's own program makes the request.
      command = builtins.toJSON [
        "/usr/bin/loki"
        "-health"
        "-config.file=${configFile}"
      ];
    };
    metrics.port = "http";
    resources.memory = "2g";
    # JSON is YAML.
    configFiles.${configFile} = builtins.toJSON (
      {
        auth_enabled = false;
        analytics.reporting_enabled = false;
        server.http_listen_port = config.ports.http.container;
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
        limits_config.retention_period = config.retention;
        compactor = {
          working_directory = "/loki/compactor";
          retention_enabled = true;
          delete_request_store = "filesystem";
        };
      }
      # The default is 4 GB, more than the container has (grafana/loki, pkg/ingester/wal.go).
      // lib.optionalAttrs (config.resources.memory != null) {
        ingester.wal.replay_memory_ceiling = "${toString (util.toMiB config.resources.memory / 2)}MB";
      }
    );
    command = [ "-config.file=${configFile}" ] ++ config.extraArgs;
    checks."is ready" = {
      http = {
        port = "http";
        path = "/ready";
      };
      expect = "ready";
    };
  };
}
