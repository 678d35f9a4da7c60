# A desktop with an NVIDIA card: driver, CDI and CUDA images follow from the facts.
{
  imports = [ ./machine.nix ];

  # NVIDIA's driver is not free software; nixpkgs asks.
  nixpkgs.config.allowUnfree = true;

  services.aiStack = {
    enable = true;
    facts = ./facts.json;
    ollama.enable = true;
    llama-cpp = {
      enable = true;
      model = "model.gguf";
    };
  };
}
