{ cfg, ... }:
{
  auth.secret = "VLLM_API_KEY";
  checks = [
    {
      name = "lists its model";
      http = {
        port = "http";
        path = "/v1/models";
      };
      expect = toString (if cfg.servedModelName == null then cfg.model else cfg.servedModelName);
    }
  ];
}
