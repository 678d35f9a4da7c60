{ config, lib, ... }:
{
  options.greeting = lib.mkOption {
    type = lib.types.str;
    default = "hello";
    description = "Text of the page.";
  };
  config = {
    description = "serves a greeting";
    image = "docker.io/nginxinc/nginx-unprivileged:1.29-alpine";
    ports.http.container = 8080;
    configFiles."/usr/share/nginx/html/index.html" = config.greeting;
    health.http.port = "http";
    health.http.path = "/";
    health.client = "wget";
    checks."shows its greeting".http = config.health.http;
    checks."shows its greeting".expect = config.greeting;
  };
}
