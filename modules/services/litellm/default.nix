{ lib, ... }:
let
  inherit (lib) mkOption types;
  config = "/etc/litellm/config.yaml";

  # Entries of `model_list` for the engines of the stack.
  routesOf =
    { stack, lib, ... }:
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
    lib.unique (lib.concatMap ofEngine (stack.enginesFor "litellm"));
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
  # From 1.104 on it refuses to start without one
  # (litellm/proxy/auth/master_key_boot_check.py). Its clients in the stack share it.
  secrets.LITELLM_MASTER_KEY = {
    generate = true;
    description = "key that clients must send, and the administrator's";
  };
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
    arguments@{ cfg, lib, ... }:
    {
      # JSON is YAML.
      ${config} = builtins.toJSON (
        lib.recursiveUpdate {
          model_list = routesOf arguments ++ cfg.routes;
          # A wildcard then lists the models that its engine has, not all that LiteLLM has
          # heard of (litellm/utils.py, get_valid_models).
          litellm_settings.check_provider_endpoint = true;
        } cfg.settings
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
    # Else it fetches a list of prices from GitHub at each start
    # (litellm/litellm_core_utils/get_model_cost_map.py).
    LITELLM_LOCAL_MODEL_COST_MAP = "True";
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
  openai =
    arguments@{ cfg, lib, ... }:
    {
      # What it answers to: anything else is a 400 "Invalid model name".
      models = lib.unique (
        map (r: r.model_name) (
          lib.filter (
            r:
            r ? model_name && !(lib.hasInfix "*" r.model_name) && (r.model_info.mode or "chat") != "embedding"
          ) (routesOf arguments ++ cfg.routes)
        )
      );
      embedding = false;
      apiKey = "LITELLM_MASTER_KEY";
    };
  assertions =
    {
      cfg,
      option,
      util,
      lib,
      ...
    }:
    let
      leaked =
        map (place: "${option}.settings.${place}") (util.secretsIn cfg.settings)
        ++ map (place: "${option}.routes.${place}") (util.secretsIn cfg.routes);
    in
    [
      {
        assertion = leaked == [ ];
        message = "${lib.concatStringsSep ", " leaked} looks like a secret, and would be readable by everyone in the Nix store. Put it into a file, set ${option}.secretEnv.NAME to its path, and write \"os.environ/NAME\" here; the master key is ${option}.secretEnv.LITELLM_MASTER_KEY.";
      }
    ];
  # It always asks for its key.
  authenticated = _: true;
}
