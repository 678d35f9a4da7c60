_: {
  checks = [
    {
      name = "reports its parts";
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
    }
  ];
}
