{
  checks = [
    {
      name = "lists its model";
      http = {
        port = "http";
        path = "/v1/models";
      };
      expect = "data";
    }
  ];
}
