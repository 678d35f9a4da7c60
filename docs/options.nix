# The option reference, as Markdown: options that all services share, options of single services,
# and services.aiOptimizerPrep. `tests/run render --update` writes docs/options.md from it.
{ lib }:
{
  # The configuration of an example host, for the names and ports of the services.
  stack,
  options,
  prep,
}:
let
  inherit (lib)
    concatMapStrings
    filter
    hasPrefix
    removePrefix
    ;

  root = "services.aiStack.";
  prepRoot = "services.aiOptimizerPrep.";
  below =
    prefix: options:
    filter (o: o.visible or true != false && !(o.internal or false) && hasPrefix prefix o.name) (
      lib.optionAttrSetToDocList options
    );
  # Of an internal submodule the list still has the parts; those of a GPU are below `facts`.
  all = filter (o: !(hasPrefix "${root}identity." o.name || hasPrefix "${root}gpu.cards.*" o.name)) (
    below root options
  );

  inherit (import ./option.nix { inherit lib; }) entry;

  names = stack.serviceNames;
  serviceOf = o: lib.head (lib.splitString "." (removePrefix root o.name));
  fieldOf = name: o: lib.head (lib.splitString "." (removePrefix "${root}${name}." o.name));
  ofService = name: filter (o: serviceOf o == name && o.name != "${root}${name}") all;
  # Options that all services have are not listed for each service.
  common = lib.foldl' lib.intersectLists (lib.attrNames stack.${model}) (
    map (name: lib.attrNames stack.${name}) names
  );
  isOwn = name: o: !(lib.elem (fieldOf name o) common);

  # Of any service.
  model = "qdrant";
  shared = filter (o: !(isOwn model o)) (ofService model);
  # Fields for the authors of services are declared in a separate file.
  isDefinition = o: lib.any (lib.hasSuffix "/service/definition.nix") (map toString o.declarations);

  folder =
    name:
    if builtins.pathExists (../modules/contrib + "/${name}") then
      "modules/contrib/${name}"
    else
      "modules/services/${name}";
  service =
    name:
    let
      s = stack.${name};
      own = filter (isOwn name) (ofService name);
      ports = lib.concatStringsSep ", " (
        lib.mapAttrsToList (port: p: "`ports.${port}` ${toString p.preferred}") s.ports
      );
      data = lib.concatStringsSep ", " (
        lib.mapAttrsToList (volume: v: "`data.${volume}` `<dataRoot>/${v.folder}`") s.data
      );
    in
    ''

      ### ${name}

      [${s.description}](../${folder name}/README.md)${lib.optionalString (ports != "") "; ${ports}"}${
        lib.optionalString (data != "") "; ${data}"
      }.
    ''
    + lib.optionalString (own != [ ]) "\n${concatMapStrings (entry "${root}${name}.") own}";
in
''
  # Options

  `tests/run render --update` writes this page from the modules, and a test checks that it is current.

  ## The stack

  Below `services.aiStack`.

  ${concatMapStrings (entry root) (filter (o: !(lib.elem (serviceOf o) names)) all)}
  ## Options of every service

  Below `services.aiStack.<name>`.

  ${concatMapStrings (entry "${root}${model}.") (filter (o: !(isDefinition o)) shared)}
  ## Fields of a service's module

  Fields for authors of services ([services.md](services.md)). Each field is also an option, so a user can override it.

  ${concatMapStrings (entry "${root}${model}.") (filter isDefinition shared)}
  ## Options of single services
''
+ concatMapStrings service names
+ ''

  ## Preparation for AI-Optimizer

  Below `services.aiOptimizerPrep`, which [prep.md](prep.md) explains.

  ${concatMapStrings (entry prepRoot) (
    # Listed above.
    filter (o: !(hasPrefix "${prepRoot}facts." o.name)) (below prepRoot prep)
  )}''
