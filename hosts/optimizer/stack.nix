# A machine prepared for AI-Optimizer, with a small stack next to it. The offset leaves the usual
# ports to AI-Optimizer.
{
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
