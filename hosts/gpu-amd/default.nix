# A desktop with an AMD card: ROCm or Vulkan, depending on the card's generation.
{
  imports = [ ./machine.nix ];

  services.aiStack = {
    enable = true;
    facts = ./facts.json;
    gpu.amd.lact = true;
    ollama.enable = true;
    llama-cpp = {
      enable = true;
      model = "model.gguf";
    };
  };
}
