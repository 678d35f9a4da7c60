_: {
  checks = [
    {
      name = "its database is healthy";
      http = {
        port = "http";
        path = "/api/health";
      };
      expect = "database";
    }
  ];
}
