# A desktop with an NVIDIA card: driver, CDI and CUDA images follow from the facts.
{
  imports = [ ./machine.nix ];

  # NVIDIA's driver is not free software, so nixpkgs requires permission.
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
