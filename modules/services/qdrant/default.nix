{ ... }:
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
  probe.http = {
    port = "http";
    path = "/readyz";
  };
  # The image has neither curl nor wget.
  healthCommand = { util, ... }: util.bashGet 6333 "/readyz";
  metrics = {
    port = "http";
    path = "/metrics";
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
