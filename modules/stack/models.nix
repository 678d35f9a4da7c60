# Models by hash: the source of each model, the unit that downloads it, and the file that engines
# read. Neither evaluation nor a switch downloads anything.
{ config, lib, ... }:
let
  inherit (lib)
    literalExpression
    mapAttrsToList
    mkIf
    mkOption
    nameValuePair
    types
    ;

  cfg = config.services.aiStack;
  util = import ../../lib { inherit lib; };

  absolutePath = types.strMatching "/.*" // {
    description = "absolute path";
  };

  model =
    { name, config, ... }:
    {
      options = {
        url = mkOption {
          type = types.strMatching "https?://.+";
          default =
            if config.huggingface == null then
              throw "services.aiStack.models.${name} has no source: set url or huggingface"
            else
              let
                hf = config.huggingface;
              in
              "https://huggingface.co/${hf.repo}/resolve/${hf.revision}/${hf.file}";
          defaultText = literalExpression "the file that huggingface names";
          example = "https://example.org/models/tiny.gguf";
          description = "Address of the file.";
        };
        huggingface = mkOption {
          type = types.nullOr (
            types.submodule {
              options = {
                repo = mkOption {
                  type = types.strMatching "[^/]+/[^/]+";
                  example = "Qwen/Qwen2.5-7B-Instruct-GGUF";
                  description = "Name of the repository.";
                };
                file = mkOption {
                  type = types.str;
                  example = "qwen2.5-7b-instruct-q4_k_m.gguf";
                  description = "File in the repository.";
                };
                revision = mkOption {
                  type = types.strMatching "[0-9a-f]{40}";
                  description = "Commit. A branch can contain another file later.";
                };
              };
            }
          );
          default = null;
          description = "File of a repository on Hugging Face, instead of `url`.";
        };
        sha256 = mkOption {
          type = types.strMatching "[0-9a-f]{64}";
          description = "SHA-256 of the file, in hexadecimal. A file that you copied there by hand is accepted if it has this hash.";
        };
        sizeMiB = mkOption {
          type = types.nullOr types.ints.positive;
          default = null;
          description = "Size of the file in MiB. It lets the download fail early when the disk is too small.";
        };
        fileName = mkOption {
          type = types.strMatching "[^/]+";
          default = baseNameOf (lib.head (lib.splitString "?" config.url));
          defaultText = literalExpression "the last part of url";
          description = "File name in `services.aiStack.modelsDir`.";
        };
        tokenFile = mkOption {
          type = types.nullOr absolutePath;
          default = null;
          example = literalExpression "config.sops.secrets.huggingface.path";
          description = "File with the access token, for a model that needs one.";
        };
        path = mkOption {
          type = types.str;
          readOnly = true;
          default = "${cfg.modelsDir}/${config.fileName}";
          defaultText = literalExpression "in modelsDir";
          description = "Path of the file on this machine.";
        };
        unit = mkOption {
          type = types.str;
          internal = true;
          readOnly = true;
          default = "local-ai-model-${name}.service";
          description = "Unit that downloads the file.";
        };
      };
    };

  names = mapAttrsToList (_: m: m.fileName) cfg.models;
  twice = lib.unique (lib.filter (n: lib.count (m: m == n) names > 1) names);
in
{
  options.services.aiStack = {
    modelsDir = mkOption {
      type = absolutePath;
      default = "${cfg.dataRoot}/models";
      defaultText = literalExpression "\"\${config.services.aiStack.dataRoot}/models\"";
      description = "Folder of the model files, which all engines can read.";
    };
    models = mkOption {
      type = types.attrsOf (types.submodule model);
      default = { };
      example = literalExpression ''
        {
          tiny = {
            url = "https://example.org/models/tiny.gguf";
            sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
            sizeMiB = 640;
          };
        }
      '';
      description = "Model files with their hashes. Each is downloaded by its own unit after the switch. Engines refer to a model by its name here.";
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = twice == [ ];
        message = "services.aiStack.models: ${lib.concatStringsSep ", " twice} is the file name of more than one model: set a different fileName for one of them.";
      }
    ]
    ++ lib.concatLists (
      mapAttrsToList (name: m: [
        {
          assertion =
            m.fileName != "." && m.fileName != ".." && builtins.match "[^[:cntrl:]]+" m.fileName != null;
          message = "services.aiStack.models.${name}.fileName = ${builtins.toJSON m.fileName} is not a valid file name: use a name without line breaks that is not \".\" or \"..\".";
        }
        {
          assertion = !(util.hasLogin m.url);
          message = "services.aiStack.models.${name}.url contains a user name and a password, which would be readable by everyone in the Nix store and in stack.json. Remove them, and set services.aiStack.models.${name}.tokenFile to the path of a file with an access token.";
        }
      ]) cfg.models
    )
    ++ mapAttrsToList (name: _: {
      assertion = builtins.match "[a-z0-9][a-z0-9._-]*" name != null;
      message = "services.aiStack.models.\"${name}\" is not a valid name for its unit: use lower-case letters, digits, dots and dashes.";
    }) cfg.models;

    services.aiStack.helperUnits = mapAttrsToList (_: m: m.unit) cfg.models;
    services.aiStack.units = lib.mapAttrs' (
      name: m:
      nameValuePair m.unit {
        Unit = {
          Description = "Local AI: model ${name}";
          WantsMountsFor = [ (util.systemd.word (util.systemd.path cfg.modelsDir)) ];
          # Otherwise a download that ends after the stack was stopped would start an engine again.
          PartOf = [ cfg.resolved.target ];
          # Services that wait for the file are started when it is present.
          OnSuccess =
            mapAttrsToList (_: s: s.unit) (
              lib.filterAttrs (_: s: lib.any (f: (f.unit or null) == m.unit) s.files) cfg.resolved.services
            )
            ++ mapAttrsToList (_: s: s.loader.unit) (
              lib.filterAttrs (
                _: s: s.loader != null && lib.any (i: i.unit == m.unit) s.loader.imports
              ) cfg.resolved.services
            );
          StartLimitIntervalSec = 0;
        };
        Service = {
          Type = "exec";
          ExecStart = util.systemd.exec [
            "${cfg.package}/bin/aistack"
            "model"
            "fetch"
            name
            "--stack"
            cfg.identity.manifestPath
          ];
          Restart = "on-failure";
          RestartSec = 60;
          RestartSteps = 6;
          RestartMaxDelaySec = 3600;
        };
      }
    ) cfg.models;
  };
}
