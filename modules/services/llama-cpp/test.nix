{ cfg, lib, ... }:
{
  auth.secret = "LLAMA_API_KEY";
  checks = [
    {
      name = "completes a chat";
      http = {
        port = "http";
        path = "/v1/chat/completions";
        method = "POST";
        body = builtins.toJSON {
          messages = [
            {
              role = "user";
              content = "hi";
            }
          ];
          max_tokens = 4;
        };
      };
      expect = "choices";
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
