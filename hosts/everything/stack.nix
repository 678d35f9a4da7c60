# Every service at once, for the tests; not a useful configuration. Services whose image the user
# provides have invented image names here.
{ lib, ... }:
let
  # The service of a new folder is enabled automatically.
  folders = lib.attrNames (
    lib.filterAttrs (_: type: type == "directory") (builtins.readDir ../../modules/services)
  );
  private = name: {
    enable = true;
    image = "registry.example/${name}:1.0.0@sha256:${builtins.hashString "sha256" name}";
  };
in
{
  imports = map (name: { services.aiStack.${name}.enable = lib.mkDefault true; }) folders;

  services.aiStack = {
    enable = true;
    models.tiny = {
      url = "https://models.example/tiny.gguf";
      sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
      sizeMiB = 1;
    };
    ollama = {
      enable = true;
      models = [ "llama3.2:3b" ];
      importModels = [ "tiny" ];
    };
    llama-cpp = {
      enable = true;
      model = "tiny";
    };
    llama-cpp-embed = {
      enable = true;
      model = "embed.gguf";
      parallel = 1;
      contextSize = 2048;
      # The tests' model declares no pooling.
      pooling = "mean";
    };
    vllm = private "vllm-cpu" // {
      model = "example/tiny";
      revision = "0000000000000000000000000000000000000000";
      allowCpu = true;
    };
    tgi = private "tgi-cpu" // {
      model = "example/tiny";
    };
    open-webui = {
      enable = true;
      embeddings = "llama-cpp-embed";
    };
    postgres = {
      enable = true;
      # Characters that systemd would expand.
      settings.log_line_prefix = "%m [%p] $HOME ";
    };
    aidb = private "aidb";
    hybrid-coordinator = private "hybrid-coordinator";
    goose = private "goose";
    autogpt = private "autogpt";
    langchain = private "langchain";
    ralph = private "ralph";
  };
}
