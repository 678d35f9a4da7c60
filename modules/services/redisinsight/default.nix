{ ... }:
{
  description = "Redis in the browser";
  image = "redisinsight";
  ports.http = {
    container = 5540;
    host = 5540;
  };
  data.data = {
    path = "/data";
    dir = "redisinsight";
  };
  user = {
    uid = 1000;
    gid = 1000;
  };
  probe.http = {
    port = "http";
    path = "/api/health";
  };
  client = "wget";
  startTimeout = 120;
  resources.memory = "1g";
  wants = [ "redis" ];
  environment =
    {
      stack,
      port,
      lib,
      ...
    }:
    {
      RI_APP_PORT = toString (port "http");
      RI_ACCEPT_TERMS_AND_CONDITIONS = "true";
      # Into the journal, not into files below /data (redis/RedisInsight, config/default.ts).
      RI_STDOUT_LOGGER = "true";
      RI_FILES_LOGGER = "false";
    }
    // lib.optionalAttrs (stack.on "redis") {
      RI_REDIS_HOST = stack.host "redis";
      RI_REDIS_PORT = stack.port "redis" "redis";
      RI_REDIS_ALIAS = "local-ai";
    };
  sharedSecrets =
    { stack, lib, ... }:
    lib.optionalAttrs (stack.on "redis") {
      RI_REDIS_PASSWORD = (stack.config "redis").passwordFile;
    };
}
