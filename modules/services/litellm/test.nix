{
  checks = [
    {
      name = "lists the engines' models";
      http = {
        port = "http";
        path = "/v1/models";
      };
      expect = "data";
    }
  ];
}
