# IP addresses: their one spelling, and how listeners and clients use them.
{ lib }:
let
  inherit (lib) hasPrefix toInt toLower;
in
rec {
  types.address = lib.types.addCheck lib.types.str (text: canonicalOrNull text != null) // {
    description = "IPv4 or IPv6 address, without brackets or a port";
  };

  # One spelling for each address: IPv6 in eight groups without leading zeros, an
  # IPv4-mapped one (::ffff:127.0.0.1) as IPv4; null for what is not an address.
  # The cases are in crates/aistack-machine/tests/fixtures/addresses.json, and the tools
  # follow the same ones.
  canonicalOrNull =
    address:
    let
      octet = "(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])";
      octets = builtins.match "${octet}\\.${octet}\\.${octet}\\.${octet}";
      # The groups that a piece between two colons stands for; null: it is not a group.
      group =
        piece:
        if builtins.match "[0-9a-fA-F]{1,4}" piece != null then [ (lib.fromHexString piece) ] else null;
      v4Groups =
        piece:
        let
          n = map toInt (octets piece);
          at = builtins.elemAt n;
        in
        if octets piece == null then
          null
        else
          [
            (at 0 * 256 + at 1)
            (at 2 * 256 + at 3)
          ];
      pieces = half: if half == "" then [ ] else lib.splitString ":" half;
      # IPv4 may stand at the very end alone.
      groups =
        half: mayEndInV4:
        let
          all = pieces half;
          last = lib.last all;
          found = map group (if mayEndInV4 && octets last != null then lib.init all else all);
          end = if mayEndInV4 && all != [ ] && octets last != null then [ (v4Groups last) ] else [ ];
          parsed = if all == [ ] then [ ] else found ++ end;
        in
        if builtins.elem null parsed then null else lib.concatLists parsed;
      halves = lib.splitString "::" address;
      left = groups (builtins.head halves) (builtins.length halves == 1);
      right = groups (lib.last halves) true;
      missing = 8 - builtins.length left - builtins.length right;
      eight =
        if builtins.length halves == 1 then
          if left != null && builtins.length left == 8 then left else null
        else if builtins.length halves == 2 && left != null && right != null && missing >= 1 then
          left ++ builtins.genList (_: 0) missing ++ right
        else
          null;
      byte = n: "${toString (n / 256)}.${toString (lib.mod n 256)}";
    in
    if octets address != null then
      address
    else if eight == null || builtins.match ".*:.*" address == null then
      null
    else if
      lib.take 6 eight == [
        0
        0
        0
        0
        0
        65535
      ]
    then
      "${byte (builtins.elemAt eight 6)}.${byte (builtins.elemAt eight 7)}"
    else
      lib.concatMapStringsSep ":" (n: toLower (lib.toHexString n)) eight;

  # The same, but a text that is not an address (a name in NixOS's own modules) is returned
  # unchanged.
  canonical =
    address:
    let
      found = canonicalOrNull address;
    in
    if found == null then address else found;

  isLoopback =
    address:
    hasPrefix "127." (canonical address)
    || canonical address == "0:0:0:0:0:0:0:1"
    || address == "localhost";

  isWildcard =
    address:
    address == ""
    || builtins.elem (canonical address) [
      "0.0.0.0"
      "0:0:0:0:0:0:0:0"
    ];

  # Whether two listeners on one port conflict. A v6 wildcard includes v4 (bindv6only is disabled
  # by default), so a wildcard conflicts with every address.
  addressesMeet = a: b: isWildcard a || isWildcard b || canonical a == canonical b;

  # The notation in a URL or a published port: IPv6 in brackets.
  bracket = address: if builtins.match ".*:.*" address != null then "[${address}]" else address;

  # The address at which a client on this host reaches a listener on `address`.
  reachable =
    address:
    if canonical address == "0:0:0:0:0:0:0:0" then
      "::1"
    else if isWildcard address then
      "127.0.0.1"
    else
      address;
}
