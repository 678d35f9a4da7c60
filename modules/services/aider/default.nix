{ lib, ... }:
let
  inherit (lib) mkOption types;
  agent = import ../../stack/agent.nix { inherit lib; } {
    description = "pair programmer in the terminal";
    port = 8093;
  };
in
agent
// {
  image = "aider";
  # The program is one for a terminal, `podman exec -it local-ai-aider aider`: the
  # container keeps it at hand beside its workspace.
  ports.http = {
    container = 8501;
    host = 8093;
  };
  probe = null;
  # The image's user (Aider-AI/aider, docker/Dockerfile: USER appuser, uid 1000).
  user = {
    uid = 1000;
    gid = 1000;
  };
  healthCommand = _: "test -w /workspace";
  options = agent.options // {
    browser = mkOption {
      type = types.bool;
      default = false;
      description = "Serve its page for the browser on the port, with an image that has it (`aider-full`).";
    };
  };
  # `sleep` as the first process ignores SIGTERM.
  init = true;
  entrypoint = { cfg, ... }: if cfg.browser then null else "sleep";
  environment =
    arguments:
    removeAttrs (agent.environment arguments) [
      "PORT"
      "OPENAI_MODEL"
    ]
    // {
      AIDER_MODEL =
        let
          model = (agent.environment arguments).OPENAI_MODEL;
        in
        if model == null then null else "openai/${model}";
      # Its library would fetch a list of prices from GitHub at each start
      # (litellm/litellm_core_utils/get_model_cost_map.py).
      LITELLM_LOCAL_MODEL_COST_MAP = "True";
      AIDER_CHECK_UPDATE = "false";
      AIDER_ANALYTICS_DISABLE = "true";
    };
  command =
    { cfg, ... }:
    if cfg.browser then
      [
        "--gui"
        "--no-check-update"
      ]
      ++ cfg.extraArgs
    else
      [ "infinity" ];
}
