# Makes a module for NixOS and Home Manager from the definition of a service.
#
#   mkService ./my-service                      the folder's name is the service's name; its
#                                               default.nix is the service's module
#   mkService { name = "…"; module = …; }       the same from two values
#
# The result declares `services.aiStack.<name>`. Import it next to the modules of aistack, in
# the scope where the service should run. docs/services.md says what a service's module sets.
{ lib }:
service:
let
  folder = builtins.isPath service || builtins.isString service;
  name = if folder then baseNameOf service else service.name;
  module = if folder then service + "/default.nix" else service.module;
  shown = if folder then toString service else name;
in
if !folder && !(service ? name && service ? module) then
  throw "aistack.lib.mkService: the argument must be the folder of a service, or { name = …; module = …; }"
else if builtins.match "[a-z][a-z0-9-]*" name == null then
  throw "aistack.lib.mkService ${shown}: the name is not valid for a container: use lower-case letters, digits and dashes, and begin with a letter"
else if folder && !builtins.pathExists module then
  throw "aistack.lib.mkService ${shown}: the folder has no default.nix, which says what the service is"
else
  {
    key = "aistack#services.${name}#${shown}";
    _file = shown;
    imports = [
      (
        { config, ... }:
        {
          _file = shown;
          options.services.aiStack.${name} = lib.mkOption {
            type = import ../modules/stack/service { inherit lib; } {
              inherit name module;
              inherit (config.services.aiStack) interface;
            };
            default = { };
            description = "The service ${name}.";
          };
          config.services.aiStack.serviceNames = [ name ];
        }
      )
    ];
  }
