# The claims of a stack in the ledger of its host (ledger.nix).
{ lib }:
let
  inherit (lib) concatLists mapAttrsToList;

  published = import ./published.nix { inherit lib; };
in
{
  # Published ports and names of other quadlets in the same scope.
  quadlet =
    { resolved, quadlet }:
    let
      ours = mapAttrsToList (_: s: s.container) resolved.services;
      system = resolved.scope == "system";
      who = if system then "NixOS" else "user ${resolved.user}";
      of =
        kind: part: objects:
        concatLists (
          mapAttrsToList (
            name: q:
            let
              option = "virtualisation.quadlet.${kind}.${name}";
            in
            map (
              p:
              p
              // {
                kind = "port";
                owner = "${option} (${who})";
                option = "${option}.${part}.publishPorts";
              }
            ) (lib.concatMap published q.${part}.publishPorts)
            ++ [
              {
                kind = "name";
                owner = "${option} (${who})";
                inherit option;
                domain = if system then "container" else "container of ${resolved.user}";
                name = if q.${part}.name == null then name else q.${part}.name;
              }
            ]
          ) (removeAttrs objects ours)
        );
    in
    of "containers" "containerConfig" (quadlet.containers or { })
    ++ of "pods" "podConfig" (quadlet.pods or { });

  # Claims of the stack's services.
  stack =
    resolved:
    let
      owner =
        s: "${s.option} (${if resolved.scope == "system" then "system" else "user ${resolved.user}"})";
      # Container names are unique for each podman: root's, and each user's.
      domain = if resolved.scope == "system" then "container" else "container of ${resolved.user}";
    in
    concatLists (
      mapAttrsToList (
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
    );
}
