_: {
  checks = [
    {
      name = "is ready";
      http = {
        port = "http";
        path = "/-/ready";
      };
      expect = "ready";
    }
  ];
}
