{
  config,
  lib,
  util,
  ...
}:
let
  inherit (lib) mkOption types;

  passwordInContainer = "/run/secrets/redis-password";
  hasPassword = config.passwordFile != null;

  # The server's command line, without the password.
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
    config.evictionPolicy
  ]
  ++ lib.optionals (config.maxMemory != null) [
    "--maxmemory"
    config.maxMemory
  ]
  ++ config.extraArgs;
  # The arguments of the server: `extraArgs` come last and win.
  started = util.lastArgument server;

  # `redis-cli` in the container, with the password if one is set. The password goes from its file
  # into the variable that redis-cli reads (its --help names REDISCLI_AUTH), so that no list of
  # processes shows it.
  client =
    words:
    if hasPassword then
      [
        "sh"
        "-c"
        "REDISCLI_AUTH=$(cat ${passwordInContainer}) exec redis-cli \"$@\""
        "redis-cli"
      ]
      ++ words
    else
      [ "redis-cli" ] ++ words;
  # -e: an error sets the exit code too.
  ask = words: client ([ "-e" ] ++ words);
  setting = name: wanted: {
    exec = ask [
      "config"
      "get"
      name
    ];
    expect = wanted;
  };
in
{
  options = {
    passwordFile = mkOption {
      type = types.nullOr (types.strMatching "/.*");
      default = null;
      example = "/run/secrets/redis-password";
      description = "Path of a file with the password that clients must send. The password must not contain white space.";
    };
    maxMemory = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "1gb";
      description = "Size limit of the data set. `null`: only the container's memory limits it.";
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
      description = "What Redis does when the data reaches `maxMemory`. The default refuses writes: a queue that drops entries loses work.";
    };
  };

  config = {
    description = "cache and queue";
    lock = "redis";
    ports.redis.container = 6379;
    data.data.path = "/data";
    # As this user the image's entry point neither changes owners nor drops privileges.
    runAs = {
      uid = 999;
      gid = 999;
    };
    readOnlyRoot = true;
    health = {
      redis.port = "redis";
      # A server that still loads its data answers LOADING and is not yet healthy.
      command = builtins.toJSON [
        "sh"
        "-c"
        "${lib.escapeShellArgs (client [ "ping" ])} | grep -q PONG"
      ];
      startTimeout = 120;
    };
    resources.memory = "2g";
    secrets.password = {
      description = "password that clients must give";
      file = passwordInContainer;
      source = config.passwordFile;
    };
    command =
      if hasPassword then
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
          "exec docker-entrypoint.sh redis-server - ${lib.escapeShellArgs (lib.tail server)} <<<\"requirepass $(cat ${passwordInContainer})\""
        ]
      else
        server;
    authenticated = hasPassword;
    authHint = "set passwordFile to the path of a file with a password";
    marker = {
      write.exec = ask [
        "set"
        "marker"
        "kept"
      ];
      read.exec = ask [
        "get"
        "marker"
      ];
      expect = "kept";
    };
    checks = {
      "keeps its log of writes as declared" = setting "appendonly" (started "--appendonly");
      "evicts as declared" = setting "maxmemory-policy" (started "--maxmemory-policy");
    };
  };
}
