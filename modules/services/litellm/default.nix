{
  config,
  lib,
  option,
  stack,
  util,
  ...
}:
let
  inherit (lib) mkOption types;

  configFile = "/etc/litellm/config.yaml";
  engines = stack.enginesFor "litellm";

  route =
    engine: model_name: model:
    {
      inherit model_name;
      litellm_params = {
        model = "openai/${model}";
        api_base = engine.url;
        # The client library requires a key: the engine's key, or any text if the engine needs none.
        api_key = if engine.apiKeyVariable == null then "none" else "os.environ/${engine.apiKeyVariable}";
      };
    }
    // lib.optionalAttrs engine.embedding { model_info.mode = "embedding"; };

  # Entries of `model_list` for the engines of the stack.
  routesOf =
    engine:
    map (model: route engine model model) engine.models
    ++ [
      # A route with the engine's name, independent of the model's name.
      (
        if engine.anyModel then
          route engine "${engine.name}/*" "*"
        else
          route engine engine.name (lib.head (engine.models ++ [ engine.name ]))
      )
    ];
  routes = lib.unique (lib.concatMap routesOf engines) ++ config.routes;

  # The model names that LiteLLM accepts. It answers other names with 400 "Invalid model name".
  models = lib.unique (
    map (r: r.model_name) (
      lib.filter (
        r:
        r ? model_name && !(lib.hasInfix "*" r.model_name) && (r.model_info.mode or "chat") != "embedding"
      ) routes
    )
  );
in
{
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
      description = "Further entries of `model_list`, next to those of the stack's engines, for example for engines on other hosts.";
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

  config = {
    description = "one OpenAI-compatible endpoint for all engines";
    lock = "litellm";
    ports.http.container = 4000;
    health = {
      http = {
        port = "http";
        path = "/health/liveliness";
      };
      client = "python";
    };
    resources.memory = "2g";
    wants = lib.remove "litellm" stack.engineNames ++ [ "llama-cpp-embed" ];
    secrets = {
      # Since 1.104 LiteLLM refuses to start without a key
      # (litellm/proxy/auth/master_key_boot_check.py). Its clients in the stack share the key.
      LITELLM_MASTER_KEY = {
        generate = true;
        description = "key that clients must send, and the administrator's";
        header = "authorization";
      };
    }
    // lib.listToAttrs (
      map (
        e:
        lib.nameValuePair e.apiKeyVariable {
          description = "key of ${e.name}";
          source = e.apiKeySource;
        }
      ) (lib.filter (e: e.apiKeyVariable != null) engines)
    );
    configFiles.${configFile} =
      # JSON is YAML.
      builtins.toJSON (
        lib.recursiveUpdate {
          model_list = routes;
          # With this a wildcard lists the models of its engine, and not all models that LiteLLM
          # knows (litellm/utils.py, get_valid_models).
          litellm_settings.check_provider_endpoint = true;
        } config.settings
      );
    # Otherwise LiteLLM downloads a list of prices from GitHub at each start
    # (litellm/litellm_core_utils/get_model_cost_map.py).
    environment.LITELLM_LOCAL_MODEL_COST_MAP = "True";
    command = [
      "--config"
      configFile
      "--host"
      "0.0.0.0"
      "--port"
      (toString config.ports.http.container)
    ]
    ++ config.extraArgs;
    openai = {
      rank = 1;
      inherit models;
      secret = "LITELLM_MASTER_KEY";
    };
    # LiteLLM always requires its key.
    authenticated = true;
    checks."lists the engines' models" = {
      http = {
        port = "http";
        path = "/v1/models";
      };
      expect = if models == [ ] then "data" else "\"${lib.head models}\"";
      # A model from LiteLLM's own list: it would show that a wildcard does not list its engine's models.
      lacks = "ollama/gpt-";
    };
    assertions = [
      (util.noSecrets {
        places =
          map (place: "${option}.settings.${place}") (util.secretsIn config.settings)
          ++ map (place: "${option}.routes.${place}") (util.secretsIn config.routes);
        instead = "Put it into a file, set ${option}.secretEnv.NAME to its path, and write \"os.environ/NAME\" here; the master key is ${option}.secretEnv.LITELLM_MASTER_KEY.";
      })
    ];
  };
}
