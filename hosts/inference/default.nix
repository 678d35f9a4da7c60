# The engines of a small fleet: reached by the other hosts, so each asks for a key
# or is opened on purpose.
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
      # No authentication of its own: for this machine alone.
      address = "127.0.0.1";
    };
  };
}
