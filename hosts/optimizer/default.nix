# A host for AI-Optimizer and a small stack, in system scope.
{
  imports = [
    ./machine.nix
    ./stack.nix
  ];
}
