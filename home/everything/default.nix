# Every service in user scope, next to a system-wide stack.
{
  imports = [ ../../hosts/everything/stack.nix ];

  home = {
    username = "ai";
    homeDirectory = "/home/ai";
    stateVersion = "26.05";
  };

  services.aiStack.portOffset = 10000;
}
