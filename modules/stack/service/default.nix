# The type of a service: `services.aiStack.<name>`. A service is an ordinary module that is
# evaluated as a submodule with three modules: the options for users (options.nix), the
# fields that describe a service (definition.nix), and the service's own module.
#
#   name        the service's name
#   module      its own module: a path, a function or an attribute set
#   interface   what it can read of the other services: ../interface.nix
#
# A service's module is called with { config, lib, stack, util, name, option, … }: `config` is
# the service's own configuration, `stack` the interface, `option` the text
# "services.aiStack.<name>" for messages.
{ lib }:
{
  name,
  module,
  interface,
}:
lib.types.submoduleWith {
  shorthandOnlyDefinesConfig = true;
  specialArgs = {
    stack = interface;
    util = import ../../../lib { inherit lib; };
    option = "services.aiStack.${name}";
  };
  modules = [
    ./options.nix
    ./definition.nix
    (import ./defaults.nix {
      inherit lib;
      label = "the module of services.aiStack.${name}";
    } module)
  ];
}
