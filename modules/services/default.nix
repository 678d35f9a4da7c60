# Every folder here is a service with the folder's name.
{ lib, ... }:
let
  mkService = import ../../lib/mk-service.nix { inherit lib; };
in
{
  imports = map (name: mkService (./. + "/${name}")) (
    builtins.attrNames (lib.filterAttrs (_: type: type == "directory") (builtins.readDir ./.))
  );
}
