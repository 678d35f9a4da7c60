arguments@{ lib, ... }:
let
  litellm = import ./default.nix { inherit lib; };
  inherit (litellm.openai arguments) models;
in
{
  auth.secret = "LITELLM_MASTER_KEY";
  checks = [
    {
      name = "lists the engines' models";
      http = {
        port = "http";
        path = "/v1/models";
      };
      expect = if models == [ ] then "data" else "\"${lib.head models}\"";
      # A wildcard that LiteLLM resolves from its own list of the world's models.
      lacks = "ollama/gpt-";
    }
  ];
}
