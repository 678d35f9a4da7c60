{
  imports = [ ../../../lib/kinds/agent.nix ];
  description = "service built with LangChain";
  ports.http.preferred = 8096;
}
