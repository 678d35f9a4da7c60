# AI-Optimizer's neighbour in user scope, without root.
{
  imports = [ ../../hosts/optimizer/stack.nix ];

  home = {
    username = "ai";
    homeDirectory = "/home/ai";
    stateVersion = "26.05";
  };
}
