{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  description = "routes questions to memory, tools and models, from your own image";
  ports.http = {
    container = 8092;
    host = 8092;
  };
  data.data = {
    path = "/data";
    dir = "hybrid";
  };
  probe.http = {
    port = "http";
    path = "/health";
  };
  client = "any";
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
  options.embeddingSize = mkOption {
    type = types.ints.positive;
    default = 384;
    description = "Dimension of its vectors, as the embedding model gives them.";
  };
  # The collections that it works on.
  settings.qdrant =
    { cfg, lib, ... }:
    {
      collections =
        lib.genAttrs
          [
            "codebase-context"
            "skills-patterns"
            "error-solutions"
            "interaction-history"
            "best-practices"
          ]
          (_: {
            size = lib.mkDefault cfg.embeddingSize;
          });
    };
  environment =
    { cfg, stack, ... }:
    let
      postgres = stack.config "postgres";
      address = name: port: if stack.on name then stack.url name port else null;
    in
    {
      QDRANT_URL = stack.url "qdrant" "http";
      EMBEDDING_DIMENSIONS = toString cfg.embeddingSize;
      AIDB_URL = address "aidb" "http";
      LLAMA_CPP_BASE_URL = address "llama-cpp" "http";
      EMBEDDINGS_URL = address "llama-cpp-embed" "http";
      OLLAMA_API_BASE = address "ollama" "http";
      REDIS_HOST = if stack.on "redis" then stack.host "redis" else null;
      POSTGRES_HOST = if stack.on "postgres" then stack.host "postgres" else null;
      POSTGRES_USER = if stack.on "postgres" then postgres.user else null;
      POSTGRES_DB = if stack.on "postgres" then postgres.database else null;
    };
  sharedSecrets =
    { stack, ... }:
    {
      QDRANT_API_KEY = stack.secret "qdrant" "QDRANT__SERVICE__API_KEY";
      POSTGRES_PASSWORD =
        if stack.on "postgres" then stack.secret "postgres" "POSTGRES_PASSWORD" else null;
      REDIS_PASSWORD = if stack.on "redis" then (stack.config "redis").passwordFile else null;
    };
}
