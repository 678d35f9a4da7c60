_: {
  checks = [
    {
      name = "scrapes itself";
      http = {
        port = "http";
        path = "/api/v1/targets";
      };
      expect = "activeTargets";
    }
  ];
}
