_: {
  checks = [
    {
      name = "names its collections";
      http = {
        port = "http";
        path = "/health";
      };
      expect = "collections";
    }
  ];
}
