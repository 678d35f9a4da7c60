# Images that the tests load from archives, so that no machine needs a network. Redis is
# nixpkgs' own; what stands in for the rest says so in its name.
{ pkgs }:
let
  inherit (pkgs) lib;

  image =
    name: reference: config:
    let
      at = lib.splitString ":" reference;
    in
    pkgs.dockerTools.buildLayeredImage {
      name = lib.head at;
      tag = lib.last at;
      contents = [
        pkgs.busybox
        pkgs.dockerTools.fakeNss
      ]
      ++ config.contents or [ ];
      extraCommands = "mkdir -p -m 1777 tmp; mkdir -p data";
      config = {
        Entrypoint = config.entrypoint;
        Env = config.env or [ ];
      };
      passthru = { inherit name; };
    };

  # Answers every request with the same words.
  standin = pkgs.writeText "standin.py" ''
    import http.server, sys

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"models data choices collections app_info status ok true"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET

    http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
  '';
in
{
  redis = image "redis" "localhost/redis:test" {
    contents = [ pkgs.redis ];
    entrypoint = [ ];
  };
  standin = image "standin" "localhost/standin:test" {
    contents = [ pkgs.python3Minimal ];
    entrypoint = [
      "/bin/python3"
      standin
    ];
  };
}
