{ lib, stack, ... }:
let
  provisioning = "/etc/grafana/provisioning";
  dashboards = "/etc/grafana/dashboards";

  source = name: type: port: {
    inherit name type;
    uid = "local-ai-${name}";
    access = "proxy";
    url = stack.url name port;
    editable = false;
  };
  prometheus = {
    type = "prometheus";
    uid = "local-ai-prometheus";
  };
  panel =
    id:
    {
      title,
      expr,
      unit ? "short",
      type ? "timeseries",
      legend ? "{{job}}",
    }:
    {
      inherit id title type;
      datasource = prometheus;
      gridPos = {
        h = 8;
        w = 12;
        x = 12 * lib.mod (id - 1) 2;
        y = 8 * ((id - 1) / 2);
      };
      fieldConfig = {
        defaults.unit = unit;
        overrides = [ ];
      };
      targets = [
        {
          inherit expr;
          refId = "A";
          legendFormat = legend;
          datasource = prometheus;
        }
      ];
    };
  panels = [
    {
      title = "Services that answer";
      type = "stat";
      expr = "up";
    }
    {
      title = "Time that a scrape takes";
      expr = "scrape_duration_seconds";
      unit = "s";
    }
  ]
  ++ lib.concatMap (m: m.panels) stack.metrics;
in
{
  description = "dashboards of the stack";
  lock = "grafana";
  ports.http.container = 3000;
  data.data.path = "/var/lib/grafana";
  # As in the image, whose files belong to group 0.
  runAs = {
    uid = 472;
    gid = 0;
  };
  health.http = {
    port = "http";
    path = "/api/health";
  };
  health.client = "any";
  metrics.port = "http";
  resources.memory = "1g";
  wants = [
    "prometheus"
    "loki"
  ];
  secrets.GF_SECURITY_ADMIN_PASSWORD = {
    generate = true;
    description = "password of the user admin, set at the first start";
  };
  environment = {
    GF_PATHS_PROVISIONING = provisioning;
    GF_ANALYTICS_REPORTING_ENABLED = "false";
    GF_ANALYTICS_CHECK_FOR_UPDATES = "false";
    GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES = "false";
    GF_USERS_ALLOW_SIGN_UP = "false";
    GF_NEWS_NEWS_FEED_ENABLED = "false";
    # Installed plugins are not updated. Preinstallation stays enabled: it installs the data sources
    # for Prometheus and Loki (grafana/grafana, pkg/setting/setting_plugins.go).
    GF_PLUGINS_PREINSTALL_AUTO_UPDATE = "false";
  };
  # JSON is YAML.
  configFiles = {
    "${provisioning}/datasources/local-ai.yaml" = builtins.toJSON {
      apiVersion = 1;
      datasources =
        lib.optional (stack.enabled "prometheus") (
          source "prometheus" "prometheus" "http" // { isDefault = true; }
        )
        ++ lib.optional (stack.enabled "loki") (source "loki" "loki" "http");
    };
    "${provisioning}/dashboards/local-ai.yaml" = builtins.toJSON {
      apiVersion = 1;
      providers = [
        {
          name = "local-ai";
          type = "file";
          options.path = dashboards;
        }
      ];
    };
  }
  // lib.optionalAttrs (stack.enabled "prometheus") {
    "${dashboards}/local-ai.json" = builtins.toJSON {
      uid = "local-ai";
      title = "Local AI";
      schemaVersion = 39;
      refresh = "30s";
      time = {
        from = "now-6h";
        to = "now";
      };
      panels = lib.imap1 panel panels;
    };
  };
  # Grafana always requires a login.
  authenticated = true;
  checks."its database is healthy" = {
    http = {
      port = "http";
      path = "/api/health";
    };
    expect = "database";
  };
}
