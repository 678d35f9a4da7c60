{ ... }:
{
  description = "vector database for prototypes";
  image = "chromadb";
  ports.http = {
    container = 8000;
    host = 8010;
  };
  data.data = {
    path = "/data";
    dir = "chroma";
  };
  probe.http = {
    port = "http";
    path = "/api/v2/heartbeat";
  };
  client = "bash";
  resources.memory = "2g";
  environment = _: {
    # Where the server of the 1.x versions looks for its data; said, so that a change of
    # the image's default cannot move it.
    CHROMA_PERSIST_PATH = "/data";
  };
}
