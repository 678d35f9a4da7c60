# What the definition of Redis and its checks share.
{ lib }:
rec {
  passwordInContainer = "/run/secrets/redis-password";

  # The server's command line, without the password.
  server =
    cfg:
    [
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

  # `redis-cli` in the container, with the password where there is one: from its file to
  # the variable that redis-cli reads (its --help names REDISCLI_AUTH), so that it shows in no
  # list of processes.
  client =
    cfg: words:
    if cfg.passwordFile == null then
      [ "redis-cli" ] ++ words
    else
      [
        "sh"
        "-c"
        "REDISCLI_AUTH=$(cat ${passwordInContainer}) exec redis-cli \"$@\""
        "redis-cli"
      ]
      ++ words;
}
