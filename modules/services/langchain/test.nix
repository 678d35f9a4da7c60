_: {
  checks = [
    {
      name = "answers";
      http = {
        port = "http";
        path = "/health";
      };
      expect = "ok";
    }
  ];
}
