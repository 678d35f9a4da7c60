# User and group ids of containers in system scope. Each container has its own range of the
# host's ids, so that no account of the host and no other container can read its files, inspect
# its processes or send signals to them.
#
# The ranges use ids that systemd leaves unused: above its containers (…1879048191) and below its
# foreign range (2147352576…).
# Source: https://systemd.io/UIDS-GIDS/, "Summary".
{ lib }:
rec {
  # Number of ids in a range. `nobody` is 65534, so an image may use all 16 bits.
  size = 65536;
  first = 1879048192;
  ranges = 4094;

  # The first id of a service's range. It depends on the container's name alone, so
  # adding or removing a service never changes the ids of another service. If two names get the
  # same range, the ledger reports a conflict. A test proves that the project's services do not.
  startOf =
    name:
    first
    +
      size
      * lib.mod (lib.fromHexString (
        builtins.substring 0 8 (builtins.hashString "sha256" "local-ai-${name}")
      )) ranges;

  # Groups of the host that a container keeps. Their ids in the container are above the range.
  groupIn = index: size + index;

  # The ids of a service, or null if it uses the ids of the host (user scope maps ids differently).
  of =
    {
      start,
      groups,
    }:
    if start == null then
      null
    else
      {
        inherit start size;
        groups = lib.imap0 (index: group: group // { container = groupIn index; }) groups;
      };

  # In the notation of podman: "container:host:count".
  uidMaps = ids: lib.optional (ids != null) "0:${toString ids.start}:${toString ids.size}";
  gidMaps =
    ids:
    uidMaps ids
    ++ lib.optionals (ids != null) (map (g: "${toString g.container}:${toString g.gid}:1") ids.groups);

  # An owner inside the container, as the host sees it.
  onHost =
    ids: owner:
    if ids == null then
      owner
    else
      {
        uid = ids.start + owner.uid;
        gid = ids.start + owner.gid;
      };
}
