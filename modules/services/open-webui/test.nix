{
  checks = [
    {
      name = "says that it is well";
      http = {
        port = "http";
        path = "/health";
      };
      expect = "true";
    }
  ];
}
