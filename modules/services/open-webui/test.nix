_: {
  checks = [
    {
      name = "reports that it is healthy";
      http = {
        port = "http";
        path = "/health";
      };
      expect = "true";
    }
  ];
}
