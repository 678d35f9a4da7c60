# The resolved stack: options turned into final values. It contains every value that a later file
# needs once; quadlets, ledger and manifest are derived from it.
{
  lib,
  util,
  cfg,
}:
let
  inherit (lib) filter genAttrs mapAttrs;

  inContainers = filter (name: cfg.${name}.container) cfg.enabledNames;
in
{
  inherit (cfg) scope dataRoot network;
  inherit (cfg.identity) host user;
  target = "local-ai.target";
  networkOptions = {
    # Containers of this network and of other networks cannot reach each other
    # (podman-network-create(1), "isolate").
    isolate = "strict";
  };
  models = mapAttrs (name: m: {
    inherit (m)
      url
      sha256
      sizeMiB
      path
      unit
      tokenFile
      ;
    option = "services.aiStack.models.${name}";
  }) cfg.models;
  services = genAttrs inContainers (import ./service.nix { inherit lib util cfg; });
}
