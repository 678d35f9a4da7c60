# The claims of a stack in the ledger of its host (../ledger).
{ lib }:
resolved:
let
  owner =
    s: "${s.option} (${if resolved.scope == "system" then "system" else "user ${resolved.user}"})";
  # Container names are unique for each podman: root's, and each user's.
  domain = if resolved.scope == "system" then "container" else "container of ${resolved.user}";
in
lib.concatLists (
  lib.mapAttrsToList (
    _: s:
    map (p: {
      kind = "port";
      owner = owner s;
      inherit (p) protocol address option;
      port = p.host;
    }) s.ports
    ++ map (d: {
      kind = "directory";
      owner = owner s;
      option = "${s.option}.data.${d.name}";
      path = d.host;
      exclusive = !d.readOnly;
    }) s.data
    ++ [
      {
        kind = "name";
        owner = owner s;
        inherit (s) option;
        inherit domain;
        name = s.container;
      }
    ]
    ++ lib.optional (s.ids != null) {
      kind = "ids";
      of = "both";
      owner = owner s;
      option = "${s.option}.userNamespace.start";
      inherit (s.ids) start size;
    }
    ++ map (slot: {
      kind = "gpu";
      owner = owner s;
      option = "${s.option}.gpus";
      inherit slot;
    }) (if s.gpu == null then [ ] else s.gpu.slots)
  ) resolved.services
)
