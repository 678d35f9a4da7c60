{ config, ... }:
{
  imports = [ ../../../lib/kinds/llama-server.nix ];
  description = "OpenAI-compatible server for one GGUF model";
  openai.rank = 2;
  checks."completes a chat" = {
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
  };
}
