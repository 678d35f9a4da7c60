# Images that the tests load from archives, so that no machine needs a network: nixpkgs'
# own servers, with the names and folders of the official images. A stand-in says so in its name.
{ pkgs }:
let
  inherit (pkgs) lib;

  # The users of the official images: initdb needs the name of its user.
  users = {
    root = 0;
    redis = 999;
    server = 1000;
    nobody = 65534;
  };
  names = pkgs.symlinkJoin {
    name = "names";
    paths = [
      (pkgs.writeTextDir "etc/passwd" (
        lib.concatStrings (
          lib.mapAttrsToList (n: id: "${n}:x:${toString id}:${toString id}::/:/bin/sh\n") users
        )
      ))
      (pkgs.writeTextDir "etc/group" (
        lib.concatStrings (lib.mapAttrsToList (n: id: "${n}:x:${toString id}:\n") users)
      ))
    ];
  };

  image =
    name:
    {
      contents ? [ ],
      # World-writable folders.
      folders ? [ "data" ],
      config ? { },
    }:
    let
      all = [
        pkgs.busybox
        names
      ]
      ++ contents;
    in
    pkgs.dockerTools.buildLayeredImage {
      name = "localhost/${name}";
      tag = "test";
      contents = all;
      extraCommands = lib.concatMapStrings (folder: "mkdir -p -m 1777 ${folder}\n") (
        [ "tmp" ] ++ folders
      );
      inherit config;
      passthru.contents = all;
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
  # A random model of about a megabyte.
  model = pkgs.runCommand "tiny.gguf" {
    nativeBuildInputs = [ pkgs.python3 ];
  } "python3 ${../runtime/lib/mkgguf.py} $out";

  images = lib.mapAttrs image {
    redis.contents = [ pkgs.redis ];
    # The same image under another name, for tests that change an image.
    redis-again.contents = [ pkgs.redis ];
    postgres = {
      contents = [
        pkgs.bash
        # The community edition of TimescaleDB is not free software, and no test needs it.
        (pkgs.postgresql.withPackages (extensions: [
          extensions.timescaledb-apache
          extensions.pgvector
        ]))
      ];
      folders = [
        "home/postgres/pgdata"
        "run/postgresql"
      ];
      config = {
        Entrypoint = [
          "/bin/bash"
          ../runtime/images/postgres/docker-entrypoint.sh
        ];
        WorkingDir = "/home/postgres";
      };
    };
    qdrant = {
      # The health check uses bash.
      contents = [
        pkgs.bash
        pkgs.qdrant
      ];
      folders = [
        "qdrant/storage"
        "qdrant/snapshots"
      ];
      config = {
        Cmd = [ "/bin/qdrant" ];
        WorkingDir = "/qdrant";
      };
    };
    llama-cpp = {
      contents = [
        pkgs.curl
        pkgs.llama-cpp
      ];
      config.Entrypoint = [ "/bin/llama-server" ];
    };
    standin = {
      contents = [ pkgs.python3Minimal ];
      config.Entrypoint = [
        "/bin/python3"
        standin
      ];
    };
  };
}
