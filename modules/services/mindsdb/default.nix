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
  hides."/root/mdb_storage/static" = "`setup` copies the page into the data folder";
  probe.http = {
    port = "http";
    path = "/api/status";
  };
  client = "python";
  # Python as the first process would ignore SIGTERM: the image's bash replaces itself by it
  # (mindsdb v26.1.0, docker/mindsdb.Dockerfile), and the program installs no handler.
  init = true;
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
      # Else it fetches its page from S3 at each start (mindsdb/api/http/initialize.py,
      # mindsdb/utilities/config.py): the one of the image is used, see `setup`.
      MINDSDB_NO_STUDIO = "true";
      MINDSDB_USERNAME = cfg.user;
    };
  # The page that the image holds (docker/mindsdb.Dockerfile, `--update-gui`) belongs to the
  # folder that MINDSDB_STORAGE_DIR replaces; the server reads it from disk at each request.
  setup = _: [
    [
      "sh"
      "-c"
      "from=/root/mdb_storage/static to=${storage}/static; if [ -e $from/index.html ] && ! cmp -s $from/version.txt $to/version.txt; then rm -rf $to && cp -R $from $to; fi"
    ]
  ];
  authenticated = { cfg, ... }: cfg.user != null && cfg.secretEnv ? MINDSDB_PASSWORD;
  authHint = "set user, and secretEnv.MINDSDB_PASSWORD to the path of a file with a password";
}
