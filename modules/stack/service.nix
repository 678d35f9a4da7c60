# The service type: the options that every service has, with the defaults of its
# definition (`def`), beside the options of that service alone.
{ util, images }:
{
  name,
  def,
  stack,
}:
{ config, lib, ... }:
let
  inherit (lib)
    literalExpression
    mapAttrs
    mkDefault
    mkEnableOption
    mkOption
    types
    ;

  gpu = import ./gpu.nix { inherit lib; };
  ids = import ./ids.nix { inherit lib; };
  contracts = ../../pkgs/contracts;

  arguments = {
    cfg = config;
    inherit
      stack
      lib
      util
      name
      ;
    option = "services.aiStack.${name}";
    # The port inside the container, by its name.
    port = port: def.ports.${port}.container;
  };

  absolutePath = types.strMatching "/.*" // {
    description = "absolute path";
  };

  # One image for all, or one for each GPU backend, with the CPU's as the fallback.
  imageKey =
    if def.image == null || builtins.isString def.image then
      def.image
    else
      def.image.${config.gpu.backend} or (def.image.cpu or null);
  lockedImage =
    if imageKey == null then
      null
    else if config.imageArchive == null then
      util.lockedReference images.${imageKey}
    else
      # What comes out of an archive has another digest than the registry's.
      util.lockedReference (images.${imageKey} // { digest = null; });
  # Of an own image at least the program may be known.
  lockedContract =
    if imageKey == null then
      if def.image == null && builtins.pathExists (contracts + "/${name}.json") then
        contracts + "/${name}.json"
      else
        null
    else
      contracts + "/${images.${imageKey}.contract or imageKey}.json";
in
{
  options = {
    enable = mkEnableOption "${name}: ${def.description}";

    image = mkOption {
      type = types.nullOr types.str;
      default = lockedImage;
      defaultText = literalExpression "the entry for this machine's GPU in pkgs/images.json";
      example = "docker.io/example/${name}:1.2.3@sha256:…";
      description = "Image reference. Give it with a digest: a tag alone may be another image tomorrow.";
    };

    imageArchive = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = literalExpression "./images/${name}.tar";
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
      default = if def.image == null || config.image == lockedImage then lockedContract else null;
      defaultText = lib.literalMD "that of the image in `pkgs/contracts`; `null` where `image` is another one";
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

    ports = mapAttrs (
      port: p:
      mkOption {
        type = types.port;
        default =
          let
            shifted = p.host + stack.portOffset;
          in
          if shifted > 65535 then
            throw "services.aiStack.portOffset = ${toString stack.portOffset} moves ${name}'s port ${port} from ${toString p.host} to ${toString shifted}, beyond 65535: choose a smaller offset or set services.aiStack.${name}.ports.${port}"
          else
            shifted;
        defaultText = literalExpression "${toString p.host} + config.services.aiStack.portOffset";
        description = "Host port for ${port} (${toString p.container}/${p.protocol or "tcp"} in the container).";
      }
    ) def.ports;

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
            protocol = mkOption {
              type = types.enum [
                "tcp"
                "udp"
              ];
              default = "tcp";
              description = "Protocol.";
            };
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
      defaultText = lib.literalMD "a range of its own, which follows from the service's name; in user scope `null`";
      example = 1879048192;
      description = "First of the ${toString ids.size} user and group ids of the host that the container has to itself (system scope): id 0 in the container is this id on the host, and its data belongs to ids of the range. `null`: the container has the ids of the host, so that an account with the same number can read its data and look into its processes.";
    };

    data = mapAttrs (
      _: v:
      mkOption {
        type = absolutePath;
        default = "${stack.dataRoot}/${v.dir or name}";
        defaultText = literalExpression "\"\${config.services.aiStack.dataRoot}/${v.dir or name}\"";
        description = "Folder on the host for `${v.path}`${
          lib.optionalString (v.readOnly or false) ", which the container only reads"
        }.";
      }
    ) def.data;

    environment = mkOption {
      type = types.attrsOf (
        types.coercedTo (types.oneOf [
          types.int
          types.bool
        ]) (v: if builtins.isBool v then lib.boolToString v else toString v) types.str
      );
      default = { };
      description = "Environment variables; a value here wins over the one that the service would get. They end up world-readable in the store: secrets go into `secretEnv`.";
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
      default = def.user;
      defaultText = lib.literalMD "the user of the service's own image, or null";
      example = {
        uid = 1000;
        gid = 1000;
      };
      description = "User that the program runs as in the container, and whose the data folders are; null: root there. Set it to the USER of an image of your own.";
    };

    secretEnv = mkOption {
      type = types.attrsOf absolutePath;
      default = { };
      example = literalExpression "{ API_KEY = config.sops.secrets.${name}.path; }";
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
        default = def.resources.memory or null;
        example = "8g";
        description = "Memory limit: a number and k, m, g or t; a number alone is MiB. null: none.";
      };
      pids = mkOption {
        type = types.nullOr types.ints.positive;
        default = def.resources.pids or 2048;
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
        default = def.resources.shm or null;
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
        default = def.startTimeout;
        description = "Seconds from the start to the first healthy answer; after that the start has failed.";
      };
      command = mkOption {
        type = types.str;
        default = def.healthCommand arguments;
        defaultText = lib.literalMD "the service's own";
        description = "Command run in the container; its exit code 0 means healthy.";
      };
    };

    stopTimeout = mkOption {
      type = types.ints.positive;
      default = def.stopTimeout;
      description = "Seconds that the program may take to end after a stop's signal, before it is killed.";
    };

    needs = mkOption {
      type = types.listOf types.str;
      default = def.needs;
      description = "Services of the stack that must be healthy before this one starts.";
    };
    wants = mkOption {
      type = types.listOf types.str;
      default = def.wants;
      description = "Services of the stack that this one waits for when they are on, and does without when they fail.";
    };

    gpu = {
      backend = mkOption {
        type = types.enum util.backends;
        default = if def.gpu && config.gpus != [ ] then stack.gpu.backend else "cpu";
        defaultText = literalExpression "config.services.aiStack.gpu.backend";
        description = "What the service computes on; it picks the image and the devices.";
      };
      memoryMiB = mkOption {
        type = types.nullOr types.ints.positive;
        default = if config.gpu.backend == "cpu" then null else def.gpuMemory arguments;
        defaultText = lib.literalMD "what the service knows of itself";
        example = 12000;
        description = "Memory that the service takes on its GPU, for the check that services on one card fit beside each other.";
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

    _arguments = mkOption {
      internal = true;
      readOnly = true;
      default = arguments;
      description = "What the functions of the definition are called with.";
    };
  }
  // def.options;

  config.environment = mapAttrs (_: mkDefault) (
    lib.filterAttrs (_: v: v != null) (
      lib.optionalAttrs def.gpu (
        gpu.environment {
          inherit (config.gpu) backend;
          inherit (config) gpus;
          inherit (stack.gpu) cards hsaOverrideGfxVersion;
        }
      )
      // def.environment arguments
    )
  );
}
