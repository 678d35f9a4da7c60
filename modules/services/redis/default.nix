{ lib, ... }:
let
  inherit (lib) mkOption types;

  passwordInContainer = "/run/secrets/redis-password";
in
{
  description = "cache and queue";
  image = "redis";
  ports.redis = {
    container = 6379;
    host = 6379;
  };
  data.data.path = "/data";
  # As this user the image's entry point neither changes owners nor drops rights.
  user = {
    uid = 999;
    gid = 999;
  };
  readOnlyRoot = true;
  probe.redis.port = "redis";
  # Also well without the password: NOAUTH is an answer.
  healthCommand = _: "redis-cli ping | grep -qE 'PONG|NOAUTH'";
  startTimeout = 120;
  resources.memory = "2g";
  options = {
    passwordFile = mkOption {
      type = types.nullOr (types.strMatching "/.*");
      default = null;
      example = "/run/secrets/redis-password";
      description = "Path of a file with the password that clients must give; no white space in it.";
    };
    maxMemory = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "1gb";
      description = "Limit of the data set; null: none besides the container's memory.";
    };
    evictionPolicy = mkOption {
      type = types.enum [
        "noeviction"
        "allkeys-lru"
        "allkeys-lfu"
        "allkeys-random"
        "volatile-lru"
        "volatile-lfu"
        "volatile-random"
        "volatile-ttl"
      ];
      default = "noeviction";
      description = "What happens at `maxMemory`: by default writes are refused, because a queue that forgets loses work.";
    };
  };
  secretFiles =
    { cfg, lib, ... }:
    lib.optionalAttrs (cfg.passwordFile != null) { ${passwordInContainer} = cfg.passwordFile; };
  command =
    { cfg, lib, ... }:
    let
      server = [
        "redis-server"
        "--dir"
        "/data"
        "--appendonly"
        "yes"
        "--appendfsync"
        "everysec"
        "--save"
        "900 1 300 10 60 10000"
        "--maxmemory-policy"
        cfg.evictionPolicy
      ]
      ++ lib.optionals (cfg.maxMemory != null) [
        "--maxmemory"
        cfg.maxMemory
      ]
      ++ cfg.extraArgs;
    in
    if cfg.passwordFile == null then
      server
    else
      # The server reads the password as configuration from its standard input: an
      # argument would show in the list of processes, a file would need a writable place.
      [
        "sh"
        "-c"
        "(echo -n 'requirepass '; cat ${passwordInContainer}; echo) | exec ${lib.escapeShellArgs server} -"
      ];
  authenticated = { cfg, ... }: cfg.passwordFile != null;
  authHint = "set passwordFile to the path of a file with a password";
}
