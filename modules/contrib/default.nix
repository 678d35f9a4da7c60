# Services whose image the user provides. Each is defined through mkService alone, like a service
# in anybody's own flake.
{ lib, ... }:
let
  mkService = import ../../lib/mk-service.nix { inherit lib; };
in
{
  imports = map (name: mkService (./. + "/${name}")) (
    builtins.attrNames (lib.filterAttrs (_: type: type == "directory") (builtins.readDir ./.))
  );
}
