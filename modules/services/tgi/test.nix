{
  checks = [
    {
      name = "says what it serves";
      http = {
        port = "http";
        path = "/info";
      };
      expect = "model_id";
    }
  ];
}
