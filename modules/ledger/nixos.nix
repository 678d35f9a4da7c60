# The ledger in system scope: also what NixOS's own modules and accounts claim, and the claims of
# Home Manager's users on this host.
{
  config,
  lib,
  options,
  ...
}:
let
  inherit (lib) mkIf;

  claiming =
    if options ? home-manager then
      lib.filterAttrs (_: home: home.services.aiStack.ledger.active or false) config.home-manager.users
    else
      { };
in
{
  imports = [ ./. ];

  config.services.aiStack.ledger = lib.mkMerge [
    # A clash between a user and the system concerns the host even where the system's own stack
    # is off.
    { active = mkIf (claiming != { }) true; }
    (mkIf config.services.aiStack.ledger.active {
      claims =
        lib.concatMap (home: home.services.aiStack.ledger.claims) (lib.attrValues claiming)
        ++ import ./foreign.nix { inherit config lib; };
    })
  ];
}
