{
  checks = [
    {
      name = "embeds a text";
      http = {
        port = "http";
        path = "/v1/embeddings";
        method = "POST";
        body = "{\"input\":\"hi\"}";
      };
      expect = "embedding";
    }
  ];
}
