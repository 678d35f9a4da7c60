# The option reference, as Markdown: what all services share once, then what each has of
# its own, then the machine made ready for AI-Optimizer. `tests/run render --update` writes
# docs/options.md from it.
{ lib, catalog }:
{ options, prep }:
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
  # Of an internal submodule the list still has the parts.
  all = filter (o: !(hasPrefix "${root}identity." o.name)) (below root options);

  # The text of a value, on one line.
  code =
    value:
    let
      text = value.text or value;
      flat = lib.concatStringsSep " " (
        filter (w: builtins.isString w && w != "") (builtins.split "[ \n\t]+" text)
      );
    in
    if value._type or null == "literalMD" then flat else "`${flat}`";
  text = value: lib.trim (value.text or value);

  entry =
    prefix: o:
    "- **`${removePrefix prefix o.name}`** (${lib.replaceStrings [ "\n" ] [ "\\n" ] o.type}${
      lib.optionalString (o ? default) ", default ${code o.default}"
    }): ${text o.description}${lib.optionalString (o ? example) " Example: ${code o.example}."}\n";

  names = lib.attrNames catalog;
  serviceOf = o: lib.head (lib.splitString "." (removePrefix root o.name));
  ofService = name: filter (o: serviceOf o == name && o.name != "${root}${name}") all;
  isOwn =
    name: o:
    let
      first = lib.head (lib.splitString "." (removePrefix "${root}${name}." o.name));
    in
    catalog.${name}.options ? ${first};

  # Of any service: what is not its own is what all have.
  model = "qdrant";
  shared = filter (
    o:
    !(isOwn model o)
    && !(lib.any (p: hasPrefix "${root}${model}.${p}." o.name) [
      "ports"
      "data"
    ])
  ) (ofService model);

  service =
    name:
    let
      def = catalog.${name};
      own = filter (isOwn name) (ofService name);
      ports = lib.concatStringsSep ", " (
        lib.mapAttrsToList (port: p: "`ports.${port}` ${toString p.host}") def.ports
      );
      data = lib.concatStringsSep ", " (
        lib.mapAttrsToList (volume: v: "`data.${volume}` `<dataRoot>/${v.dir or name}`") def.data
      );
    in
    ''

      ### ${name}

      [${def.description}](../modules/services/${name}/README.md)${
        lib.optionalString (ports != "") "; ${ports}"
      }${lib.optionalString (data != "") "; ${data}"}.
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

  Below `services.aiStack.<name>`, beside a port `ports.<port>` and a folder `data.<volume>` for each that it has. The defaults are ${model}'s where they differ.

  ${concatMapStrings (entry "${root}${model}.") shared}
  ## Each service
''
+ concatMapStrings service names
+ ''

  ## Ready for AI-Optimizer

  Below `services.aiOptimizerPrep`, which [prep.md](prep.md) explains.

  ${concatMapStrings (entry prepRoot) (below prepRoot prep)}''
