{ stack, ... }:
let
  postgres = stack.config "postgres";
  address = name: port: if stack.enabled name then stack.url name port else null;
in
{
  description = "knowledge base and tools for agents, from your own image";
  ports = {
    http.container = 8091;
    ws.container = 8791;
  };
  data.data.path = "/data/aidb";
  health.http = {
    port = "http";
    path = "/health";
  };
  health.client = "any";
  resources.memory = "4g";
  needs = [
    "postgres"
    "redis"
  ];
  wants = [
    "qdrant"
    "llama-cpp"
    "llama-cpp-embed"
    "ollama"
  ];
  environment = {
    POSTGRES_HOST = stack.host "postgres";
    POSTGRES_PORT = stack.port "postgres" "postgres";
    POSTGRES_USER = postgres.user;
    POSTGRES_DB = postgres.database;
    REDIS_HOST = stack.host "redis";
    REDIS_PORT = stack.port "redis" "redis";
    QDRANT_URL = address "qdrant" "http";
    LLAMA_CPP_BASE_URL = address "llama-cpp" "http";
    EMBEDDINGS_URL = address "llama-cpp-embed" "http";
    OLLAMA_API_BASE = address "ollama" "http";
  };
  secrets = {
    POSTGRES_PASSWORD.source = stack.secret "postgres" "POSTGRES_PASSWORD";
    REDIS_PASSWORD.source = stack.secret "redis" "password";
    QDRANT_API_KEY.source =
      if stack.enabled "qdrant" then stack.secret "qdrant" "QDRANT__SERVICE__API_KEY" else null;
  };
  checks."reports its parts" = {
    http = {
      port = "http";
      path = "/health";
    };
    expect = [
      "status"
      "database"
      "redis"
      "ml_engine"
      "pgvector"
      "llama_cpp"
      "federation"
    ];
  };
}
