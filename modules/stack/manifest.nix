# The content of stack.json, as a value: all that the tools know of the stack
# (schemas/stack.schema.json). `hashes` has the hash of each service, over all properties of its
# container. The hash does not cover paths of the tool, so that a new version of the tool restarts
# nothing.
{ lib }:
resolved: hashes: {
  schema = 1;
  inherit (resolved)
    dataRoot
    host
    models
    network
    networkOptions
    scope
    target
    user
    ;
  services = lib.mapAttrs (
    name: s:
    {
      inherit (s)
        container
        data
        description
        files
        health
        image
        metrics
        needs
        option
        ports
        pullUnit
        setup
        unit
        wants
        ;
      gpu = if s.gpu == null then null else { inherit (s.gpu) backend devices; };
      configHash = hashes.${name};
      secrets = map (secret: removeAttrs secret [ "target" ]) s.secrets;
    }
    # Fields that few services have are omitted when they are empty.
    // lib.filterAttrs (_: v: v != null && v != [ ]) {
      ids = if s.ids == null then null else { inherit (s.ids) start size; };
      inherit (s)
        engine
        integrity
        postgres
        qdrant
        ;
    }
  ) resolved.services;
}
