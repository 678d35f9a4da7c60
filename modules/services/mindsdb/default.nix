{ config, lib, ... }:
let
  inherit (lib) mkOption types;

  storage = "/root/mindsdb_storage";
in
{
  options.user = mkOption {
    type = types.nullOr types.str;
    default = null;
    example = "admin";
    description = "Name of the user who can log in. Set it together with `secretEnv.MINDSDB_PASSWORD`.";
  };

  config = {
    description = "SQL over models and data sources";
    lock = "mindsdb";
    ports = {
      http.container = 47334;
      mysql.container = 47335;
    };
    data.storage.path = storage;
    hides."/root/mdb_storage/static" = "`setup` copies the page into the data folder";
    health = {
      http = {
        port = "http";
        path = "/api/status";
      };
      client = "python";
      startTimeout = 600;
    };
    # Python as the first process would ignore SIGTERM: the image's bash replaces itself by it
    # (mindsdb v26.1.0, docker/mindsdb.Dockerfile), and the program installs no handler.
    init = true;
    resources.memory = "4g";
    wants = [
      "ollama"
      "llama-cpp"
      "postgres"
    ];
    environment = {
      # Earlier images used other folders. It is set explicitly, so that the data stays in place.
      MINDSDB_STORAGE_DIR = storage;
      MINDSDB_DOCKER_ENV = "True";
      MINDSDB_APIS = "http,mysql";
      # Otherwise MindsDB downloads its web page from S3 at each start (mindsdb/api/http/initialize.py,
      # mindsdb/utilities/config.py). The page in the image is used instead, see `setup`.
      MINDSDB_NO_STUDIO = "true";
      MINDSDB_USERNAME = config.user;
    };
    # The web page in the image (docker/mindsdb.Dockerfile, `--update-gui`) belongs to the
    # folder that MINDSDB_STORAGE_DIR replaces; the server reads it from disk at each request.
    setup = [
      [
        "sh"
        "-c"
        "from=/root/mdb_storage/static to=${storage}/static; if [ -e $from/index.html ] && ! cmp -s $from/version.txt $to/version.txt; then rm -rf $to && cp -R $from $to; fi"
      ]
    ];
    authenticated = config.user != null && config.secretEnv ? MINDSDB_PASSWORD;
    authHint = "set user, and secretEnv.MINDSDB_PASSWORD to the path of a file with a password";
    checks."states its version" = {
      http = {
        port = "http";
        path = "/api/status";
      };
      expect = "mindsdb_version";
    };
  };
}
