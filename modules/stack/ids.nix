# User and group ids of containers in system scope. Each container has a range of the
# host's ids to itself, so that no account of the host and no other container can read its
# files, look into its processes or send them signals.
#
# The ranges lie where systemd says that nobody else takes ids: above its containers
# (…1879048191) and below its foreign range (2147352576…).
# Source: https://systemd.io/UIDS-GIDS/, "Summary".
{ lib }:
rec {
  # Ids in a range. `nobody` is 65534, so an image may use all 16 bits.
  size = 65536;
  first = 1879048192;
  ranges = 4094;

  # The first id of a service's range. It depends on the container's name alone: adding or
  # removing a service moves the files of no other. Two names that meet are a conflict in the
  # ledger; those of the catalogue do not, which a test holds.
  startOf =
    name:
    first
    +
      size
      * lib.mod (lib.fromHexString (
        builtins.substring 0 8 (builtins.hashString "sha256" "local-ai-${name}")
      )) ranges;

  # Groups of the host that a container keeps. They get ids above the range's own.
  groupIn = index: size + index;

  # What a service gets of ids; null: those of the host (user scope has its own ways).
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
