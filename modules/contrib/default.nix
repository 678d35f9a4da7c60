# Services whose image the user brings: each is defined as anybody would define their own,
# through mkService alone.
{ lib, ... }:
let
  mkService = import ../../lib/mk-service.nix { inherit lib; };
in
{
  imports = map (name: mkService (./. + "/${name}")) (
    builtins.attrNames (lib.filterAttrs (_: type: type == "directory") (builtins.readDir ./.))
  );
}
