_: {
  checks = [
    {
      name = "lists its models";
      http = {
        port = "http";
        path = "/api/tags";
      };
      expect = "models";
    }
  ];
}
