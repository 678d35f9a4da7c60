arguments@{
  cfg,
  lib,
  util,
  ...
}:
let
  postgres = import ./default.nix { inherit lib; };
  # The password stays in the container, where the server has it: it is on no command line.
  sql = statement: [
    "sh"
    "-c"
    "PGPASSWORD=$POSTGRES_PASSWORD exec \"$@\""
    "psql"
    "psql"
    "-qAtX"
    "-v"
    "ON_ERROR_STOP=1"
    "-U"
    cfg.user
    "-d"
    cfg.database
    "-c"
    statement
  ];
  has = extension: builtins.elem extension cfg.extensions;
  # The last one wins, also one of `extraArgs`.
  sharedBuffers = util.lastSetting "shared_buffers" (postgres.command arguments);
in
{
  marker = {
    write.exec = sql "CREATE TABLE IF NOT EXISTS marker(v text); INSERT INTO marker VALUES ('kept')";
    read.exec = sql "SELECT v FROM marker LIMIT 1";
    expect = "kept";
  };
  checks =
    lib.optional (cfg.extensions != [ ]) {
      name = "has its extensions";
      exec = sql "SELECT string_agg(extname, ',' ORDER BY extname COLLATE \"C\") FROM pg_extension WHERE extname IN (${
        lib.concatMapStringsSep ", " (e: "'${e}'") cfg.extensions
      })";
      expect = lib.concatStringsSep "," (lib.sort (a: b: a < b) (lib.unique cfg.extensions));
    }
    ++ lib.optional (has "timescaledb") {
      name = "makes a hypertable";
      exec = sql "CREATE TABLE IF NOT EXISTS h(t timestamptz NOT NULL, v float); SELECT create_hypertable('h', 't', if_not_exists => true)";
      expect = "h";
      quick = false;
    }
    ++ lib.optional (has "vector") {
      name = "finds the nearest vector";
      exec = sql "SELECT '[1,2,3]'::vector <-> '[1,2,2]'::vector";
      expect = "1";
    }
    ++ lib.optional (cfg.settings ? log_line_prefix) {
      name = "logs with the declared prefix";
      exec = sql "SHOW log_line_prefix";
      expect = cfg.settings.log_line_prefix;
    }
    # A number without a unit counts pages, which this does not reckon with.
    ++ lib.optional (sharedBuffers != null && builtins.match "[0-9]+[kMGT]B" sharedBuffers != null) {
      name = "is tuned to its memory";
      exec = sql "SELECT CASE WHEN pg_size_bytes(current_setting('shared_buffers')) = pg_size_bytes('${sharedBuffers}') THEN 'as declared' ELSE current_setting('shared_buffers') END";
      expect = "as declared";
    };
}
