# What users set of a service: the options that every service has.
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

  # One image for all backends, or one for each, with the processor's as the fallback.
  imageKey =
    if config.lock == null || builtins.isString config.lock then
      config.lock
    else
      config.lock.${config.gpu.backend} or (config.lock.cpu or null);
  lockedImage =
    if imageKey == null then
      null
    else if !(images ? ${imageKey}) then
      throw "${option}.lock = \"${imageKey}\": the image lock (pkgs/images.json) has no such entry"
    else if config.imageArchive == null then
      util.lockedReference images.${imageKey}
    else
      # An image from an archive has another digest than the registry's.
      util.lockedReference (images.${imageKey} // { digest = null; });
  # The program of a user's own image may be known as well.
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
          description = "Host port of a stack whose `portOffset` is 0.";
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
          description = "Whether the container only reads it.";
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
      description = "Health question from the host: ${what}.";
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
      description = "Image reference. Give it with a digest: a tag alone may be another image tomorrow.";
    };

    imageArchive = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = literalExpression "./images/server.tar";
      description = "Archive (docker-archive or oci-archive) to load in place of a pull, for machines without a network. It must bring this service's image, by its name and tag, and no other. One in the Nix store has its hash in its path; one outside must not be changeable by other accounts, or `imageArchiveSha256` must be set.";
    };

    imageArchiveSha256 = mkOption {
      type = types.nullOr (types.strMatching "[0-9a-f]{64}");
      default = null;
      description = "SHA-256 of `imageArchive` in hexadecimal (`sha256sum`): the archive is read and compared before podman gets it. null: not compared.";
    };

    contract = mkOption {
      type = types.nullOr (types.either types.path (types.attrsOf types.anything));
      # A path costs nothing until the checks read it.
      default = if config.lock == null || config.image == lockedImage then lockedContract else null;
      defaultText = literalMD "that of the image in `pkgs/contracts`; `null` where `image` is another one";
      apply = v: if v == null || builtins.isAttrs v then v else lib.importJSON v;
      example = literalExpression "{ user = { set = \"app\"; uid = 1000; gid = 1000; }; programs = [ \"sh\" \"wget\" ]; }";
      description = "What the image has, needs and refuses, which evaluation checks the service against: a file or an attribute set as in `schemas/image-contract.schema.json`, of which any field may be left out (`aistack images contract` prints those of the project). With null nothing is checked, and it is assumed that the image is like the default one: its program listens on the ports of `ports`, runs as the definition's user (root where there is none) and may write the data folders, has what `health.command` calls, stops within 10 s of SIGTERM as its first process, and knows the arguments and variables that are rendered.";
    };

    address = mkOption {
      type = util.types.address;
      default = stack.address;
      defaultText = literalExpression "config.services.aiStack.address";
      example = "0.0.0.0";
      description = "Host address that the ports are published on.";
    };

    ports = mkOption {
      type = types.attrsOf (types.coercedTo types.port (host: { inherit host; }) (types.submodule port));
      default = { };
      example = literalExpression "{ http = 18080; }";
      description = "Ports of the service, by name. A number alone is the port on the host.";
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
      description = "Ports to publish besides the service's own.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Open the published ports in the firewall (NixOS), and allow an address that is not loopback.";
    };

    allowUnauthenticated = mkOption {
      type = types.bool;
      default = false;
      description = "Allow an address that is not loopback although clients need no password: everyone who reaches the port may use the service.";
    };

    userNamespace.start = mkOption {
      type = types.nullOr (types.ints.between ids.size (4294967295 - ids.size));
      default = if stack.scope == "system" then ids.startOf name else null;
      defaultText = literalMD "a range of its own, which follows from the service's name; in user scope `null`";
      example = 1879048192;
      description = "First of the ${toString ids.size} user and group ids of the host that the container has to itself (system scope): id 0 in the container is this id on the host, and its data belongs to ids of the range. `null`: the container has the ids of the host, so that an account with the same number can read its data and look into its processes.";
    };

    data = mkOption {
      type = types.attrsOf (
        types.coercedTo absolutePath (host: { inherit host; }) (types.submodule folder)
      );
      default = { };
      example = literalExpression "{ storage = \"/srv/qdrant\"; }";
      description = "Data folders of the service, by name. A path alone is the folder on the host.";
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
      description = "Environment variables; a value here replaces the service's own, and null removes it. They end up world-readable in the store: secrets go into `secretEnv`.";
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
      description = "User that the program runs as in the container, and whose the data folders are; null: root there. Set it to the USER of an image of your own.";
    };

    secretEnv = mkOption {
      type = types.attrsOf absolutePath;
      default = { };
      example = literalExpression "{ API_KEY = config.sops.secrets.api-key.path; }";
      description = "Environment variables whose values are read from these files when the container starts.";
    };

    secretFiles = mkOption {
      type = types.attrsOf absolutePath;
      default = { };
      example = literalExpression "{ \"/run/secrets/tls.key\" = config.sops.secrets.tls.path; }";
      description = "Files in the container (absolute path -> file on the host), readable only by the service's user.";
    };

    resources = {
      memory = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "8g";
        description = "Memory limit: a number and k, m, g or t; a number alone is MiB. null: none.";
      };
      pids = mkOption {
        type = types.nullOr types.ints.positive;
        default = 2048;
        description = "Limit of processes and threads; null: podman's.";
      };
      cpus = mkOption {
        type = types.nullOr types.number;
        default = null;
        example = 2.5;
        description = "Limit of processor time, in cores; null: none.";
      };
      shm = mkOption {
        type = types.nullOr types.str;
        default = null;
        example = "1g";
        description = "Size of /dev/shm; null: podman's.";
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
        description = "Failed checks in a row after which the container is killed and started again.";
      };
      timeout = mkOption {
        type = types.ints.positive;
        default = 10;
        description = "Seconds that one check may take.";
      };
      startTimeout = mkOption {
        type = types.ints.positive;
        default = 300;
        description = "Seconds from the start to the first healthy answer; after that the start has failed.";
      };
      command = mkOption {
        type = types.str;
        defaultText = literalMD "the service's own";
        description = "Command run in the container; its exit code 0 means healthy.";
      };
      client = mkOption {
        type = types.nullOr (types.enum (builtins.attrNames util.httpGet));
        default = null;
        description = "Program of the image that asks for `health.http` inside the container, as the default of `health.command`. `any`: whichever of three it has.";
      };
      http = probe endpoint "an HTTP request that is answered with a status below 400";
      tcp = probe onPort "a connection";
      redis = probe onPort "PING of Redis";
      postgres = probe onPort "the start of a PostgreSQL session";
    };

    stopTimeout = mkOption {
      type = types.ints.positive;
      default = 80;
      description = "Seconds that the program may take to end after a stop's signal, before it is killed.";
    };

    needs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Services of the stack that must be healthy before this one starts.";
    };
    wants = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Services of the stack that this one waits for when they are on, and does without when they fail.";
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
        description = "What the service computes on; it picks the image and the devices.";
      };
      memoryMiB = mkOption {
        type = types.nullOr types.ints.positive;
        default = null;
        example = 12000;
        description = "Memory that the service takes on its GPU, for the check that services on one card fit beside each other; null: not known.";
      };
    };

    gpus = mkOption {
      type = types.either (types.enum [ "all" ]) (types.listOf types.str);
      default = "all";
      example = [ "0000:01:00.0" ];
      description = "The GPUs that the service may use: all of its backend, or those in these PCI slots. None: it computes on the processor.";
    };

    extraArgs = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Arguments added to the program's own.";
    };
  };
}
