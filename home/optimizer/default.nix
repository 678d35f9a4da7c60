# A home made ready for AI-Optimizer without root, with a small stack beside it: the
# offset leaves AI-Optimizer the usual ports.
{
  home = {
    username = "ai";
    homeDirectory = "/home/ai";
    stateVersion = "26.05";
  };

  services.aiOptimizerPrep.enable = true;

  services.aiStack = {
    enable = true;
    portOffset = 10000;
    llama-cpp = {
      enable = true;
      model = "model.gguf";
    };
    postgres.enable = true;
    redis.enable = true;
  };
}
