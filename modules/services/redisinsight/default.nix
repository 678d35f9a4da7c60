{
  config,
  lib,
  stack,
  ...
}:
{
  description = "Redis in the browser";
  lock = "redisinsight";
  ports.http.container = 5540;
  data.data.path = "/data";
  runAs = {
    uid = 1000;
    gid = 1000;
  };
  health = {
    http = {
      port = "http";
      path = "/api/health";
    };
    client = "wget";
    startTimeout = 120;
  };
  resources.memory = "1g";
  wants = [ "redis" ];
  environment = {
    RI_APP_PORT = toString config.ports.http.container;
    RI_ACCEPT_TERMS_AND_CONDITIONS = "true";
    # Log to the journal and not to files below /data (redis/RedisInsight, config/default.ts).
    RI_STDOUT_LOGGER = "true";
    RI_FILES_LOGGER = "false";
  }
  // lib.optionalAttrs (stack.enabled "redis") {
    RI_REDIS_HOST = stack.host "redis";
    RI_REDIS_PORT = stack.port "redis" "redis";
    RI_REDIS_ALIAS = "local-ai";
  };
  secrets.RI_REDIS_PASSWORD.source =
    if stack.enabled "redis" then stack.secret "redis" "password" else null;
  checks."answers" = {
    http = {
      port = "http";
      path = "/api/health";
    };
    expect = "up";
  };
}
