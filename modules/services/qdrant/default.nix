{
  config,
  lib,
  option,
  stack,
  ...
}:
let
  inherit (lib) mkOption types;

  put = path: body: {
    http = {
      port = "http";
      method = "PUT";
      inherit path;
      body = builtins.toJSON body;
    };
  };

  # With the collections that other services request (`requests.qdrant.collections`).
  collections =
    lib.foldl' (all: request: all // request.collections) { } (stack.requested "qdrant")
    // config.collections;
  distanceOf = collection: collection.distance or "Cosine";
in
{
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
            description = "Measure of the distance between two vectors.";
          };
        };
      }
    );
    default = { };
    example = {
      notes.size = 384;
    };
    description = "Collections of the database. Missing collections are created after each start. A collection that exists with another dimension is reported and not changed.";
  };

  config = {
    description = "vector database";
    lock = "qdrant";
    ports = {
      http.container = 6333;
      grpc.container = 6334;
    };
    data = {
      storage.path = "/qdrant/storage";
      snapshots = {
        path = "/qdrant/snapshots";
        folder = "qdrant-snapshots";
      };
    };
    # Qdrant's Helm chart runs the same image as this user with a read-only root.
    runAs = {
      uid = 1000;
      gid = 1000;
    };
    readOnlyRoot = true;
    # The image's script ends as soon as its trap has run, which kills the server during its
    # shutdown (qdrant/qdrant, tools/entrypoint.sh). The program is in the image's working folder.
    entrypoint = "./qdrant";
    health.http = {
      port = "http";
      path = "/readyz";
    };
    # The image has neither curl nor wget.
    health.client = "bash";
    secrets.QDRANT__SERVICE__API_KEY = {
      description = "key that clients must send";
      header = "api-key";
    };
    metrics = {
      port = "http";
      secret = "QDRANT__SERVICE__API_KEY";
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
    provision.qdrant =
      if collections == { } then
        null
      else
        {
          port = "http";
          apiKeySource = stack.secret "qdrant" "QDRANT__SERVICE__API_KEY";
          collections = lib.mapAttrsToList (name: c: {
            inherit name;
            inherit (c) size;
            distance = distanceOf c;
            option = "${option}.collections.${name}";
          }) collections;
        };
    resources.memory = "4g";
    environment = {
      QDRANT__TELEMETRY_DISABLED = "true";
      # The default path is next to the program, on the read-only root file system.
      QDRANT_INIT_FILE_PATH = "/tmp/.qdrant-initialized";
    };
    authenticated = config.secretEnv ? QDRANT__SERVICE__API_KEY;
    authHint = "set secretEnv.QDRANT__SERVICE__API_KEY to the path of a file with an API key";
    # The marker is a point in its own collection.
    marker = {
      write = [
        (put "/collections/marker" {
          vectors = {
            size = 4;
            distance = "Cosine";
          };
        })
        (put "/collections/marker/points?wait=true" {
          points = [
            {
              id = 1;
              vector = [
                0.1
                0.2
                0.3
                0.4
              ];
              payload.what = "kept";
            }
          ];
        })
      ];
      read.http = {
        port = "http";
        path = "/collections/marker/points/1";
      };
      expect = "kept";
    };
    checks = {
      "lists its collections" = {
        http = {
          port = "http";
          path = "/collections";
        };
        expect = "collections";
      };
      "offers metrics" = {
        http = {
          port = "http";
          path = "/metrics";
        };
        expect = "app_info";
      };
    }
    // lib.mapAttrs' (
      name: c:
      lib.nameValuePair "has the collection ${name}" {
        http = {
          port = "http";
          path = "/collections/${name}";
        };
        expect = "\"size\":${toString c.size}";
      }
    ) collections;
  };
}
