# The whole stack for one user without root, also on a distribution that is not NixOS.
# The offset lets it run next to a system-wide stack on the same host.
{
  home = {
    username = "ai";
    homeDirectory = "/home/ai";
    stateVersion = "26.05";
  };

  services.aiStack = {
    enable = true;
    portOffset = 10000;
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
