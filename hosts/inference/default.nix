# The engines of a small fleet. Other hosts can reach them, so each engine requires a key or is
# opened explicitly.
{
  imports = [ ./machine.nix ];

  services.aiStack = {
    enable = true;
    address = "0.0.0.0";
    gpu.backend = "cuda";
    llama-cpp = {
      enable = true;
      model = "model.gguf";
      openFirewall = true;
      secretEnv.LLAMA_API_KEY = "/run/secrets/llama-api-key";
    };
    ollama = {
      enable = true;
      # Ollama has no authentication, so only this machine can reach it.
      address = "127.0.0.1";
    };
  };
}
