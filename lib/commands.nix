# Command lines: values that they set, and requests of health checks inside a container.
{ lib }:
let
  inherit (lib) hasPrefix;
in
rec {
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

  # A GET request inside a container with one of its image's clients: port -> path -> command.
  httpGet = {
    # With bash and grep only, for images without an HTTP client.
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

    # For an image with unknown clients: tries several.
    any =
      port: path:
      let
        url = "http://127.0.0.1:${toString port}${path}";
      in
      "curl -fsS -o /dev/null ${url} || wget -q -O /dev/null ${url} || python3 -c 'import urllib.request; urllib.request.urlopen(\"${url}\", timeout=8)'";

    curl = port: path: "curl -fsS -o /dev/null http://127.0.0.1:${toString port}${path}";
  };
}
