# The local AI stack of this user. Everything listens on 127.0.0.1 unless an option opens it.
{
  services.aiStack = {
    enable = true;
    facts = ./facts.json;

    ollama.enable = true; # 11434
    open-webui.enable = true; # 8081
    qdrant.enable = true; # 6333, 6334
    # postgres.enable = true; # 5432
    # redis.enable = true; # 6379

    # A GGUF file in ~/.local/share/local-ai/models, served on 8080:
    # llama-cpp = {
    #   enable = true;
    #   model = "model.gguf";
    # };
  };
}
