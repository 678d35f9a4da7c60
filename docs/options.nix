# The option reference, as Markdown: what all services share once, then what each has of
# its own, then the machine made ready for AI-Optimizer. `tests/run render --update` writes
# docs/options.md from it.
{ lib }:
{
  # The configuration of some host, for the names and ports of the services.
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
  # What all services have is no service's own.
  common = lib.foldl' lib.intersectLists (lib.attrNames stack.${model}) (
    map (name: lib.attrNames stack.${name}) names
  );
  isOwn = name: o: !(lib.elem (fieldOf name o) common);

  # Of any service.
  model = "qdrant";
  shared = filter (o: !(isOwn model o)) (ofService model);
  # Fields for the authors of services, in a file of their own.
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

  Written from the modules by `tests/run render --update`; a test holds the two equal.

  ## The stack

  Below `services.aiStack`.

  ${concatMapStrings (entry root) (filter (o: !(lib.elem (serviceOf o) names)) all)}
  ## What every service has

  Below `services.aiStack.<name>`.

  ${concatMapStrings (entry "${root}${model}.") (filter (o: !(isDefinition o)) shared)}
  ## What a service says of itself

  Fields for those who write a service ([services.md](services.md)). Each is an option as well, so that a user can override it.

  ${concatMapStrings (entry "${root}${model}.") (filter isDefinition shared)}
  ## Each service
''
+ concatMapStrings service names
+ ''

  ## Ready for AI-Optimizer

  Below `services.aiOptimizerPrep`, which [prep.md](prep.md) explains.

  ${concatMapStrings (entry prepRoot) (
    # Listed above.
    filter (o: !(hasPrefix "${prepRoot}facts." o.name)) (below prepRoot prep)
  )}''
