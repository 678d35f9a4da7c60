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
  # The data folder of the 1.x versions. It is set explicitly, so that a new default of the image
  # cannot move the data.
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
