# One machine for one person, with engines, databases and a chat interface.
{
  imports = [ ./machine.nix ];

  services.aiStack = {
    enable = true;
    facts = ./facts.json;
    ollama.enable = true;
    llama-cpp = {
      enable = true;
      model = "model.gguf";
    };
    open-webui.enable = true;
    qdrant.enable = true;
    postgres.enable = true;
    redis.enable = true;
  };
}
