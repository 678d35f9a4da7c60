# What a service says of itself: the fields that its module sets. Each of them is an option,
# so a user can override it, and a wrong name or type is the module system's own error.
{
  config,
  lib,
  name,
  option,
  stack,
  util,
  ...
}:
let
  inherit (lib)
    literalMD
    mkOption
    types
    ;

  gpu = import ../gpu.nix { inherit lib; };

  list =
    type: description:
    mkOption {
      type = types.listOf type;
      default = [ ];
      inherit description;
    };
  set =
    type: description:
    mkOption {
      type = types.attrsOf type;
      default = { };
      inherit description;
    };
  maybe =
    type: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit description;
    };
  flag =
    description:
    mkOption {
      type = types.bool;
      default = false;
      inherit description;
    };
in
{
  options = {
    description = mkOption {
      type = types.str;
      description = "What the service is, in one line.";
    };

    lock = maybe (types.either types.str (types.attrsOf types.str)) "Entry of the image lock that is the default of `image`: its key, or a key for each GPU backend, where `cpu` is the fallback. `null`: the user names an image.";

    container = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the service runs in a container. Without one it only writes `userFiles`.";
    };
    userFiles = set types.str "Files below the user's home: path to text.";

    entrypoint = maybe types.str "Program that replaces the image's entry point; `null`: the image's.";
    command = list types.str "Arguments of the entry point.";
    configFiles = set types.str "Configuration files in the container: path to text. The text is world-readable in the store.";
    mounts = list (types.submodule {
      options = {
        host = mkOption {
          type = types.str;
          description = "Folder or file of the host.";
        };
        container = mkOption {
          type = types.str;
          description = "Its path in the container.";
        };
        why = mkOption {
          type = types.str;
          description = "What the service needs it for.";
        };
      };
    }) "Parts of the host that the container may read.";
    hides = set types.str "Path in the image to the reason why its files, which a mount hides, are not needed.";
    readOnlyRoot = flag "Whether the container's root file system is read-only.";
    tmpfs = list types.str "Writable folders in memory, for a read-only root.";
    init = flag "Whether podman's init is the first process, for a program that ignores SIGTERM as the first process.";
    capabilities = set types.str "Linux capability to the reason why the program needs it. All others are dropped.";
    groups = list types.str "Groups of the host whose files the container may use (system scope).";
    ulimits = list types.str "Resource limits other than the default, as podman writes them.";

    metrics = mkOption {
      type =
        let
          type = types.submodule (
            { config, ... }:
            {
              options = {
                enable = mkOption {
                  type = types.bool;
                  default = config.port != null;
                  defaultText = literalMD "whether the service has an endpoint";
                  description = "Whether Prometheus reads the service's metrics.";
                };
                port = maybe types.str "Name of the port; `null`: the service has no metrics.";
                path = mkOption {
                  type = types.str;
                  default = "/metrics";
                  description = "Path of the endpoint.";
                };
                secret = maybe types.str "Name of the secret (`secrets`) that the endpoint asks for as a bearer token.";
                panels = list (types.attrsOf types.anything) "Panels for Grafana: `title` and `expr`; `unit`, `type` and `legend` where needed.";
              };
            }
          );
        in
        types.coercedTo types.bool (enable: { inherit enable; }) type;
      default = { };
      description = "Endpoint with metrics for Prometheus. `false`: it is not read.";
    };

    openai = maybe (types.submodule {
      options = {
        rank = maybe types.int "Place among the engines that clients may use, the best first; `null`: clients are not sent there.";
        models = list types.str "Names of the models that it serves.";
        anyModel = flag "Whether clients may ask for further models by name.";
        embedding = flag "Whether it makes embeddings and no text.";
        secret = maybe types.str "Name of the secret (`secrets`) that clients must send as a bearer token.";
      };
    }) "OpenAI-compatible endpoint at `/v1` of the port `http`.";

    loader = maybe (types.submodule {
      options = {
        command = mkOption {
          type = types.str;
          description = "Subcommand of `aistack` that brings the models into the running service.";
        };
        names = list types.str "Models that the service fetches itself.";
        imports = list (types.attrsOf types.str) "Models from the stack's model store: `name`, `path` in the container, `unit` that fetches the file.";
      };
    }) "Unit that fills the service after its start.";

    secrets = mkOption {
      type = types.attrsOf (
        types.submodule (
          { config, ... }:
          {
            options = {
              description = mkOption {
                type = types.str;
                default = "";
                description = "What the secret is.";
              };
              source = maybe types.str "File on the host that holds the value; `null`: there is none, unless the user names one in `secretEnv`.";
              generate = flag "Whether a random value is made at the first start where the user gives none.";
              file = maybe types.str "Path of a file in the container that gets the value. `null`: the environment variable of the secret's name gets it.";
              header = maybe types.str "HTTP header in which clients must send the value; `null`: clients do not send it.";
              prefix = mkOption {
                type = types.str;
                # RFC 6750, section 2.1.
                default = if config.header == "authorization" then "Bearer " else "";
                defaultText = literalMD "`\"Bearer \"` in the header `authorization`";
                description = "Text in front of the value in the header.";
              };
            };
          }
        )
      );
      default = { };
      description = "Secrets of the service, by environment variable.";
    };

    provision = {
      postgres = maybe (types.attrsOf types.anything) "Roles, databases and migrations of a PostgreSQL server, brought to what is declared after each start.";
      qdrant = maybe (types.attrsOf types.anything) "Collections of a Qdrant server, made after each start where they are missing.";
    };
    requests = set types.raw "What the service asks of another one: name of that service to a value that it understands (see the other service's page).";
    setup = list (types.listOf types.str) "Commands that run in the container once it is healthy.";
    files = list (types.attrsOf types.str) "Files of the host that must exist before the start: `path`, the `option` that names it, and the `unit` that fetches it, if there is one.";
    integrity = list (types.attrsOf types.str) "Data that is examined before the start: `kind` (`sqlite`), `path`, and the `option` that names it.";

    authenticated = flag "Whether clients must prove who they are.";
    authHint = mkOption {
      type = types.str;
      default = "put a reverse proxy with a login in front of it (the program has none of its own)";
      description = "How to make clients prove who they are.";
    };

    checks = set (types.attrsOf types.anything) "Checks of the running service, by what they show. Each asks in one way (`http` with `port` and `path`, or `exec` with a command in the container) and compares the answer with `expect` (and `lacks`). `quick = false` keeps one that changes something out of the daily check. An HTTP request carries the secret that has a `header`.";
    marker = maybe (types.attrsOf types.anything) "How the test driver writes a value, reads it back (`write`, `read`), and what it expects: the proof that data survives.";

    assertions = list types.unspecified "Assertions, as in NixOS.";
    warnings = list types.str "Warnings, as in NixOS.";
  };

  config = {
    # `util.httpGet` has one way to ask for each client.
    health.command = lib.mkIf (config.health.http != null && config.health.client != null) (
      lib.mkOptionDefault (
        util.httpGet.${config.health.client} config.ports.${config.health.http.port}.container
          config.health.http.path
      )
    );
    environment = lib.mkIf config.gpu.supported (
      lib.mapAttrs (_: lib.mkOverride 1300) (
        gpu.environment {
          inherit (config.gpu) backend;
          inherit (config) gpus;
          inherit (stack.gpu) cards hsaOverrideGfxVersion;
        }
      )
    );
  };
}
