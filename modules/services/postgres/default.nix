{ lib, ... }:
let
  inherit (lib) mkOption types;

  psql = cfg: [
    "psql"
    "-qAtX"
    "-v"
    "ON_ERROR_STOP=1"
    "-U"
    cfg.user
    "-d"
    cfg.database
  ];
in
{
  description = "PostgreSQL with TimescaleDB and pgvector";
  image = "postgres";
  ports.postgres = {
    container = 5432;
    host = 5432;
  };
  # PGDATA is a folder below it, which the server can own and set to 0700.
  data.data = {
    path = "/home/postgres/pgdata";
    dir = "postgres";
  };
  user = {
    uid = 1000;
    gid = 1000;
  };
  probe.postgres.port = "postgres";
  # Through the socket, where the image asks for no password.
  healthCommand =
    { cfg, lib, ... }:
    "pg_isready -q -U ${cfg.user} -d ${cfg.database} && ${lib.concatStringsSep " " (psql cfg)} -c 'SELECT 1' >/dev/null";
  startTimeout = 300;
  resources = {
    memory = "4g";
    shm = "1g";
  };
  secrets.POSTGRES_PASSWORD = {
    generate = true;
    description = "password of the database's user";
  };
  options = {
    user = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_]*";
      default = "mcp";
      description = "User that the database is made for.";
    };
    database = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_]*";
      default = "mcp";
      description = "Database that is made at the first start.";
    };
    extensions = mkOption {
      type = types.listOf (types.strMatching "[a-z_][a-z0-9_]*");
      default = [
        "timescaledb"
        "vector"
      ];
      description = "Extensions that the database has; added after each start where they are missing.";
    };
    settings = mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.str
          types.int
          types.bool
        ]
      );
      default = { };
      example = {
        work_mem = "32MB";
      };
      description = "Settings of the server. By default a quarter of the memory granted is for shared buffers and three quarters are what the planner reckons with.";
    };
  };
  environment =
    { cfg, ... }:
    {
      POSTGRES_USER = cfg.user;
      POSTGRES_DB = cfg.database;
      PGDATA = "/home/postgres/pgdata/data";
      # The image's own tuning would read the host's memory and overrule ours.
      NO_TS_TUNE = "true";
      TIMESCALEDB_TELEMETRY = "off";
    };
  command =
    {
      cfg,
      util,
      lib,
      ...
    }:
    let
      granted = if cfg.resources.memory == null then null else util.toMiB cfg.resources.memory;
      settings = {
        max_connections = 200;
        shared_preload_libraries = "timescaledb";
      }
      // lib.optionalAttrs (granted != null) {
        shared_buffers = "${toString (granted / 4)}MB";
        effective_cache_size = "${toString (granted * 3 / 4)}MB";
      }
      // cfg.settings;
      text = v: if builtins.isBool v then (if v then "on" else "off") else toString v;
    in
    [ "postgres" ]
    ++ lib.concatLists (
      lib.mapAttrsToList (name: value: [
        "-c"
        "${name}=${text value}"
      ]) settings
    )
    ++ cfg.extraArgs;
  setup =
    { cfg, ... }:
    map (
      extension:
      psql cfg
      ++ [
        "-c"
        "CREATE EXTENSION IF NOT EXISTS ${extension}"
      ]
    ) cfg.extensions;
  # The password guards every connection that comes through the port.
  authenticated = _: true;
}
