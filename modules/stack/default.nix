# The core, the same in every scope: options, the resolved stack that is derived from them, and
# assertions. The back ends in ../nixos and ../home turn the result into files, units and users.
{
  config,
  lib,
  options,
  ...
}:
let
  inherit (lib)
    attrNames
    concatLists
    concatMapStringsSep
    filterAttrs
    literalExpression
    mapAttrsToList
    mkEnableOption
    mkIf
    mkOption
    optional
    types
    ;

  cfg = config.services.aiStack;

  util = import ../../lib { inherit lib; };
  gpu = import ./gpu.nix { inherit lib; };

  enabled = map (name: cfg.${name}) cfg.enabledNames;
  # Whether the configuration sets anything of a service. A service that nobody sets is not
  # evaluated, which saves most of the evaluation time of an unused service.
  isMentioned =
    name: options.services.aiStack.${name}.highestPrio < (lib.mkOptionDefault null).priority;
in
{
  imports = [
    ../contrib
    ../facts
    ../ledger
    ../services
    ./assertions.nix
    ./models.nix
    ./render
    ./verify.nix
  ];

  options.services.aiStack = {
    enable = mkEnableOption "the local AI stack";

    package = mkOption {
      type = types.package;
      defaultText = literalExpression "aistack of this flake";
      description = "The `aistack` tool, which the units run and users call.";
    };

    gpu = {
      backend = mkOption {
        type = types.enum util.backends;
        default = if cfg.facts == null then "cpu" else cfg.facts.backend;
        defaultText = literalExpression "facts.backend, or \"cpu\" without facts";
        description = "GPU backend of the engines. Each engine can override it.";
      };
      cards = mkOption {
        type = types.listOf (import ../facts/type.nix { inherit lib; }).card;
        default = if cfg.facts == null then [ ] else cfg.facts.gpus;
        defaultText = literalExpression "facts.gpus";
        description = "The GPUs of the machine, as `aistack facts` lists them.";
      };
      hsaOverrideGfxVersion = mkOption {
        type = types.nullOr (types.strMatching "[0-9]+\\.[0-9]+\\.[0-9]+");
        default = null;
        example = "10.3.0";
        description = "Version of the graphics target that ROCm uses instead of the card's own (`HSA_OVERRIDE_GFX_VERSION`). Set it for a card that ROCm does not list, to another card of the same generation. Do not set it for a card that the images have code for (ROCm 7.14: gfx1010 to gfx1201): results may be wrong.";
      };
    };

    address = mkOption {
      type = util.types.address;
      default = "127.0.0.1";
      description = "Host address on which services publish their ports. Each service can override it.";
    };

    portOffset = mkOption {
      type = types.ints.between 0 65535;
      default = 0;
      example = 10000;
      description = "Number that is added to every default host port of this scope, so that two scopes can run on one host.";
    };

    dataRoot = mkOption {
      type = types.strMatching "/.*";
      description = "Folder with the data of all services, outside container storage.";
    };

    network = mkOption {
      type = types.strMatching "[a-z][a-z0-9-]*";
      default = "local-ai";
      description = "Name of the podman network that the containers share.";
    };

    hostGroups = mkOption {
      type = types.attrsOf types.int;
      internal = true;
      default = { };
      description = "Ids of the host's groups that containers may join, by name. The back end of the system scope sets them.";
    };

    selinuxLabels = mkOption {
      type = types.bool;
      default = cfg.scope == "system";
      defaultText = literalExpression "true in system scope, false in user scope";
      description = "Whether containers run under their own SELinux labels. With labels, containers can only use folders and devices of the host that are labelled for them, so data folders need `chcon -Rt container_file_t`. No effect where the kernel has no SELinux, as on NixOS.";
    };

    scope = mkOption {
      type = types.enum [
        "system"
        "user"
      ];
      readOnly = true;
      internal = true;
      description = "Scope of the stack: `system` (NixOS) or `user` (Home Manager).";
    };

    # Set by the back ends: the owner of the stack and the path of the manifest.
    identity = mkOption {
      internal = true;
      type = types.submodule {
        options = {
          host = mkOption {
            type = types.str;
            description = "Host name, or empty when it is not known.";
          };
          user = mkOption {
            type = types.nullOr types.str;
            description = "Owner in user scope.";
          };
          manifestPath = mkOption {
            type = types.str;
            description = "Path of stack.json on the machine.";
          };
        };
      };
      description = "Host and owner of the stack.";
    };

    serviceNames = mkOption {
      type = types.listOf types.str;
      internal = true;
      apply = names: lib.sort (a: b: a < b) names;
      description = "Names of all known services, enabled or not. Each module made by `mkService` adds its own name.";
    };

    enabledNames = mkOption {
      type = types.listOf types.str;
      internal = true;
      readOnly = true;
      default = lib.filter (name: isMentioned name && cfg.${name}.enable) cfg.serviceNames;
      defaultText = lib.literalMD "computed";
      description = "Names of the enabled services.";
    };

    interface = mkOption {
      type = types.raw;
      internal = true;
      readOnly = true;
      description = "What a service's module can read of the stack and of other services: docs/services.md.";
    };

    userFiles = mkOption {
      type = types.attrsOf types.str;
      internal = true;
      default = { };
      description = "Files below the user's home (path -> text), for services without a container.";
    };

    resolved = mkOption {
      type = types.raw;
      internal = true;
      readOnly = true;
      description = "The stack with all values resolved. Quadlets, ledger and manifest are derived from it.";
    };

    manifest = mkOption {
      type = types.raw;
      internal = true;
      readOnly = true;
      description = "The content of stack.json, as a value.";
    };
  };

  config = lib.mkMerge [
    {
      services.aiStack.interface = import ./interface.nix { inherit lib util; } cfg;
    }
    (mkIf cfg.enable {
      services.aiStack = {
        resolved = import ./resolve { inherit lib util cfg; };
        userFiles = lib.mergeAttrsList (map (service: service.userFiles) enabled);
        ledger = {
          inherit (cfg.identity) user;
          ours = map (s: s.container) (lib.attrValues cfg.resolved.services);
          claims = import ./claims.nix { inherit lib; } cfg.resolved;
        };
      };
      assertions =
        # The assertions of services with a container are in assertions.nix.
        concatLists (map (service: service.assertions) (lib.filter (service: !service.container) enabled));

      warnings =
        let
          unpinned = attrNames (
            filterAttrs (
              # A service without an image already has an assertion that reports it.
              _: s: s.image.reference != null && s.image.digest == null && s.image.archive == null
            ) cfg.resolved.services
          );
        in
        optional (unpinned != [ ])
          "services.aiStack: pinned by tag only, and a tag can point to another image later: ${
            concatMapStringsSep ", " (n: "${n} (${cfg.resolved.services.${n}.image.reference})") unpinned
          }. Set services.aiStack.<name>.image to a reference with a digest."
        ++ gpu.tooSmall {
          inherit (cfg.gpu) cards;
          services = mapAttrsToList (name: s: {
            inherit name;
            inherit (s.gpu) slots memoryMiB;
          }) (filterAttrs (_: s: s.gpu != null) cfg.resolved.services);
        }
        ++ concatLists (map (service: service.warnings) enabled);
    })
  ];
}
