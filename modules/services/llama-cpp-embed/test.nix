{ cfg, lib, ... }:
{
  auth.secret = "LLAMA_API_KEY";
  checks = [
    {
      name = "embeds a text";
      http = {
        port = "http";
        path = "/v1/embeddings";
        method = "POST";
        body = builtins.toJSON { input = "hi"; };
      };
      expect = "embedding";
    }
  ]
  ++ lib.optional cfg.metrics {
    name = "offers metrics";
    http = {
      port = "http";
      path = "/metrics";
    };
    expect = "llamacpp:";
  };
}
