{
  checks = [
    {
      name = "completes a chat";
      http = {
        port = "http";
        path = "/v1/chat/completions";
        method = "POST";
        body = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":4}";
      };
      expect = "choices";
    }
    {
      name = "offers metrics";
      http = {
        port = "http";
        path = "/metrics";
      };
      expect = "llamacpp:";
    }
  ];
}
