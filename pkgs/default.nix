# The crates, built by crane: one derivation of dependencies, shared by the package
# and by the checks.
{ craneLib, lib }:
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
      # The tests hold the code against them.
      (root + "/docs/schemas")
      (root + "/tests/rendered")
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
      cargoExtraArgs = "-p aistack";
      doCheck = false; # `checks` runs the tests
      # The old name of the command, which scripts and fingers know.
      postInstall = "ln -s aistack $out/bin/ai-servicectl";
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
    tests = craneLib.cargoTest (common // { inherit cargoArtifacts; });
    fmt = craneLib.cargoFmt { inherit (common) src pname version; };
  };
}
