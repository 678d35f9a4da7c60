_: {
  checks = [
    {
      name = "answers";
      http = {
        port = "http";
        path = "/api/health";
      };
      expect = "up";
    }
  ];
}
