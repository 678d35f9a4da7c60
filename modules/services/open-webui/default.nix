{
  config,
  lib,
  option,
  stack,
  ...
}:
let
  inherit (lib) mkOption types;

  folder = "/data";
  keyIn = engine: "/run/secrets/key-of-${engine.name}";

  # The engines that Open WebUI uses as OpenAI endpoints. Ollama has its own API here, servers for
  # embeddings cannot chat, and LiteLLM forwards to every other engine.
  engines =
    let
      chat = lib.filter (e: e.name != "ollama" && !e.embedding) stack.engines;
      router = lib.filter (e: e.name == "litellm") chat;
    in
    if router == [ ] then chat else router;
  keyed = lib.filter (e: e.apiKeySource != null) engines;
  # Open WebUI reads the keys of several engines from one variable: the start command joins them.
  joinsKeys = lib.length engines > 1 && keyed != [ ] && !(config.secretEnv ? OPENAI_API_KEYS);

  embed = lib.findFirst (e: e.name == "llama-cpp-embed") null stack.engines;
  ownEmbeddings = config.embeddings == "llama-cpp-embed" && embed != null;
in
{
  options = {
    auth = mkOption {
      type = types.bool;
      default = true;
      description = "Require users to log in. If disabled, everyone who can reach the port is the administrator.";
    };
    signUp = mkOption {
      type = types.bool;
      default = false;
      description = "Allow everyone who can reach the page to create an account, which an administrator must then approve. The first account, the administrator's, can always be created.";
    };
    adminEmail = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "admin@example.org";
      description = "E-mail address with which the administrator logs in. Together with `secretEnv.WEBUI_ADMIN_PASSWORD` it creates the administrator's account at the first start. `null`: the first visitor creates it.";
    };
    embeddings = mkOption {
      type = types.enum [
        "bundled"
        "llama-cpp-embed"
      ];
      default = "bundled";
      description = "Embedding model for the search in documents: `bundled` is the model in the image, `llama-cpp-embed` is the stack's own server for embeddings. After a change, existing documents must be indexed again.";
    };
    persistentConfig = mkOption {
      type = types.bool;
      default = false;
      description = "Keep settings that were made in the interface, even where they differ from the declared ones, such as the addresses of the engines. If disabled, they are lost at the next start.";
    };
  };

  config = {
    description = "chat interface in the browser";
    lock = "open-webui";
    ports.http = {
      container = 8080;
      preferred = 8081;
    };
    # Not the image's data folder, /app/backend/data: it contains the models that come with the
    # image (its Dockerfile: SENTENCE_TRANSFORMERS_HOME, WHISPER_MODEL_DIR, TIKTOKEN_CACHE_DIR),
    # and a mount would hide them.
    data.data.path = folder;
    health = {
      http = {
        port = "http";
        path = "/health";
      };
      # The image is based on python:3.11, so python is present; a later release may lack curl.
      client = "python";
      # The first start migrates the database.
      startTimeout = 900;
    };
    resources.memory = "4g";
    wants = stack.engineNames;
    environment = {
      DATA_DIR = folder;
      WEBUI_AUTH = lib.boolToString config.auth;
      # Open WebUI closes sign-up once an administrator exists, but forgets that at each start if
      # ENABLE_PERSISTENT_CONFIG is false (open_webui/routers/auths.py).
      ENABLE_SIGNUP = lib.boolToString config.signUp;
      WEBUI_ADMIN_EMAIL = config.adminEmail;
      ENABLE_OLLAMA_API = lib.boolToString (stack.enabled "ollama");
      OLLAMA_BASE_URL = if stack.enabled "ollama" then stack.url "ollama" "http" else null;
      ENABLE_OPENAI_API = lib.boolToString (engines != [ ]);
      OPENAI_API_BASE_URLS =
        if engines == [ ] then null else lib.concatMapStringsSep ";" (e: e.url) engines;
      # Not a secret: these engines need no key, but Open WebUI requires one for each.
      OPENAI_API_KEYS =
        if engines == [ ] || keyed != [ ] || config.secretEnv ? OPENAI_API_KEYS then
          null
        else
          lib.concatMapStringsSep ";" (_: "none") engines;
      # Download nothing at a start: use the model in the image, and do not check for a newer release.
      RAG_EMBEDDING_MODEL_AUTO_UPDATE = "false";
      ENABLE_VERSION_UPDATE_CHECK = "false";
      RAG_EMBEDDING_ENGINE = if ownEmbeddings then "openai" else null;
      RAG_OPENAI_API_BASE_URL = if ownEmbeddings then embed.url else null;
      RAG_EMBEDDING_MODEL = if ownEmbeddings then lib.head embed.models else null;
      # The client library requires a key even if the server needs none.
      RAG_OPENAI_API_KEY = if ownEmbeddings && embed.apiKeySource == null then "none" else null;
      ENABLE_PERSISTENT_CONFIG = lib.boolToString config.persistentConfig;
      ANONYMIZED_TELEMETRY = "false";
      DO_NOT_TRACK = "true";
      SCARF_NO_ANALYTICS = "true";
    };
    secrets = {
      # The key that the image generates would be lost with the container.
      WEBUI_SECRET_KEY = {
        generate = true;
        description = "key that sessions are signed with";
      };
      OPENAI_API_KEYS = {
        description = "key of the engine";
        source = if lib.length engines == 1 then (lib.head engines).apiKeySource else null;
      };
      RAG_OPENAI_API_KEY = {
        description = "key of the server for embeddings";
        source = if ownEmbeddings then embed.apiKeySource else null;
      };
    }
    // lib.optionalAttrs joinsKeys (
      lib.listToAttrs (
        map (
          e:
          lib.nameValuePair "key-of-${e.name}" {
            description = "key of ${e.name}";
            file = keyIn e;
            source = e.apiKeySource;
          }
        ) keyed
      )
    );
    # The image's command is `bash start.sh`.
    command = lib.optionals joinsKeys [
      "bash"
      "-c"
      "export OPENAI_API_KEYS=\"${
        lib.concatMapStringsSep ";" (
          e: if e.apiKeySource == null then "none" else "$(cat ${keyIn e})"
        ) engines
      }\"; exec bash start.sh"
    ];
    # Open WebUI would create new tables in an empty file, and all chats would seem to be lost.
    integrity = [
      {
        kind = "sqlite";
        path = "${config.data.data.host}/webui.db";
        option = "${option}.data.data";
      }
    ];
    # Without a declared administrator the first visitor becomes the administrator.
    authenticated = config.auth && config.adminEmail != null;
    authHint = "set auth = true, adminEmail, and secretEnv.WEBUI_ADMIN_PASSWORD to the path of a file with a password (else the first visitor becomes the administrator)";
    checks."reports that it is healthy" = {
      http = {
        port = "http";
        path = "/health";
      };
      expect = "true";
    };
    assertions = [
      {
        assertion = (config.adminEmail != null) == (config.secretEnv ? WEBUI_ADMIN_PASSWORD);
        message = "${option}: the administrator's account needs both ${option}.adminEmail and ${option}.secretEnv.WEBUI_ADMIN_PASSWORD, and one of them is missing.";
      }
      {
        assertion = config.embeddings == "bundled" || stack.enabled "llama-cpp-embed";
        message = "${option}.embeddings = \"llama-cpp-embed\", which is not enabled: set services.aiStack.llama-cpp-embed.enable = true, or embeddings = \"bundled\".";
      }
    ];
  };
}
