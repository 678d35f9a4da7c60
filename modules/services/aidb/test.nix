{
  checks = [
    {
      name = "says how its parts are";
      http = {
        port = "http";
        path = "/health";
      };
      expect = "status";
    }
  ];
}
