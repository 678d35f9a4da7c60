# The ledger: everything on one host that can be claimed once only. Claims are
# grouped by what they claim before they are compared, so the work grows with the
# number of claims (n log n, the grouping) and not with its square.
{ lib, util }:
let
  inherit (lib)
    concatLists
    concatMap
    concatMapStringsSep
    concatStringsSep
    groupBy
    imap0
    mapAttrsToList
    ;

  # Whether two listeners on one port are in each other's way. A v6 wildcard takes
  # v4 as well (bindv6only is off by default), so wildcards meet everything.
  addressesMeet = a: b: util.isWildcard a || util.isWildcard b || a == b;

  pairs =
    meets: claims:
    concatLists (
      imap0 (
        i: a: concatMap (b: if meets a b then [ { inherit a b; } ] else [ ]) (lib.drop (i + 1) claims)
      ) claims
    );

  conflictsOf =
    key: meets: kind: claims:
    concatMap (pairs meets) (
      mapAttrsToList (_: c: c) (groupBy key (builtins.filter (c: c.kind == kind) claims))
    );

  describe =
    c:
    if c.kind == "port" then
      "port ${toString c.port}/${c.protocol} on ${c.address}"
    else if c.kind == "directory" then
      "data directory ${c.path}"
    else
      "${c.domain} name ${c.name}";

  side = c: "    - ${c.owner}: ${describe c}; to move it, change ${c.option}";
in
rec {
  # claims -> [ { a, b } ]
  conflicts =
    claims:
    conflictsOf (c: "${c.protocol}/${toString c.port}") (
      a: b: addressesMeet a.address b.address
    ) "port" claims
    ++ conflictsOf (c: c.path) (a: b: a.exclusive || b.exclusive) "directory" claims
    ++ conflictsOf (c: "${c.domain}/${c.name}") (_: _: true) "name" claims;

  # One text for all of them.
  report =
    found:
    "services.aiStack: ${toString (builtins.length found)} conflict(s) on this host:\n"
    + concatMapStringsSep "\n" ({ a, b }: "  claimed twice: ${describe a}\n${side a}\n${side b}") found;

  # Every claim, one a line, aligned: what `ledger.table` shows.
  table =
    claims:
    let
      row = c: [
        c.kind
        (
          if c.kind == "port" then
            "${util.bracket c.address}:${toString c.port}/${c.protocol}"
          else if c.kind == "directory" then
            c.path
          else
            "${c.domain}:${c.name}"
        )
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
      ++ lib.sort (a: b: a < b) (map row claims);
      width = i: lib.foldl' lib.max 0 (map (r: builtins.stringLength (builtins.elemAt r i)) rows);
      widths = map width [
        0
        1
        2
      ];
      pad = n: s: s + concatStringsSep "" (lib.genList (_: " ") (n - builtins.stringLength s));
      line =
        r:
        concatStringsSep "  " (
          imap0 (i: cell: if i < 3 then pad (builtins.elemAt widths i) cell else cell) r
        );
    in
    concatMapStringsSep "\n" line rows + "\n";
}
