# The crates, built by crane: one derivation of dependencies, shared by the package
# and by the checks.
{
  craneLib,
  lib,
  curl,
  # Where `aistack init` says that the new flake gets aistack from.
  flakeReference,
  hwdata,
  makeBinaryWrapper,
  nftables,
  python3,
  skopeo,
}:
let
  root = ../.;
  crates = builtins.attrNames (builtins.readDir (root + "/crates"));
  sourceOf =
    files:
    lib.fileset.toSource {
      inherit root;
      fileset = lib.fileset.unions files;
    };
  # What the programs are made of: a change of a test or of a snapshot makes no new package,
  # and a host that is evaluated reads no more than this.
  code = [
    (root + "/Cargo.toml")
    (root + "/Cargo.lock")
    (root + "/rust-toolchain.toml")
    # Compiled into `aistack init`.
    (root + "/templates")
    # Compiled into `aistack images`.
    (root + "/pkgs/contracts")
    # Compiled into `aistack-testdriver`.
    (root + "/tests/scenarios")
  ]
  ++ lib.concatMap (crate: [
    (root + "/crates/${crate}/Cargo.toml")
    (root + "/crates/${crate}/src")
  ]) crates;
  # What they are held against.
  tests = [
    (root + "/clippy.toml")
    (root + "/crates")
    (root + "/schemas")
    (root + "/pkgs/images.json")
    (root + "/share")
    (root + "/tests/rendered")
    (root + "/tests/runtime/scenarios")
    (lib.fileset.fileFilter (file: file.name == "facts.json") (root + "/hosts"))
  ];
  common = {
    src = sourceOf code;
    pname = "aistack";
    version = (lib.importTOML ../Cargo.toml).workspace.package.version;
    strictDeps = true;
  };
  tested = common // {
    src = sourceOf (code ++ tests);
  };
  cargoArtifacts = craneLib.buildDepsOnly common;
in
{
  aistack = craneLib.buildPackage (
    common
    // {
      inherit cargoArtifacts;
      # In the place of crane's own, which is --locked. xtask writes man pages and completions;
      # built in the same call, so that it shares the compiled crates.
      cargoExtraArgs = "--locked -p aistack -p aistack-testdriver -p xtask";
      # Compiled in. The folder that Nix builds in is gone afterwards, and a NixOS system has no
      # list of PCI ids unless somebody installs it.
      AISTACK_FLAKE = flakeReference;
      AISTACK_PCI_IDS = "${hwdata}/share/hwdata/pci.ids";
      doCheck = false; # `checks` runs the tests
      # The files that it is made of, for a test: the source itself is no part of an evaluation
      # that writes nothing to the store.
      passthru.files = map (file: lib.removePrefix (toString root) (toString file)) (
        lib.fileset.toList (lib.fileset.unions code)
      );
      nativeBuildInputs = [ makeBinaryWrapper ];
      # The programs that fetch models, copy images and close the containers' network. Those
      # in PATH come first, so that a newer one is not hidden; podman is the system's own in any case.
      # The link is the old name of the command, which scripts and fingers know.
      postInstall = ''
        $out/bin/xtask $out/share
        rm $out/bin/xtask
        wrapProgram $out/bin/aistack --suffix PATH : ${
          lib.makeBinPath [
            curl
            nftables
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
      tested
      // {
        inherit cargoArtifacts;
        cargoClippyExtraArgs = "--all-targets -- --deny warnings";
      }
    );
    tests = craneLib.cargoTest (
      tested
      // {
        inherit cargoArtifacts;
        # Tests that find no docker-registry or podman say so.
        nativeBuildInputs = [
          curl
          python3
          skopeo
        ];
      }
    );
    fmt = craneLib.cargoFmt { inherit (tested) src pname version; };
  };
}
