# Finds values that look like secrets, and would end up readable by everyone in the store.
{ lib }:
let
  inherit (lib) any hasPrefix toLower;
in
rec {
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
        # A number is a count of tokens, not a secret.
        || (named "(.*_)?(TOKEN|BEARER)(_.*)?" && builtins.match "[0-9]+" value == null);
      points = any (s: lib.hasSuffix s upper) [
        "_FILE"
        "_PATH"
        "_DIR"
        "_URL"
        "_NAME"
      ];
      # References to a place from which the program reads the value.
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
}
