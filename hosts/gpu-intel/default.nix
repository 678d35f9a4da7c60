# A desktop with an Intel Arc card: SYCL.
{
  imports = [ ./machine.nix ];

  services.aiStack = {
    enable = true;
    facts = ./facts.json;
    llama-cpp = {
      enable = true;
      model = "model.gguf";
    };
  };
}
