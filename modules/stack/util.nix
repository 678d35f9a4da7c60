# Small pure functions that the core and the services share.
{ lib }:
let
  inherit (lib)
    any
    hasPrefix
    toInt
    toLower
    ;
in
rec {
  # What of a scope's systemd a boot reaches.
  bootTarget = {
    system = "multi-user.target";
    user = "default.target";
  };

  # What engines compute on.
  backends = [
    "cuda"
    "rocm"
    "vulkan"
    "sycl"
    "cpu"
  ];

  # "4G", "512m", "1024" (MiB) -> MiB.
  toMiB =
    text:
    let
      m = builtins.match "([0-9]+)([kKmMgGtT]?)[iI]?[bB]?" text;
      n = toInt (builtins.elemAt m 0);
      unit = toLower (builtins.elemAt m 1);
    in
    if m == null then
      throw "services.aiStack: \"${text}\" is no amount of memory: write a number and k, m, g or t, as in \"4g\""
    else if unit == "k" then
      n / 1024
    else if unit == "g" then
      n * 1024
    else if unit == "t" then
      n * 1024 * 1024
    else
      n;

  # The same in podman's spelling: a number alone would be bytes to it.
  memoryLimit = text: if builtins.match "[0-9]+" text != null then "${text}m" else text;

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

  # The same, where what is not an address (a name of NixOS's own modules) stays as it is.
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

  # Whether two listeners on one port are in each other's way. A v6 wildcard takes
  # v4 as well (bindv6only is off by default), so wildcards meet everything.
  addressesMeet = a: b: isWildcard a || isWildcard b || canonical a == canonical b;

  # As in a URL or a published port: IPv6 in brackets.
  bracket = address: if builtins.match ".*:.*" address != null then "[${address}]" else address;

  # Where a client on this host reaches a listener on `address`.
  reachable =
    address:
    if canonical address == "0:0:0:0:0:0:0:0" then
      "::1"
    else if isWildcard address then
      "127.0.0.1"
    else
      address;

  # "name:tag@sha256:…" -> { name, tag, digest }; a registry's port is not a tag.
  parseImage =
    reference:
    let
      m = builtins.match "([^@]+)(@(sha256:[0-9a-f]{64}))?" reference;
      named = builtins.match "(.*/[^/:]+|[^/:]+)(:([^/:]+))?" (builtins.elemAt m 0);
    in
    if reference == null then
      {
        reference = null;
        name = null;
        tag = null;
        digest = null;
      }
    else if m == null || named == null then
      throw "services.aiStack: \"${reference}\" is no image reference: write registry/name:tag@sha256:digest"
    else
      {
        inherit reference;
        name = builtins.elemAt named 0;
        tag = builtins.elemAt named 2;
        digest = builtins.elemAt m 2;
      };

  # The reference of an entry of the image lock.
  lockedReference =
    entry:
    entry.name
    + lib.optionalString (entry.tag != null) ":${entry.tag}"
    + lib.optionalString (entry.digest != null) "@${entry.digest}";

  # Whether the value under a name looks like a secret that would end up in the store. Names
  # are variables, flags and keys of settings: API_KEY, api-key and apiKey are the same.
  looksSecret =
    name: value:
    let
      upper = lib.replaceStrings [ "-" "." ] [ "_" "_" ] (lib.toUpper name);
      named = pattern: builtins.match pattern upper != null;
      secretName =
        named "(.*_)?(PASSWORD|PASSWD|PASSPHRASE|SECRET|API_?KEYS?|MASTER_?KEY|ACCESS_?KEY|SECRET_?KEY|PRIVATE_?KEY|CREDENTIALS?)(_.*)?"
        || named "(.*_)?(PASS|REQUIREPASS|MASTERAUTH)"
        || named ".*_PWD"
        || named "(.*_)?(REDIS|REDISCLI|BASIC|PROXY|HTTP|SMTP|REGISTRY)_AUTH"
        # A number of tokens is none.
        || (named "(.*_)?(TOKEN|BEARER)(_.*)?" && builtins.match "[0-9]+" value == null);
      points = any (s: lib.hasSuffix s upper) [
        "_FILE"
        "_PATH"
        "_DIR"
        "_URL"
        "_NAME"
      ];
      # Where a program is told to look for the value.
      refers = any (p: hasPrefix p value) [
        "os.environ/"
        "\${{ secrets."
        "\${{secrets."
      ];
      secretValue =
        any (p: hasPrefix p value) [
          "sk-"
          "hf_"
          "ghp_"
          "gho_"
          "github_pat_"
          "glpat-"
          "xoxb-"
          "xoxp-"
          "AKIA"
          "-----BEGIN"
        ]
        || hasLogin value;
      plain = lib.all (
        part:
        builtins.elem (toLower part) [
          ""
          "true"
          "false"
          "none"
          "null"
          "0"
          "1"
        ]
      ) (lib.splitString ";" value);
    in
    !refers && (secretValue || (secretName && !points && !plain));

  # Whether a URL has a user and a password in it.
  hasLogin = text: builtins.match ".*://[^/@: ]+:[^/@ ]+@.*" text != null;

  # The places in nested settings whose values look like secrets: "a.b.0.api_key".
  secretsIn =
    let
      walk =
        place: name: value:
        if builtins.isAttrs value then
          lib.concatLists (lib.mapAttrsToList (key: walk (place ++ [ key ]) key) value)
        else if builtins.isList value then
          lib.concatLists (lib.imap0 (at: walk (place ++ [ (toString at) ]) name) value)
        else if builtins.isString value && looksSecret name value then
          [ (lib.concatStringsSep "." place) ]
        else
          [ ];
    in
    walk [ ] "";

  # The assertion that no value at `places` looks like a secret; `instead` says what to do.
  noSecrets =
    { places, instead }:
    {
      assertion = places == [ ];
      message = "${lib.concatStringsSep ", " places} looks like a secret, and would be readable by everyone in the Nix store. ${instead}";
    };

  # The flags of a command line whose values look like secrets: `--api-key X`, `--api-key=X`.
  secretFlags =
    words:
    let
      following = lib.drop 1 words ++ [ "" ];
      of =
        word: next:
        let
          m = builtins.match "--?([^=]+)(=(.*))?" word;
          given = if m == null then null else builtins.elemAt m 2;
        in
        if m == null then
          lib.optional (looksSecret "" word) word
        else if
          looksSecret (lib.head m) (
            if given != null then
              given
            else if hasPrefix "-" next then
              ""
            else
              next
          )
        then
          [ "--${lib.head m}" ]
        else
          [ ];
    in
    lib.unique (lib.concatLists (lib.zipListsWith of words following));

  # Text for systemd's files. systemd expands `%` in most values (specifiers) and `$` in
  # commands (systemd.unit(5), systemd.service(5)); both are doubled to stay as they are. What
  # a quadlet says ends on podman's command line in `ExecStart=`: quadlet quotes the words and
  # leaves these two signs (containers/podman, pkg/systemd/parser/split.go).
  systemd = rec {
    path = lib.replaceStrings [ "%" ] [ "%%" ];
    literal = lib.replaceStrings [ "%" "$" ] [ "%%" "$$" ];
    # Every string in a value.
    literals =
      value:
      if builtins.isString value then
        literal value
      else if builtins.isList value then
        map literals value
      else if builtins.isAttrs value then
        lib.mapAttrs (_: literals) value
      else
        value;
    # One word of a list or of a command line, also with white space in it.
    word =
      text:
      if builtins.match "[^[:space:]\"'\\;]+" text != null then
        text
      else
        "\"${lib.replaceStrings [ "\\" "\"" ] [ "\\\\" "\\\"" ] text}\"";
    exec = lib.concatMapStringsSep " " (text: word (literal text));
  };

  # The value that follows the last occurrence of a flag in a command line, or null.
  lastArgument =
    words: flag:
    let
      after = lib.zipListsWith (word: value: { inherit word value; }) words (lib.drop 1 words);
      given = lib.filter (pair: pair.word == flag) after;
    in
    if given == [ ] then null else (lib.last given).value;

  # The value of the last `NAME=value` in a command line, or null.
  lastSetting =
    name: words:
    let
      given = lib.filter (hasPrefix "${name}=") words;
    in
    if given == [ ] then null else lib.removePrefix "${name}=" (lib.last given);

  # A GET from inside a container, by the client that its image has: port -> path -> command.
  httpGet = {
    # Nothing but bash and grep, for images without a client.
    bash =
      port: path:
      builtins.toJSON [
        "bash"
        "-c"
        "exec 3<>/dev/tcp/127.0.0.1/${toString port} && echo -e 'GET ${path} HTTP/1.0\\r\\n\\r' >&3 && grep -qm1 ' 200 ' <&3"
      ];

    python =
      port: path:
      builtins.toJSON [
        "python3"
        "-c"
        "import urllib.request; urllib.request.urlopen('http://127.0.0.1:${toString port}${path}', timeout=8)"
      ];

    wget = port: path: "wget -q -O /dev/null http://127.0.0.1:${toString port}${path}";

    # For an image of which nothing is known but that it answers.
    any =
      port: path:
      let
        url = "http://127.0.0.1:${toString port}${path}";
      in
      "curl -fsS -o /dev/null ${url} || wget -q -O /dev/null ${url} || python3 -c 'import urllib.request; urllib.request.urlopen(\"${url}\", timeout=8)'";

    curl = port: path: "curl -fsS -o /dev/null http://127.0.0.1:${toString port}${path}";
  };
}
