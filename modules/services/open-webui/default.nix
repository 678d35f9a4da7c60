{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  description = "chat interface in the browser";
  image = "open-webui";
  ports.http = {
    container = 8080;
    host = 8081;
  };
  data.data = {
    path = "/app/backend/data";
    dir = "open-webui";
  };
  probe.http = {
    port = "http";
    path = "/health";
  };
  healthCommand = { util, ... }: util.curlGet 8080 "/health";
  # The first start migrates its database and unpacks an embedding model.
  startTimeout = 900;
  resources.memory = "4g";
  wants = [
    "ollama"
    "llama-cpp"
  ];
  # Sessions are signed with it; the image's own would be lost with the container.
  secrets.WEBUI_SECRET_KEY = {
    generate = true;
    description = "key that sessions are signed with";
  };
  options.auth = mkOption {
    type = types.bool;
    default = true;
    description = "Ask users to log in. Without, whoever reaches the port is the administrator.";
  };
  environment =
    {
      cfg,
      stack,
      lib,
      ...
    }:
    let
      openai = builtins.filter stack.on [ "llama-cpp" ];
    in
    {
      WEBUI_AUTH = lib.boolToString cfg.auth;
      ENABLE_OLLAMA_API = lib.boolToString (stack.on "ollama");
      OLLAMA_BASE_URL = if stack.on "ollama" then stack.url "ollama" "http" else null;
      ENABLE_OPENAI_API = lib.boolToString (openai != [ ]);
      OPENAI_API_BASE_URLS =
        if openai == [ ] then
          null
        else
          lib.concatMapStringsSep ";" (name: "${stack.url name "http"}/v1") openai;
      # Not a secret: these engines ask for none, but the interface wants one for each.
      OPENAI_API_KEYS = if openai == [ ] then null else lib.concatMapStringsSep ";" (_: "none") openai;
      ANONYMIZED_TELEMETRY = "false";
      DO_NOT_TRACK = "true";
      SCARF_NO_ANALYTICS = "true";
    };
  authenticated = { cfg, ... }: cfg.auth;
  authHint = "set auth = true";
}
