# A home for AI-Optimizer and a small stack, in user scope, without root.
{
  imports = [ ../../hosts/optimizer/stack.nix ];

  services.aiStack.verify = {
    enable = true;
    rollback = true;
  };

  home = {
    username = "ai";
    homeDirectory = "/home/ai";
    stateVersion = "26.05";
  };
}
