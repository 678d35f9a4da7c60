# AI-Optimizer's neighbour in system scope.
{
  imports = [
    ./machine.nix
    ./stack.nix
  ];
}
