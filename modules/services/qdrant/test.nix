{ cfg, lib, ... }:
let
  put = path: body: {
    http = {
      port = "http";
      method = "PUT";
      inherit path;
      body = builtins.toJSON body;
    };
  };
in
{
  auth = {
    secret = "QDRANT__SERVICE__API_KEY";
    header = "api-key";
  };
  # A point, in a collection for it.
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
  ]
  ++ map (name: {
    name = "has the collection ${name}";
    http = {
      port = "http";
      path = "/collections/${name}";
    };
    expect = "\"size\":${toString cfg.collections.${name}.size}";
  }) (lib.attrNames cfg.collections);
}
