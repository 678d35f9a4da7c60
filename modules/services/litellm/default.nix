{ lib, ... }:
let
  inherit (lib) mkOption types;
  config = "/etc/litellm/config.yaml";
in
{
  description = "one OpenAI-compatible endpoint for all engines";
  image = "litellm";
  ports.http = {
    container = 4000;
    host = 4000;
  };
  probe.http = {
    port = "http";
    path = "/health/liveliness";
  };
  client = "python";
  startTimeout = 300;
  resources.memory = "2g";
  wants = { engines }: lib.remove "litellm" engines ++ [ "llama-cpp-embed" ];
  options = {
    routes = mkOption {
      type = types.listOf (types.attrsOf types.anything);
      default = [ ];
      example = [
        {
          model_name = "big";
          litellm_params = {
            model = "openai/big";
            api_base = "http://inference.example:8000/v1";
          };
        }
      ];
      description = "Entries of `model_list` beside those of this stack's engines; for engines on other hosts.";
    };
    settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example = {
        litellm_settings.request_timeout = 600;
      };
      description = "Further parts of LiteLLM's configuration.";
    };
  };
  configFiles =
    {
      cfg,
      stack,
      lib,
      ...
    }:
    let
      route =
        engine: model_name: model:
        {
          inherit model_name;
          litellm_params = {
            model = "openai/${model}";
            api_base = engine.url;
          }
          # The client library wants one; where an engine asks for a key, it is that.
          // (
            if engine.apiKeyVariable == null then
              { api_key = "none"; }
            else
              { api_key = "os.environ/${engine.apiKeyVariable}"; }
          );
        }
        // lib.optionalAttrs engine.embedding { model_info.mode = "embedding"; };
      ofEngine =
        engine:
        map (model: route engine model model) engine.models
        ++ [
          # By the engine's name, whatever its model is called.
          (
            if engine.anyModel then
              route engine "${engine.name}/*" "*"
            else
              route engine engine.name (lib.head (engine.models ++ [ engine.name ]))
          )
        ];
    in
    {
      # JSON is YAML.
      ${config} = builtins.toJSON (
        {
          model_list = lib.unique (lib.concatMap ofEngine (stack.enginesFor "litellm") ++ cfg.routes);
        }
        // cfg.settings
      );
    };
  sharedSecrets =
    { stack, lib, ... }:
    lib.listToAttrs (
      map (e: lib.nameValuePair e.apiKeyVariable e.apiKeySource) (
        lib.filter (e: e.apiKeyVariable != null) (stack.enginesFor "litellm")
      )
    );
  environment = _: {
    LITELLM_TELEMETRY = "False";
    DO_NOT_TRACK = "1";
  };
  command =
    { cfg, port, ... }:
    [
      "--config"
      config
      "--host"
      "0.0.0.0"
      "--port"
      (toString (port "http"))
    ]
    ++ cfg.extraArgs;
  engineRank = 1;
  openai = _: {
    models = [ ];
    embedding = false;
    apiKey = "LITELLM_MASTER_KEY";
  };
  authenticated = { cfg, ... }: cfg.secretEnv ? LITELLM_MASTER_KEY;
  authHint = "set secretEnv.LITELLM_MASTER_KEY to the path of a file with a key (it begins with sk-)";
}
