{
  config,
  lib,
  stack,
  ...
}:
let
  inherit (lib) mkOption types;

  postgres = stack.config "postgres";
  address = name: port: if stack.enabled name then stack.url name port else null;
in
{
  options.embeddingSize = mkOption {
    type = types.ints.positive;
    default = 384;
    description = "Dimension of the vectors that the embedding model returns.";
  };

  config = {
    description = "routes questions to memory, tools and models, from your own image";
    ports.http.container = 8092;
    data.data = {
      path = "/data";
      folder = "hybrid";
    };
    health.http = {
      port = "http";
      path = "/health";
    };
    health.client = "any";
    resources.memory = "2g";
    needs = [ "qdrant" ];
    wants = [
      "aidb"
      "postgres"
      "redis"
      "llama-cpp"
      "llama-cpp-embed"
      "ollama"
    ];
    # The collections that the coordinator uses.
    requests.qdrant.collections =
      lib.genAttrs
        [
          "codebase-context"
          "skills-patterns"
          "error-solutions"
          "interaction-history"
          "best-practices"
        ]
        (_: {
          size = config.embeddingSize;
        });
    environment = {
      QDRANT_URL = stack.url "qdrant" "http";
      EMBEDDING_DIMENSIONS = toString config.embeddingSize;
      AIDB_URL = address "aidb" "http";
      LLAMA_CPP_BASE_URL = address "llama-cpp" "http";
      EMBEDDINGS_URL = address "llama-cpp-embed" "http";
      OLLAMA_API_BASE = address "ollama" "http";
      REDIS_HOST = if stack.enabled "redis" then stack.host "redis" else null;
      POSTGRES_HOST = if stack.enabled "postgres" then stack.host "postgres" else null;
      POSTGRES_USER = if stack.enabled "postgres" then postgres.user else null;
      POSTGRES_DB = if stack.enabled "postgres" then postgres.database else null;
    };
    secrets = {
      QDRANT_API_KEY.source = stack.secret "qdrant" "QDRANT__SERVICE__API_KEY";
      POSTGRES_PASSWORD.source =
        if stack.enabled "postgres" then stack.secret "postgres" "POSTGRES_PASSWORD" else null;
      REDIS_PASSWORD.source = if stack.enabled "redis" then stack.secret "redis" "password" else null;
    };
    checks."names its collections" = {
      http = {
        port = "http";
        path = "/health";
      };
      expect = "collections";
    };
  };
}
