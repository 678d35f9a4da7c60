{ lib, ... }:
let
  inherit (lib) mkOption types;
  storage = "/root/mindsdb_storage";
in
{
  description = "SQL over models and data sources";
  image = "mindsdb";
  ports = {
    http = {
      container = 47334;
      host = 47334;
    };
    mysql = {
      container = 47335;
      host = 47335;
    };
  };
  data.storage = {
    path = storage;
    dir = "mindsdb";
  };
  probe.http = {
    port = "http";
    path = "/api/status";
  };
  client = "python";
  startTimeout = 600;
  resources.memory = "4g";
  wants = [
    "ollama"
    "llama-cpp"
    "postgres"
  ];
  options.user = mkOption {
    type = types.nullOr types.str;
    default = null;
    example = "admin";
    description = "Name to log in with; together with `secretEnv.MINDSDB_PASSWORD`.";
  };
  environment =
    { cfg, ... }:
    {
      # Earlier images had other folders: said, so that the data stays where it is.
      MINDSDB_STORAGE_DIR = storage;
      MINDSDB_DOCKER_ENV = "True";
      MINDSDB_APIS = "http,mysql";
      MINDSDB_USERNAME = cfg.user;
    };
  authenticated = { cfg, ... }: cfg.user != null && cfg.secretEnv ? MINDSDB_PASSWORD;
  authHint = "set user, and secretEnv.MINDSDB_PASSWORD to the path of a file with a password";
}
