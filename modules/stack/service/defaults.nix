# Turns every value that a service's module sets into a default, so that a user overrides it by
# setting it, without mkForce. The importing module overrides the imported one (a kind of service
# that several services share).
# `label` is the name in messages of a module that is not a file.
{ lib, label }:
let
  inherit (lib) isFunction mapAttrs mkOverride;

  # Depth at which users can override parts of an option: 1 for an attribute set of values (one
  # variable of `environment`), 2 for a set of such sets (one field of one port). Other options
  # are overridden as a whole.
  depths = {
    capabilities = 1;
    checks = 1;
    configFiles = 1;
    data = 2;
    environment = 1;
    gpu = 1;
    health = 1;
    hides = 1;
    metrics = 1;
    openai = 1;
    ports = 2;
    provision = 1;
    requests = 1;
    resources = 1;
    secrets = 2;
    userFiles = 1;
  };

  # Lists that are merged: every module adds its entries.
  added = [
    "assertions"
    "warnings"
  ];

  # mkIf, mkForce and similar values are handled by the module system.
  isProperty = value: value ? _type;

  defaults =
    priority: depth: value:
    if depth > 0 && builtins.isAttrs value && !(isProperty value) then
      mapAttrs (_: defaults priority (depth - 1)) value
    else if builtins.isAttrs value && isProperty value then
      value
    else
      mkOverride priority value;

  reserved = [
    "_class"
    "_file"
    "config"
    "disabledModules"
    "imports"
    "key"
    "meta"
    "options"
  ];

  wrap =
    priority: module:
    if builtins.isPath module || builtins.isString module then
      wrapped priority module (import module)
    else
      wrapped priority label module;

  wrapped =
    priority: file: module:
    if isFunction module then
      lib.setFunctionArgs (arguments: evaluated priority file (module arguments)) (
        lib.functionArgs module
      )
    else
      evaluated priority file module;

  evaluated =
    priority: file: module:
    let
      config =
        if module ? config || module ? options then module.config or { } else removeAttrs module reserved;
      stray = builtins.attrNames (removeAttrs module reserved);
    in
    if (module ? config || module ? options) && stray != [ ] then
      throw "${toString file} sets ${lib.concatStringsSep ", " stray} next to `options`: move these into `config = { … };`"
    else
      {
        _file = toString file;
        imports = map (wrap (priority + 10)) (module.imports or [ ]);
        options = module.options or { };
        config =
          if isProperty config then
            config
          else
            mapAttrs (
              name: value:
              if builtins.elem name added then value else defaults priority (depths.${name} or 0) value
            ) config;
      };
in
# Between mkDefault (1000) and the defaults of options (1500).
wrap 1200
