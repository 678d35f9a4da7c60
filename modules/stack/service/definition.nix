# The fields that a service's module sets. Each is an option, so a user can override it, and the
# module system reports a wrong name or type.
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
      description = "Description of the service, in one line.";
    };

    lock = maybe (types.either types.str (types.attrsOf types.str)) "Default of `image` as an entry of the image lock: a key, or a key for each GPU backend, where `cpu` is the fallback. `null`: the user must set `image`.";

    container = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the service runs in a container. A service without a container only writes `userFiles`.";
    };
    userFiles = set types.str "Files below the user's home (path -> text).";

    entrypoint = maybe types.str "Program that replaces the image's entry point. `null`: the image's entry point.";
    command = list types.str "Arguments of the entry point.";
    configFiles = set types.str "Configuration files in the container (path -> text). The text is world-readable in the Nix store.";
    mounts = list (types.submodule {
      options = {
        host = mkOption {
          type = types.str;
          description = "Folder or file of the host.";
        };
        container = mkOption {
          type = types.str;
          description = "Path in the container.";
        };
        why = mkOption {
          type = types.str;
          description = "Reason why the service needs it.";
        };
      };
    }) "Parts of the host that the container may read.";
    hides = set types.str "Folders of the image that a mount hides (path -> the reason why their files are not needed).";
    readOnlyRoot = flag "Whether the container's root file system is read-only.";
    tmpfs = list types.str "Writable folders in memory, for a read-only root.";
    init = flag "Whether podman's init is the first process. Needed for a program that ignores SIGTERM when it is the first process itself.";
    capabilities = set types.str "Linux capabilities of the container (name -> the reason why the program needs it). All others are dropped.";
    groups = list types.str "Groups of the host whose files the container may use (system scope).";
    ulimits = list types.str "Resource limits in podman's format, for limits other than the default.";

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
                  defaultText = literalMD "true if `port` is set";
                  description = "Whether Prometheus scrapes the service's metrics.";
                };
                port = maybe types.str "Name of the port. `null`: the service has no metrics.";
                path = mkOption {
                  type = types.str;
                  default = "/metrics";
                  description = "Path of the endpoint.";
                };
                secret = maybe types.str "Name of the secret (`secrets`) that the endpoint requires as a bearer token.";
                panels = list (types.attrsOf types.anything) "Panels for Grafana: `title` and `expr`; `unit`, `type` and `legend` where needed.";
              };
            }
          );
        in
        types.coercedTo types.bool (enable: { inherit enable; }) type;
      default = { };
      description = "Endpoint with metrics for Prometheus. `false`: Prometheus does not scrape it.";
    };

    openai = maybe (types.submodule {
      options = {
        rank = maybe types.int "Rank among the engines that clients can use; clients choose the lowest. `null`: clients do not use this engine by themselves.";
        models = list types.str "Names of the models that the engine serves.";
        anyModel = flag "Whether clients may request further models by name.";
        embedding = flag "Whether the engine serves embeddings only.";
        secret = maybe types.str "Name of the secret (`secrets`) that clients must send as a bearer token.";
      };
    }) "OpenAI-compatible endpoint at `/v1` of the port `http`.";

    loader = maybe (types.submodule {
      options = {
        command = mkOption {
          type = types.str;
          description = "Subcommand of `aistack` that loads the models into the running service.";
        };
        names = list types.str "Models that the service downloads itself.";
        imports = list (types.attrsOf types.str) "Models from the stack's model store: `name`, `path` in the container, and the `unit` that downloads the file.";
      };
    }) "Unit that loads models into the service after its start.";

    secrets = mkOption {
      type = types.attrsOf (
        types.submodule (
          { config, ... }:
          {
            options = {
              description = mkOption {
                type = types.str;
                default = "";
                description = "Description of the secret.";
              };
              source = maybe types.str "File on the host with the value. `null`: the secret is not set unless the user names a file in `secretEnv`.";
              generate = flag "Whether a random value is generated at the first start if the user gives none.";
              file = maybe types.str "Path of a file in the container that receives the value. `null`: the environment variable with the secret's name receives it.";
              header = maybe types.str "HTTP header in which clients must send the value. `null`: clients do not send it.";
              prefix = mkOption {
                type = types.str;
                # RFC 6750, section 2.1.
                default = if config.header == "authorization" then "Bearer " else "";
                defaultText = literalMD "`\"Bearer \"` in the header `authorization`";
                description = "Text before the value in the header.";
              };
            };
          }
        )
      );
      default = { };
      description = "Secrets of the service, by environment variable.";
    };

    provision = {
      postgres = maybe (types.attrsOf types.anything) "Roles, databases and migrations of a PostgreSQL server. They are created or applied after each start.";
      qdrant = maybe (types.attrsOf types.anything) "Collections of a Qdrant server. Missing collections are created after each start.";
    };
    requests = set types.raw "Requests to other services (name of the other service -> value). The other service's page says which values it accepts.";
    setup = list (types.listOf types.str) "Commands that run in the container once it is healthy.";
    files = list (types.attrsOf types.str) "Files of the host that must exist before the start: `path`, the `option` that names the file, and optionally the `unit` that downloads it.";
    integrity = list (types.attrsOf types.str) "Data that is checked before the start: `kind` (`sqlite`), `path`, and the `option` that names it.";

    authenticated = flag "Whether clients must authenticate.";
    authHint = mkOption {
      type = types.str;
      default = "put a reverse proxy with a login in front of it (the program has none of its own)";
      description = "How to require authentication of clients.";
    };

    checks = set (types.attrsOf types.anything) "Checks of the running service, named by what they prove. Each check makes one request (`http` with `port` and `path`, or `exec` with a command in the container) and compares the answer with `expect` (and `lacks`). `quick = false` excludes a check that changes data from the daily run. An HTTP request carries the secret that has a `header`.";
    marker = maybe (types.attrsOf types.anything) "How the test driver proves that data survives: it writes a value (`write`), reads it back (`read`) and compares the answer with `expect`.";

    assertions = list types.unspecified "Assertions, as in NixOS.";
    warnings = list types.str "Warnings, as in NixOS.";
  };

  config = {
    # `util.httpGet` has one command for each client.
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
