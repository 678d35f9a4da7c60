# Every service in system scope.
{
  imports = [
    ./machine.nix
    ./stack.nix
  ];
}
