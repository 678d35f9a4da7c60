{ config, lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  imports = [ ../../../lib/kinds/agent.nix ];

  options.browser = mkOption {
    type = types.bool;
    default = false;
    description = "Serve aider's web page on the port `http`. Needs an image that contains the page (`aider-full`).";
  };

  config = {
    description = "pair programmer in the terminal";
    lock = "aider";
    # Aider runs in a terminal (`podman exec -it local-ai-aider aider`): the container only holds
    # the program and its workspace.
    ports.http = {
      container = 8501;
      preferred = 8093;
    };
    # The image's user (Aider-AI/aider, docker/Dockerfile: USER appuser, uid 1000).
    runAs = {
      uid = 1000;
      gid = 1000;
    };
    health = {
      http = null;
      command = "test -w /workspace";
    };
    # `sleep` as the first process ignores SIGTERM.
    init = true;
    entrypoint = if config.browser then null else "sleep";
    environment = {
      PORT = null;
      OPENAI_MODEL = null;
      AIDER_MODEL = if config.modelName == null then null else "openai/${config.modelName}";
      # Aider's library would download a list of prices from GitHub at each start
      # (litellm/litellm_core_utils/get_model_cost_map.py).
      LITELLM_LOCAL_MODEL_COST_MAP = "True";
      AIDER_CHECK_UPDATE = "false";
      AIDER_ANALYTICS_DISABLE = "true";
    };
    command =
      if config.browser then
        [
          "--gui"
          "--no-check-update"
        ]
        ++ config.extraArgs
      else
        [ "infinity" ];
  };
}
