{ lib, ... }:
let
  inherit (lib) mkOption types;
  util = import ../../stack/util.nix { inherit lib; };

  identifier = types.strMatching "[a-z_][a-z0-9_]*";
  extensions = types.listOf identifier;
  parseTag = image: (util.parseImage image).tag;

  aidbMigrations = builtins.path {
    path = ./migrations/aidb;
    name = "aistack-migrations-aidb";
  };

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
  # First over TCP, which needs no password for this: while the image's scripts install
  # extensions, a server for them alone answers on the socket and on no address
  # (timescale/timescaledb-docker-ha, docker-entrypoint.sh). Then through the socket, where the
  # image asks for no password.
  healthCommand =
    {
      cfg,
      port,
      lib,
      ...
    }:
    "pg_isready -q -h 127.0.0.1 -p ${toString (port "postgres")} -U ${cfg.user} -d ${cfg.database} && ${lib.concatStringsSep " " (psql cfg)} -c 'SELECT 1' >/dev/null";
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
      type = extensions;
      default = [
        "timescaledb"
        "vector"
      ];
      description = "Extensions of `database`; added after each start where they are missing.";
    };
    migrations = mkOption {
      type = types.nullOr types.path;
      default = null;
      defaultText = lib.literalMD "the tables of aidb, where that is on";
      example = lib.literalExpression "./migrations";
      description = "Folder of versioned migrations (`V1__name.sql`, …) for `database`, each applied once and never changed afterwards.";
    };
    embeddingSize = mkOption {
      type = types.ints.between 1 16000;
      default = 384;
      description = "Dimension of the vectors when the tables of aidb are made.";
    };
    users = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.passwordFile = mkOption {
            type = types.strMatching "/.*";
            example = "/run/secrets/postgres-app";
            description = "Path of a file with the user's password.";
          };
        }
      );
      default = { };
      description = "Further users that may log in; made after the start where they are missing, never removed.";
    };
    databases = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            owner = mkOption {
              type = types.nullOr identifier;
              default = null;
              description = "Its owner; null: `user`.";
            };
            extensions = mkOption {
              type = extensions;
              default = [ ];
              description = "Its extensions.";
            };
            migrations = mkOption {
              type = types.nullOr types.path;
              default = null;
              description = "Folder of its versioned migrations.";
            };
          };
        }
      );
      default = { };
      description = "Further databases; made after the start where they are missing, never removed.";
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
      description = "Settings of the server. By default a quarter of the memory granted (`resources.memory`, or the machine's) is for shared buffers and three quarters are what the planner reckons with; parallel workers follow the cores in `services.aiStack.facts`.";
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
      stack,
      util,
      lib,
      ...
    }:
    let
      # Without a limit of its own the server has the machine's memory.
      granted =
        if cfg.resources.memory != null then
          util.toMiB cfg.resources.memory
        else if stack.facts == null then
          null
        else
          stack.facts.memory.totalMiB or null;
      cores = if stack.facts == null then null else stack.facts.cpu.cores or null;
      # TimescaleDB's own, beside those of PostgreSQL.
      backgroundWorkers = 16;
      settings = {
        max_connections = 200;
        # As in the image's own configuration, where an extension asks for it.
        shared_preload_libraries = lib.concatStringsSep "," (
          [ "timescaledb" ]
          ++ lib.optional (lib.any (builtins.elem "pg_textsearch") (
            [ cfg.extensions ] ++ lib.mapAttrsToList (_: d: d.extensions) cfg.databases
          )) "pg_textsearch"
        );
      }
      // lib.optionalAttrs (granted != null) {
        shared_buffers = "${toString (granted / 4)}MB";
        effective_cache_size = "${toString (granted * 3 / 4)}MB";
      }
      // lib.optionalAttrs (cores != null) {
        max_parallel_workers = cores;
        max_parallel_workers_per_gather = lib.max 1 (cores / 2);
        "timescaledb.max_background_workers" = backgroundWorkers;
        # Those, the parallel ones, and the three that always run.
        max_worker_processes = cores + backgroundWorkers + 3;
      }
      // lib.optionalAttrs (stack.on "aidb") { "aistack.embedding_size" = cfg.embeddingSize; }
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
  database =
    {
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    let
      folder = path: if path == null then null else "${path}";
      major = builtins.match "pg([0-9]+).*" (toString (parseTag cfg.image));
    in
    {
      port = "postgres";
      inherit (cfg) user database;
      passwordSource = stack.secret "postgres" "POSTGRES_PASSWORD";
      major = if major == null then null else lib.toInt (lib.head major);
      versionFile = "${cfg.data.data}/data/PG_VERSION";
      roles = lib.mapAttrsToList (name: u: {
        inherit name;
        passwordSource = u.passwordFile;
        option = "${option}.users.${name}";
      }) cfg.users;
      databases = [
        {
          name = cfg.database;
          owner = cfg.user;
          inherit (cfg) extensions;
          migrations = folder (
            if cfg.migrations == null && stack.on "aidb" then aidbMigrations else cfg.migrations
          );
          inherit option;
        }
      ]
      ++ lib.mapAttrsToList (name: d: {
        inherit name;
        owner = if d.owner == null then cfg.user else d.owner;
        inherit (d) extensions;
        migrations = folder d.migrations;
        option = "${option}.databases.${name}";
      }) cfg.databases;
    };
  assertions =
    {
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    let
      owners = lib.filter (o: o != null) (lib.mapAttrsToList (_: d: d.owner) cfg.databases);
      unknown = lib.filter (o: o != cfg.user && !(cfg.users ? ${o})) owners;
    in
    [
      {
        assertion = unknown == [ ];
        message = "${option}.databases: the owner ${lib.concatStringsSep ", " unknown} is no user of the server: add ${option}.users.<name>, or leave the owner out.";
      }
      {
        assertion = !(cfg.databases ? ${cfg.database});
        message = "${option}.databases.${cfg.database} is the database that ${option}.database names already: use ${option}.extensions and ${option}.migrations for it.";
      }
      {
        assertion = !(stack.on "aidb") || cfg.migrations != null || builtins.elem "vector" cfg.extensions;
        message = "${option}.extensions has no vector, which the tables of services.aiStack.aidb need.";
      }
    ];
  # The password guards every connection that comes through the port.
  authenticated = _: true;
}
