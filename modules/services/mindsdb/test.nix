_: {
  checks = [
    {
      name = "states its version";
      http = {
        port = "http";
        path = "/api/status";
      };
      expect = "mindsdb_version";
    }
  ];
}
