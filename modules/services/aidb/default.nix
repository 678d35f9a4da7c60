{ lib, ... }:
{
  description = "knowledge base and tools for agents, from your own image";
  ports = {
    http = {
      container = 8091;
      host = 8091;
    };
    ws = {
      container = 8791;
      host = 8791;
    };
  };
  data.data = {
    path = "/data/aidb";
    dir = "aidb";
  };
  probe.http = {
    port = "http";
    path = "/health";
  };
  client = "any";
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
  environment =
    {
      stack,
      lib,
      ...
    }:
    let
      postgres = stack.config "postgres";
      address = name: port: if stack.on name then stack.url name port else null;
    in
    {
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
  sharedSecrets =
    { stack, lib, ... }:
    {
      POSTGRES_PASSWORD = stack.secret "postgres" "POSTGRES_PASSWORD";
      REDIS_PASSWORD = (stack.config "redis").passwordFile;
      QDRANT_API_KEY =
        if stack.on "qdrant" then stack.secret "qdrant" "QDRANT__SERVICE__API_KEY" else null;
    };
}
