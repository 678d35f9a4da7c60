# The ledger: everything on one host that only one owner can use. Claims are grouped or sorted
# before they are compared, so the work grows as n log n with their number and not with its square.
#
# A claim is { kind, owner, option, … }:
#   port       protocol, address, port
#   directory  path, exclusive (whether the owner writes there)
#   name       domain (containers or networks of one podman), name
#   gpu        slot; only shown here, gpu.nix compares the memory
#   ids        of (user, group or both), start, size: a range of the host's ids
{ lib, addresses }:
let
  inherit (lib)
    concatLists
    concatMap
    concatMapStringsSep
    concatStringsSep
    drop
    elemAt
    filter
    foldl'
    genList
    groupBy
    hasPrefix
    head
    imap0
    length
    mapAttrsToList
    max
    sort
    stringLength
    ;

  ofKind = kind: filter (c: c.kind == kind);

  pairs =
    meets: claims:
    concatLists (
      imap0 (
        i: a: concatMap (b: if meets a b then [ { inherit a b; } ] else [ ]) (drop (i + 1) claims)
      ) claims
    );

  grouped =
    key: meets: claims:
    concatMap (pairs meets) (filter (g: length g > 1) (mapAttrsToList (_: g: g) (groupBy key claims)));

  # Sorted by path, a folder comes right before its content, so each claim is compared only with
  # the folders that contain it.
  nested =
    claims:
    let
      end = c: "${lib.removeSuffix "/" c.path}/";
      sorted = sort (a: b: end a < end b) claims;
      step =
        state: c:
        let
          around = filter (outer: hasPrefix (end outer) (end c)) state.around;
        in
        {
          around = around ++ [ c ];
          found =
            state.found
            ++ map (outer: {
              a = outer;
              b = c;
            }) (filter (outer: outer.exclusive || c.exclusive) around);
        };
    in
    (foldl' step {
      around = [ ];
      found = [ ];
    } sorted).found;

  # Ranges of ids that overlap: sorted by start, each range is compared with those that have not
  # ended before its start.
  overlapping =
    claims:
    let
      sorted = sort (a: b: a.start < b.start) claims;
      step =
        state: c:
        let
          open = filter (o: o.start + o.size > c.start) state.open;
        in
        {
          open = open ++ [ c ];
          found =
            state.found
            ++ map (o: {
              a = o;
              b = c;
            }) (filter (o: o.of == c.of || o.of == "both" || c.of == "both") open);
        };
    in
    (foldl' step {
      open = [ ];
      found = [ ];
    } sorted).found;

  idRange = c: "${toString c.start or 0}-${toString (c.start or 0 + c.size or 0 - 1)}";

  describe =
    c:
    {
      port = "port ${toString c.port or 0}/${c.protocol or ""} on ${c.address or ""}";
      directory = "data directory ${c.path or ""}";
      name = "${c.domain or ""} name ${c.name or ""}";
      gpu = "GPU in slot ${c.slot or ""}";
      ids = "${if c.of or "" == "both" then "user and group" else c.of or ""} ids ${idRange c}";
    }
    .${c.kind};

  short =
    c:
    {
      port = "${addresses.bracket (c.address or "")}:${toString c.port or 0}/${c.protocol or ""}";
      directory = c.path or "";
      name = "${c.domain or ""}:${c.name or ""}";
      gpu = c.slot or "";
      ids = idRange c;
    }
    .${c.kind};

  side = c: "    - ${c.owner}: ${describe c}; to move it, change ${c.option}";
in
{
  # claims -> [ { a, b } ]
  conflicts =
    claims:
    grouped (c: "${c.protocol}/${toString c.port}") (
      a: b: addresses.addressesMeet a.address b.address
    ) (ofKind "port" claims)
    ++ nested (ofKind "directory" claims)
    ++ overlapping (ofKind "ids" claims)
    ++ grouped (c: "${c.domain}/${c.name}") (_: _: true) (ofKind "name" claims);

  # One message for all conflicts.
  report =
    found:
    "services.aiStack: ${toString (length found)} conflict(s) on this host:\n"
    + concatMapStringsSep "\n" (
      { a, b }:
      "  claimed twice: ${describe a}\n${side a}\n${side b}"
    ) found;

  # All claims as an aligned table, one per line, for `ledger.table`.
  table =
    claims:
    let
      row = c: [
        c.kind
        (short c)
        c.owner
        c.option
      ];
      rows = [
        [
          "KIND"
          "CLAIM"
          "OWNER"
          "OPTION"
        ]
      ]
      ++ sort (a: b: a < b) (map row claims);
      widths = map (i: foldl' max 0 (map (r: stringLength (elemAt r i)) rows)) [
        0
        1
        2
      ];
      pad = n: s: s + concatStringsSep "" (genList (_: " ") (n - stringLength s));
      line =
        r: concatStringsSep "  " (imap0 (i: cell: if i < 3 then pad (elemAt widths i) cell else cell) r);
    in
    if rows == [ (head rows) ] then
      "nothing is claimed\n"
    else
      concatMapStringsSep "\n" line rows + "\n";
}
