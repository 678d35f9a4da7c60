# Names that follow from a service's name.
{ lib }:
rec {
  # The container; its unit is named after it.
  container = name: "local-ai-${name}";

  # A configuration file in the store. The name says whose it is; an equal text has an equal
  # path, so that only a change of the text restarts the container.
  configFile = name: target: "${container name}-${flat target}";

  # A path as part of a name.
  flat = path: builtins.replaceStrings [ "/" ] [ "-" ] (lib.removePrefix "/" path);
}
