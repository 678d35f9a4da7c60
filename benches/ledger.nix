# n claims of the kinds and in the proportions of a real stack, none of them in
# another's way -> the number of conflicts that the ledger finds (0).
{ lib }:
let
  addresses = import ../lib/addresses.nix { inherit lib; };
  ledger = import ../modules/ledger/conflicts.nix { inherit lib addresses; };
  base = i: {
    owner = "services.aiStack.s${toString i} (system)";
    option = "services.aiStack.s${toString i}";
  };
  claim =
    i:
    base i
    // (
      if lib.mod i 3 == 0 then
        {
          kind = "directory";
          path = "/var/lib/local-ai/s${toString i}";
          exclusive = true;
        }
      else if lib.mod i 3 == 1 then
        {
          kind = "name";
          domain = "container";
          name = "local-ai-s${toString i}";
        }
      else
        {
          kind = "port";
          protocol = "tcp";
          address = "127.0.0.1";
          port = 1024 + i;
        }
    );
in
n: builtins.length (ledger.conflicts (lib.genList claim n))
