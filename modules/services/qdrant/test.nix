{
  marker = {
    write.http = {
      port = "http";
      method = "PUT";
      path = "/collections/marker";
      body = builtins.toJSON {
        vectors = {
          size = 4;
          distance = "Cosine";
        };
      };
    };
    read.http = {
      port = "http";
      path = "/collections";
    };
    expect = "marker";
  };
  checks = [
    {
      name = "lists its collections";
      http = {
        port = "http";
        path = "/collections";
      };
      expect = "collections";
    }
    {
      name = "offers metrics";
      http = {
        port = "http";
        path = "/metrics";
      };
      expect = "app_info";
    }
  ];
}
