# A machine made ready for AI-Optimizer, with a small stack beside it: the offset leaves
# AI-Optimizer the usual ports.
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
