{ cfg, ... }:
{
  checks = [
    {
      name = "serves the declared model";
      http = {
        port = "http";
        path = "/info";
      };
      expect = toString cfg.model;
    }
  ];
}
