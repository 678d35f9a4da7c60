# The ledger of one user: the system's, where there is one, reads its claims.
{ config, lib, ... }:
{
  imports = [ ./. ];

  services.aiStack.ledger.user = lib.mkDefault config.home.username;
}
