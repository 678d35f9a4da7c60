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

  modelsOf =
    engine:
    let
      # AUTODETECT: the extension requests the engine's list of models and offers each of them
      # (continuedev/continue, core/config/yaml/models.ts).
      models = if engine.models == [ ] then [ "AUTODETECT" ] else engine.models;
    in
    map (
      model:
      {
        name =
          if model == engine.name || model == "AUTODETECT" then engine.name else "${model} (${engine.name})";
        provider = "openai";
        inherit model;
        # An editor runs on the host, so it uses the published port.
        apiBase = engine.hostUrl;
        roles =
          if engine.embedding then
            [ "embed" ]
          else
            [
              "chat"
              "edit"
              "apply"
            ];
      }
      # The user provides the value: Continue reads it from ~/.continue/.env.
      // lib.optionalAttrs (engine.apiKeyVariable != null) {
        apiKey = "\${{ secrets.${engine.apiKeyVariable} }}";
      }
    ) models;
in
{
  options.models = mkOption {
    type = types.listOf (types.attrsOf types.anything);
    default = [ ];
    example = [
      {
        name = "elsewhere";
        provider = "openai";
        model = "big";
        apiBase = "http://inference.example:8000/v1";
      }
    ];
    description = "Further models, next to those of the stack's engines.";
  };

  config = {
    description = "configuration of the Continue extension for editors";
    container = false;
    # JSON is YAML.
    userFiles.".continue/config.yaml" = builtins.toJSON {
      name = "local-ai";
      version = "1.0.0";
      schema = "v1";
      models = lib.concatMap modelsOf stack.engines ++ config.models;
    };
    assertions = [
      (util.noSecrets {
        places = map (place: "${option}.models.${place}") (util.secretsIn config.models);
        instead = "Write \"\${{ secrets.NAME }}\" here, and NAME=value into ~/.continue/.env.";
      })
    ];
  };
}
