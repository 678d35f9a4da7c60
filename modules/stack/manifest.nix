# The content of stack.json, as a value: what the tools know of the stack
# (schemas/stack.schema.json). `hashes` has the hash of each service; it covers what the
# container is made from. Paths of the tool stay out of it, so that a new version of the tool
# restarts nothing.
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
    # Fields that few services have are left out of the others.
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
