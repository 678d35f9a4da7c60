let
  sql = statement: [
    "psql"
    "-qAtX"
    "-v"
    "ON_ERROR_STOP=1"
    "-U"
    "mcp"
    "-d"
    "mcp"
    "-c"
    statement
  ];
in
{
  marker = {
    write.exec = sql "CREATE TABLE IF NOT EXISTS marker(v text); INSERT INTO marker VALUES ('kept')";
    read.exec = sql "SELECT v FROM marker LIMIT 1";
    expect = "kept";
  };
  checks = [
    {
      name = "has timescaledb and vector";
      exec = sql "SELECT string_agg(extname, ',' ORDER BY extname) FROM pg_extension WHERE extname IN ('timescaledb', 'vector')";
      expect = "timescaledb,vector";
    }
    {
      name = "makes a hypertable";
      exec = sql "CREATE TABLE IF NOT EXISTS h(t timestamptz NOT NULL, v float); SELECT create_hypertable('h', 't', if_not_exists => true)";
      expect = "h";
      quick = false;
    }
    {
      name = "finds the nearest vector";
      exec = sql "SELECT '[1,2,3]'::vector <-> '[1,2,2]'::vector";
      expect = "1";
    }
    {
      name = "is tuned to its memory";
      exec = sql "SHOW shared_buffers";
      expect = "1GB";
      quick = false;
    }
  ];
}
