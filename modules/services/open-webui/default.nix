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
  client = "curl";
  # The first start migrates its database and unpacks an embedding model.
  startTimeout = 900;
  resources.memory = "4g";
  wants = { engines }: engines;
  # Sessions are signed with it; the image's own would be lost with the container.
  secrets.WEBUI_SECRET_KEY = {
    generate = true;
    description = "key that sessions are signed with";
  };
  options = {
    auth = mkOption {
      type = types.bool;
      default = true;
      description = "Ask users to log in. Without, whoever reaches the port is the administrator.";
    };
    persistentConfig = mkOption {
      type = types.bool;
      default = false;
      description = "Let settings made in the interface win over what is declared, the addresses of the engines among them. Without, they last until the next start.";
    };
  };
  environment =
    {
      cfg,
      stack,
      lib,
      ...
    }:
    let
      # Ollama is spoken to in its own way, and embeddings are not for chats.
      openai = lib.filter (e: e.name != "ollama" && !e.embedding) stack.engines;
      # Keys are secrets: several of them go into one variable, which only the user can fill.
      given = cfg.secretEnv ? OPENAI_API_KEYS;
    in
    {
      WEBUI_AUTH = lib.boolToString cfg.auth;
      ENABLE_OLLAMA_API = lib.boolToString (stack.on "ollama");
      OLLAMA_BASE_URL = if stack.on "ollama" then stack.url "ollama" "http" else null;
      ENABLE_OPENAI_API = lib.boolToString (openai != [ ]);
      OPENAI_API_BASE_URLS =
        if openai == [ ] then null else lib.concatMapStringsSep ";" (e: e.url) openai;
      # Not a secret: these engines ask for none, but the interface wants one for each.
      OPENAI_API_KEYS =
        if openai == [ ] || given then null else lib.concatMapStringsSep ";" (_: "none") openai;
      ENABLE_PERSISTENT_CONFIG = lib.boolToString cfg.persistentConfig;
      ANONYMIZED_TELEMETRY = "false";
      DO_NOT_TRACK = "true";
      SCARF_NO_ANALYTICS = "true";
    };
  # An emptied file would be filled with new tables, and the chats would seem to be gone.
  integrity =
    { cfg, option, ... }:
    [
      {
        kind = "sqlite";
        path = "${cfg.data.data}/webui.db";
        option = "${option}.data.data";
      }
    ];
  warnings =
    {
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    let
      keyed = lib.filter (e: e.apiKeySource != null) stack.engines;
    in
    lib.optional (keyed != [ ] && !(cfg.secretEnv ? OPENAI_API_KEYS))
      "${option}: ${
        lib.concatMapStringsSep ", " (e: e.name) keyed
      } asks for a key. Set ${option}.secretEnv.OPENAI_API_KEYS to the path of a file with the keys of ${
        lib.concatMapStringsSep ", " (e: e.name) (
          lib.filter (e: e.name != "ollama" && !e.embedding) stack.engines
        )
      }, in this order, with semicolons between them.";
  authenticated = { cfg, ... }: cfg.auth;
  authHint = "set auth = true";
}
