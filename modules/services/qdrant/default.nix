{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  description = "vector database";
  image = "qdrant";
  ports = {
    http = {
      container = 6333;
      host = 6333;
    };
    grpc = {
      container = 6334;
      host = 6334;
    };
  };
  data = {
    storage.path = "/qdrant/storage";
    snapshots = {
      path = "/qdrant/snapshots";
      dir = "qdrant-snapshots";
    };
  };
  # The chart of the project runs the same image as this user on a read-only root.
  user = {
    uid = 1000;
    gid = 1000;
  };
  readOnlyRoot = true;
  # The image's script ends as soon as its trap has run, which kills the server in the middle of
  # its shutdown (qdrant/qdrant, tools/entrypoint.sh). Its folder is the image's working folder.
  entrypoint = _: "./qdrant";
  probe.http = {
    port = "http";
    path = "/readyz";
  };
  # The image has neither curl nor wget.
  client = "bash";
  metrics = {
    port = "http";
    path = "/metrics";
    tokenVariable = "QDRANT__SERVICE__API_KEY";
    panels = [
      {
        title = "Qdrant: collections";
        expr = "collections_total";
        type = "stat";
      }
      {
        title = "Qdrant: answers each second";
        expr = "sum(rate(rest_responses_total[5m]))";
        legend = "REST";
      }
    ];
  };
  options.collections = mkOption {
    type = types.attrsOf (
      types.submodule {
        options = {
          size = mkOption {
            type = types.ints.between 1 65536;
            description = "Dimension of the vectors.";
          };
          distance = mkOption {
            type = types.enum [
              "Cosine"
              "Dot"
              "Euclid"
              "Manhattan"
            ];
            default = "Cosine";
            description = "How near two vectors are.";
          };
        };
      }
    );
    default = { };
    example = {
      notes.size = 384;
    };
    description = "Collections that are made when they are missing. One that exists with another dimension is reported and left as it is.";
  };
  vectors =
    {
      cfg,
      stack,
      option,
      lib,
      ...
    }:
    if cfg.collections == { } then
      null
    else
      {
        port = "http";
        apiKeySource = stack.secret "qdrant" "QDRANT__SERVICE__API_KEY";
        collections = lib.mapAttrsToList (name: c: {
          inherit name;
          inherit (c) size distance;
          option = "${option}.collections.${name}";
        }) cfg.collections;
      };
  resources.memory = "4g";
  environment = _: {
    QDRANT__TELEMETRY_DISABLED = "true";
    # By default it is written beside the program, where the root is read-only.
    QDRANT_INIT_FILE_PATH = "/tmp/.qdrant-initialized";
  };
  authenticated = { cfg, ... }: cfg.secretEnv ? QDRANT__SERVICE__API_KEY;
  authHint = "set secretEnv.QDRANT__SERVICE__API_KEY to the path of a file with an API key";
}
