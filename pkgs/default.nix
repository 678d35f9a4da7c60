# The crates, built by crane: one derivation of dependencies, shared by the package
# and by the checks.
{
  craneLib,
  lib,
  curl,
  makeBinaryWrapper,
  skopeo,
}:
let
  root = ../.;
  src = lib.fileset.toSource {
    inherit root;
    fileset = lib.fileset.unions [
      (root + "/Cargo.toml")
      (root + "/Cargo.lock")
      (root + "/clippy.toml")
      (root + "/rust-toolchain.toml")
      (root + "/crates")
      # Compiled into `aistack init`.
      (root + "/templates")
      # Compiled into `aistack-testdriver`.
      (root + "/tests/scenarios")
      # The tests hold the code against them.
      (root + "/docs/schemas")
      (root + "/pkgs/images.json")
      (root + "/share")
      (root + "/tests/rendered")
      (root + "/tests/runtime/scenarios")
      (lib.fileset.fileFilter (file: file.name == "facts.json") (root + "/hosts"))
    ];
  };
  common = {
    inherit src;
    pname = "aistack";
    version = (lib.importTOML ../Cargo.toml).workspace.package.version;
    strictDeps = true;
  };
  cargoArtifacts = craneLib.buildDepsOnly common;
in
{
  aistack = craneLib.buildPackage (
    common
    // {
      inherit cargoArtifacts;
      cargoExtraArgs = "-p aistack -p aistack-testdriver";
      doCheck = false; # `checks` runs the tests
      nativeBuildInputs = [ makeBinaryWrapper ];
      # The programs that fetch models and copy images. Those in PATH come first, so that
      # a newer one is not hidden; podman is the system's own in any case.
      # The link is the old name of the command, which scripts and fingers know.
      postInstall = ''
        wrapProgram $out/bin/aistack --suffix PATH : ${
          lib.makeBinPath [
            curl
            skopeo
          ]
        }
        ln -s aistack $out/bin/ai-servicectl
        install -Dm644 ${../share/aistack.sh} $out/share/aistack/aistack.sh
      '';
      meta = {
        description = "Describes, checks and runs a machine's local AI stack";
        license = lib.licenses.mit;
        mainProgram = "aistack";
        platforms = lib.platforms.linux;
      };
    }
  );

  checks = {
    clippy = craneLib.cargoClippy (
      common
      // {
        inherit cargoArtifacts;
        cargoClippyExtraArgs = "--all-targets -- --deny warnings";
      }
    );
    tests = craneLib.cargoTest (
      common
      // {
        inherit cargoArtifacts;
        # Tests that find no docker-registry or podman say so.
        nativeBuildInputs = [
          curl
          skopeo
        ];
      }
    );
    fmt = craneLib.cargoFmt { inherit (common) src pname version; };
  };
}
