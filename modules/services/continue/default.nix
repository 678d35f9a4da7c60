{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  description = "configuration of the Continue extension for editors";
  container = false;
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
    description = "Models beside those of this stack's engines.";
  };
  userFiles =
    {
      cfg,
      stack,
      lib,
      ...
    }:
    let
      of =
        engine:
        let
          # AUTODETECT: the extension asks the engine for its models and offers each of them
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
            # An editor runs on the host: it takes the published port.
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
          # Its value is the user's: Continue reads it from ~/.continue/.env.
          // lib.optionalAttrs (engine.apiKeyVariable != null) {
            apiKey = "\${{ secrets.${engine.apiKeyVariable} }}";
          }
        ) models;
    in
    {
      # JSON is YAML.
      ".continue/config.yaml" = builtins.toJSON {
        name = "local-ai";
        version = "1.0.0";
        schema = "v1";
        models = lib.concatMap of stack.engines ++ cfg.models;
      };
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
      leaked = util.secretsIn cfg.models;
    in
    [
      {
        assertion = leaked == [ ];
        message = "${
          lib.concatMapStringsSep ", " (place: "${option}.models.${place}") leaked
        } looks like a secret, and would be readable by everyone in the Nix store. Write \"\${{ secrets.NAME }}\" here, and NAME=value into ~/.continue/.env.";
      }
    ];
}
