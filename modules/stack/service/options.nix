# The options for users that every service has.
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
    literalExpression
    literalMD
    mkEnableOption
    mkOption
    types
    ;

  ids = import ../ids.nix { inherit lib; };
  images = lib.importJSON ../../../pkgs/images.json;
  contracts = ../../../pkgs/contracts;

  absolutePath = types.strMatching "/.*" // {
    description = "absolute path";
  };
  protocol = mkOption {
    type = types.enum [
      "tcp"
      "udp"
    ];
    default = "tcp";
    description = "Protocol.";
  };

  # One image for all backends, or one for each backend, with the image for `cpu` as the fallback.
  imageKey =
    if config.lock == null || builtins.isString config.lock then
      config.lock
    else
      config.lock.${config.gpu.backend} or (config.lock.cpu or null);
  lockedImage =
    if imageKey == null then
      null
    else if !(images ? ${imageKey}) then
      throw "${option}.lock = \"${imageKey}\": the image lock (pkgs/images.json) has no entry with that name"
    else if config.imageArchive == null then
      util.lockedReference images.${imageKey}
    else
      # An image from an archive has a different digest than in the registry.
      util.lockedReference (images.${imageKey} // { digest = null; });
  # The contract of a user's own image may be known too.
  lockedContract =
    if imageKey != null then
      contracts + "/${images.${imageKey}.contract or imageKey}.json"
    else if config.lock == null && builtins.pathExists (contracts + "/${name}.json") then
      contracts + "/${name}.json"
    else
      null;

  port =
    { config, name, ... }:
    {
      options = {
        host = mkOption {
          type = types.port;
          default =
            let
              shifted = config.preferred + stack.portOffset;
            in
            if shifted > 65535 then
              throw "services.aiStack.portOffset = ${toString stack.portOffset} moves ${lib.removePrefix "services.aiStack." option}'s port ${name} from ${toString config.preferred} to ${toString shifted}, beyond 65535: choose a smaller offset or set ${option}.ports.${name}"
            else
              shifted;
          defaultText = literalExpression "preferred + config.services.aiStack.portOffset";
          description = "Port on the host.";
        };
        container = mkOption {
          type = types.port;
          description = "Port in the container.";
        };
        preferred = mkOption {
          type = types.port;
          default = config.container;
          defaultText = literalExpression "container";
          description = "Default port on the host when `services.aiStack.portOffset` is 0.";
        };
        inherit protocol;
      };
    };

  folder =
    { config, ... }:
    {
      options = {
        host = mkOption {
          type = absolutePath;
          default = "${stack.dataRoot}/${config.folder}";
          defaultText = literalExpression "\"\${config.services.aiStack.dataRoot}/\${folder}\"";
          description = "Folder on the host.";
        };
        path = mkOption {
          type = absolutePath;
          description = "Folder in the container.";
        };
        folder = mkOption {
          type = types.str;
          default = name;
          defaultText = literalMD "the service's name";
          description = "Folder below `services.aiStack.dataRoot`.";
        };
        readOnly = mkOption {
          type = types.bool;
          default = false;
          description = "Whether the folder is read-only in the container.";
        };
        mode = mkOption {
          type = types.strMatching "[0-7]{4}";
          default = "0700";
          description = "Mode of the folder on the host.";
        };
      };
    };

  endpoint = types.submodule {
    options = {
      port = mkOption {
        type = types.str;
        description = "Name of one of the service's ports.";
      };
      path = mkOption {
        type = types.str;
        description = "Path of the URL.";
      };
    };
  };
  onPort = types.submodule {
    options.port = mkOption {
      type = types.str;
      description = "Name of one of the service's ports.";
    };
  };
  probe =
    type: what:
    mkOption {
      type = types.nullOr type;
      default = null;
      description = "Health check from the host: ${what}.";
    };
in
{
  options = {
    enable = mkEnableOption "the service";

    image = mkOption {
      type = types.nullOr types.str;
      default = lockedImage;
      defaultText = literalExpression "the entry for this machine's GPU in pkgs/images.json";
      example = "docker.io/example/server:1.2.3@sha256:…";
      description = "Image reference. Include the digest: a tag can point to another image later.";
    };

    imageArchive = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = literalExpression "./images/server.tar";
      description = "Archive (docker-archive or oci-archive) to load instead of pulling the image, for machines without a network. It must contain this service's image, by its name and tag, and no other image. An archive in the Nix store has its hash in its path. For an archive outside of the store, other accounts must not be able to change it, or `imageArchiveSha256` must be set.";
    };

    imageArchiveSha256 = mkOption {
      type = types.nullOr (types.strMatching "[0-9a-f]{64}");
      default = null;
      description = "SHA-256 of `imageArchive` in hexadecimal (`sha256sum`). The archive is verified before podman loads it. `null`: the archive is not verified.";
    };

    contract = mkOption {
      type = types.nullOr (types.either types.path (types.attrsOf types.anything));
      # A path needs no evaluation time until a check reads it.
      default = if config.lock == null || config.image == lockedImage then lockedContract else null;
      defaultText = literalMD "the contract of the image in `pkgs/contracts`; `null` if `image` is another image";
      apply = v: if v == null || builtins.isAttrs v then v else lib.importJSON v;
      example = literalExpression "{ user = { set = \"app\"; uid = 1000; gid = 1000; }; programs = [ \"sh\" \"wget\" ]; }";
      description = "Contract of the image: what it contains, needs and refuses. Evaluation checks the service against it. A file or an attribute set as in `schemas/image-contract.schema.json`; every field is optional (`aistack images contract` prints the project's contracts). `null`: nothing is checked, and the image is assumed to be like the default one: its program listens on the ports of `ports`, runs as the user `runAs` (root if that is null) and may write the data folders; the image has the programs that `health.command` calls; the first process stops within 10 s of SIGTERM; and the program knows the arguments and variables that are rendered.";
    };

    address = mkOption {
      type = util.types.address;
      default = stack.address;
      defaultText = literalExpression "config.services.aiStack.address";
      example = "0.0.0.0";
      description = "Host address on which the ports are published.";
    };

    ports = mkOption {
      type = types.attrsOf (types.coercedTo types.port (host: { inherit host; }) (types.submodule port));
      default = { };
      example = literalExpression "{ http = 18080; }";
      description = "Ports of the service, by name. A plain number is the port on the host.";
    };

    extraPorts = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = {
            host = mkOption {
              type = types.port;
              description = "Port on the host.";
            };
            container = mkOption {
              type = types.port;
              description = "Port in the container.";
            };
            inherit protocol;
          };
        }
      );
      default = { };
      description = "Further ports to publish.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Open the published ports in the firewall (NixOS), and allow an address that is not loopback.";
    };

    allowUnauthenticated = mkOption {
      type = types.bool;
      default = false;
      description = "Allow an address that is not loopback although clients need no password. Everyone who can reach the port can then use the service.";
    };

    userNamespace.start = mkOption {
      type = types.nullOr (types.ints.between ids.size (4294967295 - ids.size));
      default = if stack.scope == "system" then ids.startOf name else null;
      defaultText = literalMD "a reserved range that is derived from the service's name; `null` in user scope";
      example = 1879048192;
      description = "First of the ${toString ids.size} user and group ids of the host that are reserved for the container (system scope). Id 0 in the container is this id on the host, and the container's data belongs to ids of the range. `null`: the container uses the ids of the host, so an account with the same id can read its data and inspect its processes.";
    };

    data = mkOption {
      type = types.attrsOf (
        types.coercedTo absolutePath (host: { inherit host; }) (types.submodule folder)
      );
      default = { };
      example = literalExpression "{ storage = \"/srv/qdrant\"; }";
      description = "Data folders of the service, by name. A plain path is the folder on the host.";
    };

    environment = mkOption {
      type = types.attrsOf (
        types.nullOr (
          types.coercedTo (types.oneOf [
            types.int
            types.bool
          ]) (v: if builtins.isBool v then lib.boolToString v else toString v) types.str
        )
      );
      default = { };
      description = "Environment variables. A value here replaces the service's own, and `null` removes the variable. The values are world-readable in the Nix store: put secrets into `secretEnv`.";
    };

    runAs = mkOption {
      type = types.nullOr (
        types.submodule {
          options = {
            uid = mkOption {
              type = types.ints.unsigned;
              description = "User id in the container.";
            };
            gid = mkOption {
              type = types.ints.unsigned;
              description = "Group id in the container.";
            };
          };
        }
      );
      default = null;
      example = {
        uid = 1000;
        gid = 1000;
      };
      description = "User of the program in the container, who also owns the data folders. `null`: root in the container. For your own image, set it to the image's USER.";
    };

    secretEnv = mkOption {
      type = types.attrsOf absolutePath;
      default = { };
      example = literalExpression "{ API_KEY = config.sops.secrets.api-key.path; }";
      description = "Environment variables with secret values: name -> file on the host. The files are read when the container starts.";
    };

    secretFiles = mkOption {
      type = types.attrsOf absolutePath;
      default = { };
      example = literalExpression "{ \"/run/secrets/tls.key\" = config.sops.secrets.tls.path; }";
      description = "Secret files in the container (absolute path -> file on the host). Only the service's user can read them.";
    };

    resources = {
      memory = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "8g";
        description = "Memory limit: a number with k, m, g or t. A plain number is MiB. `null`: no limit.";
      };
      pids = mkOption {
        type = types.nullOr types.ints.positive;
        default = 2048;
        description = "Limit of processes and threads. `null`: podman's default.";
      };
      cpus = mkOption {
        type = types.nullOr types.number;
        default = null;
        example = 2.5;
        description = "Limit of processor time, in cores. `null`: no limit.";
      };
      shm = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "1g";
        description = "Size of /dev/shm. `null`: podman's default.";
      };
    };

    health = {
      interval = mkOption {
        type = types.ints.positive;
        default = 30;
        description = "Seconds between two health checks of a running container.";
      };
      retries = mkOption {
        type = types.ints.positive;
        default = 3;
        description = "Number of failed checks in a row after which the container is killed and started again.";
      };
      timeout = mkOption {
        type = types.ints.positive;
        default = 10;
        description = "Seconds after which one check counts as failed.";
      };
      startTimeout = mkOption {
        type = types.ints.positive;
        default = 300;
        description = "Seconds from the start to the first healthy answer, after which the start counts as failed.";
      };
      command = mkOption {
        type = types.str;
        defaultText = literalMD "the service's own command";
        description = "Command that runs in the container. Exit code 0 means healthy.";
      };
      client = mkOption {
        type = types.nullOr (types.enum (builtins.attrNames util.httpGet));
        default = null;
        description = "Program of the image that requests `health.http` inside the container; it makes the default of `health.command`. `any`: the first of three programs that the image has.";
      };
      http = probe endpoint "an HTTP request that is answered with a status below 400";
      tcp = probe onPort "a connection";
      redis = probe onPort "PING of Redis";
      postgres = probe onPort "the start of a PostgreSQL session";
    };

    stopTimeout = mkOption {
      type = types.ints.positive;
      default = 80;
      description = "Seconds between the stop signal and the moment when podman kills the program.";
    };

    needs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Services of the stack that must be healthy before this one starts.";
    };
    wants = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Services of the stack that this one waits for if they are enabled. It starts without them if they fail.";
    };

    gpu = {
      supported = mkOption {
        type = types.bool;
        default = false;
        description = "Whether the service can compute on a GPU.";
      };
      backend = mkOption {
        type = types.enum util.backends;
        default = if config.gpu.supported && config.gpus != [ ] then stack.gpu.backend else "cpu";
        defaultText = literalExpression "config.services.aiStack.gpu.backend";
        description = "GPU backend of the service. It selects the image and the devices.";
      };
      memoryMiB = mkOption {
        type = types.nullOr types.ints.positive;
        default = null;
        example = 12000;
        description = "Memory that the service uses on its GPU, in MiB. Evaluation checks that all services on one card fit. `null`: not known, and not checked.";
      };
    };

    gpus = mkOption {
      type = types.either (types.enum [ "all" ]) (types.listOf types.str);
      default = "all";
      example = [ "0000:01:00.0" ];
      description = "GPUs that the service may use: `\"all\"` GPUs of its backend, or a list of PCI slots. An empty list: the service runs on the processor.";
    };

    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Further arguments of the program.";
    };
  };
}
