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

  identifier = types.strMatching "[a-z_][a-z0-9_]*";
  extensions = types.listOf identifier;

  aidbMigrations = builtins.path {
    path = ./migrations/aidb;
    name = "aistack-migrations-aidb";
  };

  psql = [
    "psql"
    "-qAtX"
    "-v"
    "ON_ERROR_STOP=1"
    "-U"
    config.user
    "-d"
    config.database
  ];
  # The password is read inside the container and never appears on a command line.
  sql =
    statement:
    [
      "sh"
      "-c"
      "PGPASSWORD=$POSTGRES_PASSWORD exec \"$@\""
      "psql"
    ]
    ++ psql
    ++ [
      "-c"
      statement
    ];

  # Memory in MiB: the service's limit, or the machine's memory if there is no limit.
  granted =
    if config.resources.memory != null then
      util.toMiB config.resources.memory
    else if stack.facts == null then
      null
    else
      stack.facts.memory.totalMiB;
  cores = if stack.facts == null then null else stack.facts.cpu.cores;
  # Background workers of TimescaleDB, in addition to those of PostgreSQL.
  backgroundWorkers = 16;
  settings = {
    max_connections = 200;
    # As in the image's configuration, for the extensions that need it.
    shared_preload_libraries = lib.concatStringsSep "," (
      [ "timescaledb" ]
      ++ lib.optional (lib.any (builtins.elem "pg_textsearch") (
        [ config.extensions ] ++ lib.mapAttrsToList (_: d: d.extensions) config.databases
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
    # TimescaleDB's workers, the parallel workers, and the three that always run.
    max_worker_processes = cores + backgroundWorkers + 3;
  }
  // lib.optionalAttrs (stack.enabled "aidb") { "aistack.embedding_size" = config.embeddingSize; }
  // config.settings;
  text = v: if builtins.isBool v then (if v then "on" else "off") else toString v;

  # The last value wins, also one from `extraArgs`.
  sharedBuffers = util.lastSetting "shared_buffers" config.command;
  has = extension: builtins.elem extension config.extensions;
  folder = path: if path == null then null else "${path}";
  major = builtins.match "pg([0-9]+).*" (toString (util.parseImage config.image).tag);

  owners = lib.filter (o: o != null) (lib.mapAttrsToList (_: d: d.owner) config.databases);
  unknown = lib.filter (o: o != config.user && !(config.users ? ${o})) owners;
in
{
  options = {
    user = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_]*";
      default = "mcp";
      description = "User who owns the database.";
    };
    database = mkOption {
      type = types.strMatching "[a-z_][a-z0-9_]*";
      default = "mcp";
      description = "Database that is created at the first start.";
    };
    extensions = mkOption {
      type = extensions;
      default = [
        "timescaledb"
        "vector"
      ];
      description = "Extensions of `database`. Missing extensions are added after each start.";
    };
    migrations = mkOption {
      type = types.nullOr types.path;
      default = null;
      defaultText = lib.literalMD "the tables of aidb if `services.aiStack.aidb` is enabled, else `null`";
      example = lib.literalExpression "./migrations";
      description = "Folder of versioned migrations (`V1__name.sql`, …) for `database`. Each migration is applied once; do not change its file afterwards.";
    };
    embeddingSize = mkOption {
      type = types.ints.between 1 16000;
      default = 384;
      description = "Dimension of the vectors in the tables of aidb. It counts when the tables are created.";
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
      description = "Further users who may log in. Missing users are created after each start; none is ever removed.";
    };
    databases = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            owner = mkOption {
              type = types.nullOr identifier;
              default = null;
              description = "Owner of the database. `null`: the value of `user`.";
            };
            extensions = mkOption {
              type = extensions;
              default = [ ];
              description = "Extensions of the database.";
            };
            migrations = mkOption {
              type = types.nullOr types.path;
              default = null;
              description = "Folder of the database's versioned migrations.";
            };
          };
        }
      );
      default = { };
      description = "Further databases. Missing databases are created after each start; none is ever removed.";
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
      description = "Settings of the server. By default `shared_buffers` is a quarter and `effective_cache_size` three quarters of the memory (`resources.memory`, or the machine's memory), and the number of parallel workers follows the cores in `services.aiStack.facts`.";
    };
  };

  config = {
    description = "PostgreSQL with TimescaleDB and pgvector";
    lock = "postgres";
    ports.postgres.container = 5432;
    # PGDATA is a folder below this one, which the server can own and set to mode 0700.
    data.data.path = "/home/postgres/pgdata";
    runAs = {
      uid = 1000;
      gid = 1000;
    };
    health = {
      postgres.port = "postgres";
      # First over TCP, which needs no password for this check: while the image's scripts install
      # extensions, a temporary server answers on the socket and on no address
      # (timescale/timescaledb-docker-ha, docker-entrypoint.sh). Then through the socket, where the
      # image requires no password.
      command = "pg_isready -q -h 127.0.0.1 -p ${toString config.ports.postgres.container} -U ${config.user} -d ${config.database} && ${lib.concatStringsSep " " psql} -c 'SELECT 1' >/dev/null";
    };
    resources = {
      memory = "4g";
      shm = "1g";
    };
    secrets.POSTGRES_PASSWORD = {
      generate = true;
      description = "password of the database's user";
    };
    environment = {
      POSTGRES_USER = config.user;
      POSTGRES_DB = config.database;
      PGDATA = "/home/postgres/pgdata/data";
      # The image's tuning would read the host's memory and override our settings.
      NO_TS_TUNE = "true";
      TIMESCALEDB_TELEMETRY = "off";
    };
    command = [
      "postgres"
    ]
    ++ lib.concatLists (
      lib.mapAttrsToList (name: value: [
        "-c"
        "${name}=${text value}"
      ]) settings
    )
    ++ config.extraArgs;
    provision.postgres = {
      port = "postgres";
      inherit (config) user database;
      passwordSource = stack.secret "postgres" "POSTGRES_PASSWORD";
      major = if major == null then null else lib.toInt (lib.head major);
      versionFile = "${config.data.data.host}/data/PG_VERSION";
      roles = lib.mapAttrsToList (name: u: {
        inherit name;
        passwordSource = u.passwordFile;
        option = "${option}.users.${name}";
      }) config.users;
      databases = [
        {
          name = config.database;
          owner = config.user;
          inherit (config) extensions;
          migrations = folder (
            if config.migrations == null && stack.enabled "aidb" then aidbMigrations else config.migrations
          );
          inherit option;
        }
      ]
      ++ lib.mapAttrsToList (name: d: {
        inherit name;
        owner = if d.owner == null then config.user else d.owner;
        inherit (d) extensions;
        migrations = folder d.migrations;
        option = "${option}.databases.${name}";
      }) config.databases;
    };
    # Every connection through the port needs the password.
    authenticated = true;
    marker = {
      write.exec = sql "CREATE TABLE IF NOT EXISTS marker(v text); INSERT INTO marker VALUES ('kept')";
      read.exec = sql "SELECT v FROM marker LIMIT 1";
      expect = "kept";
    };
    checks =
      lib.optionalAttrs (config.extensions != [ ]) {
        "has its extensions" = {
          exec = sql "SELECT string_agg(extname, ',' ORDER BY extname COLLATE \"C\") FROM pg_extension WHERE extname IN (${
            lib.concatMapStringsSep ", " (e: "'${e}'") config.extensions
          })";
          expect = lib.concatStringsSep "," (lib.sort (a: b: a < b) (lib.unique config.extensions));
        };
      }
      // lib.optionalAttrs (has "timescaledb") {
        "makes a hypertable" = {
          exec = sql "CREATE TABLE IF NOT EXISTS h(t timestamptz NOT NULL, v float); SELECT create_hypertable('h', 't', if_not_exists => true)";
          expect = "h";
          quick = false;
        };
      }
      // lib.optionalAttrs (has "vector") {
        "finds the nearest vector" = {
          exec = sql "SELECT '[1,2,3]'::vector <-> '[1,2,2]'::vector";
          expect = "1";
        };
      }
      // lib.optionalAttrs (config.settings ? log_line_prefix) {
        "logs with the declared prefix" = {
          exec = sql "SHOW log_line_prefix";
          expect = config.settings.log_line_prefix;
        };
      }
      # A number without a unit counts pages, and the comparison does not convert pages.
      //
        lib.optionalAttrs (sharedBuffers != null && builtins.match "[0-9]+[kMGT]B" sharedBuffers != null)
          {
            "is tuned to its memory" = {
              exec = sql "SELECT CASE WHEN pg_size_bytes(current_setting('shared_buffers')) = pg_size_bytes('${sharedBuffers}') THEN 'as declared' ELSE current_setting('shared_buffers') END";
              expect = "as declared";
            };
          };
    assertions = [
      {
        assertion = unknown == [ ];
        message = "${option}.databases: the owner ${lib.concatStringsSep ", " unknown} is not a user of the server: add ${option}.users.<name>, or remove the owner.";
      }
      {
        assertion = !(config.databases ? ${config.database});
        message = "${option}.databases.${config.database} is already the main database (${option}.database): use ${option}.extensions and ${option}.migrations for it.";
      }
      {
        assertion =
          !(stack.enabled "aidb") || config.migrations != null || builtins.elem "vector" config.extensions;
        message = "${option}.extensions lacks \"vector\", which the tables of services.aiStack.aidb need: add it.";
      }
    ];
  };
}
