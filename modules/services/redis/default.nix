{ lib, ... }:
let
  inherit (lib) mkOption types;

  parts = import ./parts.nix { inherit lib; };
  inherit (parts) passwordInContainer;
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
  # A server that still loads its data answers LOADING, and is not healthy yet.
  healthCommand =
    { cfg, lib, ... }:
    builtins.toJSON [
      "sh"
      "-c"
      "${lib.escapeShellArgs (parts.client cfg [ "ping" ])} | grep -q PONG"
    ];
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
    if cfg.passwordFile == null then
      parts.server cfg
    else
      # The server reads the password as configuration from its standard input: an argument
      # would show in the list of processes, a file would need a writable place. `exec` leaves
      # the server as the first process, which a stop's SIGTERM must reach; a pipe would leave
      # a shell there, and `<(...)` a child that nobody reaps. It goes through the image's
      # entry point, which adds the modules when its first word is `redis-server`
      # (redis/docker-library-redis, debian/docker-entrypoint.sh); `-` stands first because
      # the server takes it as the first or the last argument only (redis, src/server.c).
      [
        "bash"
        "-c"
        "exec docker-entrypoint.sh redis-server - ${lib.escapeShellArgs (lib.tail (parts.server cfg))} <<<\"requirepass $(cat ${passwordInContainer})\""
      ];
  authenticated = { cfg, ... }: cfg.passwordFile != null;
  authHint = "set passwordFile to the path of a file with a password";
}
