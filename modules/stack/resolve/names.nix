# Names that are derived from a service's name.
{ lib }:
rec {
  # The container; its unit is named after it.
  container = name: "local-ai-${name}";

  # A configuration file in the store, named after its service. The same text has the same path,
  # so only a change of the text restarts the container.
  configFile = name: target: "${container name}-${flat target}";

  # A path as part of a name.
  flat = path: builtins.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" path);
}
