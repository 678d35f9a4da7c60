{
  config,
  lib,
  stack,
  ...
}:
let
  inherit (lib) mkOption types;

  configFile = "/etc/alloy/config.alloy";
  storage = "/alloy";
in
{
  options.settings = mkOption {
    type = types.lines;
    default = "";
    description = "Further blocks of Alloy's configuration.";
  };

  config = {
    description = "sends the journal to Loki";
    lock = "alloy";
    ports.http.container = 12345;
    # Not the image's /var/lib/alloy: that folder has mode 0770 and belongs to uid 473
    # (grafana/alloy v1.18.1, Dockerfile), so root without CAP_DAC_OVERRIDE cannot enter it.
    data.data.path = storage;
    # The journal's files belong to this group.
    groups = [ "systemd-journal" ];
    mounts = [
      {
        host = "/var/log/journal";
        container = "/var/log/journal";
        why = "the journal that it sends";
      }
      {
        host = "/etc/machine-id";
        container = "/etc/machine-id";
        why = "the journal's folder is named after it";
      }
    ];
    readOnlyRoot = true;
    health = {
      http = {
        port = "http";
        path = "/-/ready";
      };
      client = "bash";
      startTimeout = 120;
    };
    metrics.port = "http";
    resources.memory = "1g";
    needs = [ "loki" ];
    configFiles.${configFile} = ''
      loki.source.journal "journal" {
        path          = "/var/log/journal"
        max_age       = "12h"
        relabel_rules = loki.relabel.journal.rules
        forward_to    = [loki.write.loki.receiver]
        labels        = { source = "journal" }
      }

      loki.relabel "journal" {
        forward_to = []

        rule {
          source_labels = ["__journal__systemd_unit"]
          target_label  = "unit"
        }

        rule {
          source_labels = ["__journal__systemd_user_unit"]
          regex         = "(.+)"
          target_label  = "unit"
        }
      }

      loki.write "loki" {
        endpoint {
          url = "${stack.url "loki" "http"}/loki/api/v1/push"
        }
      }
      ${config.settings}'';
    command = [
      "run"
      "--storage.path=${storage}"
      "--server.http.listen-addr=0.0.0.0:${toString config.ports.http.container}"
      "--disable-reporting"
    ]
    ++ config.extraArgs
    ++ [ configFile ];
    checks."is ready" = {
      http = {
        port = "http";
        path = "/-/ready";
      };
      expect = "ready";
    };
  };
}
