# What the quadlets of a scope claim: the ports that they publish, and the names of their
# containers and pods.
{ lib }:
{
  # Names of those that their module claims itself.
  ours,
  # null: the system's.
  user,
  # The value of `virtualisation.quadlet`.
  quadlet,
}:
let
  published = import ./published.nix { inherit lib; };

  who = if user == null then "NixOS" else "user ${user}";
  of =
    kind: part: objects:
    lib.concatLists (
      lib.mapAttrsToList (
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
            # Container names are unique for each podman: root's, and each user's.
            domain = if user == null then "container" else "container of ${user}";
            name = if q.${part}.name == null then name else q.${part}.name;
          }
        ]
      ) (removeAttrs objects ours)
    );
in
of "containers" "containerConfig" (quadlet.containers or { })
++ of "pods" "podConfig" (quadlet.pods or { })
