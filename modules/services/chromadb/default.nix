let
  collections = {
    port = "http";
    path = "/api/v2/tenants/default_tenant/databases/default_database/collections";
  };
in
{
  description = "vector database for prototypes";
  lock = "chromadb";
  ports.http = {
    container = 8000;
    preferred = 8010;
  };
  data.data = {
    path = "/data";
    folder = "chroma";
  };
  health.http = {
    port = "http";
    path = "/api/v2/heartbeat";
  };
  health.client = "bash";
  resources.memory = "2g";
  # Where the server of the 1.x versions looks for its data; set, so that a change of the
  # image's default cannot move it.
  environment.CHROMA_PERSIST_PATH = "/data";
  marker = {
    write.http = collections // {
      method = "POST";
      body = "{\"name\":\"marker\",\"get_or_create\":true}";
    };
    read.http = collections;
    expect = "marker";
  };
}
