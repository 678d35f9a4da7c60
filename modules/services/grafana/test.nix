{
  checks = [
    {
      name = "its database is well";
      http = {
        port = "http";
        path = "/api/health";
      };
      expect = "database";
    }
  ];
}
