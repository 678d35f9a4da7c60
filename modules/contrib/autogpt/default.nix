{
  imports = [ ../../../lib/kinds/agent.nix ];
  description = "agent that plans and acts by itself";
  ports.http.preferred = 8097;
}
