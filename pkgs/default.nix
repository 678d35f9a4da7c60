# Builds the crates with crane. The package and the checks share one derivation of dependencies.
{
  craneLib,
  lib,
  curl,
  # The address of aistack in the flake that `aistack init` writes.
  flakeReference,
  hwdata,
  makeBinaryWrapper,
  nftables,
  python3,
  runCommandLocal,
  skopeo,
}:
let
  root = ../.;
  crates = builtins.attrNames (builtins.readDir (root + "/crates"));

  # Sources of the programs. A change of a test or of a snapshot does not rebuild the package, and
  # the evaluation of a host reads no other files. The files of the second line are compiled into
  # `aistack init`, `aistack images` and `aistack-testdriver`.
  code = [
    "Cargo\\.toml|Cargo\\.lock|rust-toolchain\\.toml|crates(/[^/]+(/Cargo\\.toml|/src(/.*)?)?)?"
    "templates(/.*)?|pkgs(/contracts(/.*)?)?|tests(/scenarios(/.*)?)?"
  ];
  # Further files that the tests read.
  tests = [
    "clippy\\.toml|crates(/.*)?|schemas(/.*)?|share(/.*)?|pkgs/images\\.json"
    "tests(/rendered(/.*)?|/runtime(/scenarios(/.*)?)?)?|hosts(/[^/]+(/facts\\.json)?)?"
  ];
  # The files of the tree that match one of the patterns. A folder is read only if its own path
  # matches. Not `lib.fileset`, which makes the same path with 30 times the calls.
  matching =
    patterns:
    let
      pattern = lib.concatStringsSep "|" patterns;
      start = builtins.stringLength (toString root) + 1;
    in
    path: _type: builtins.match pattern (builtins.substring start (-1) path) != null;
  sourceOf =
    patterns:
    builtins.path {
      name = "source";
      path = root;
      filter = matching patterns;
    };
  filesOf =
    patterns:
    let
      keep = matching patterns;
      walk =
        dir:
        lib.concatLists (
          lib.mapAttrsToList (
            name: type:
            let
              path = dir + "/${name}";
            in
            if !(keep (toString path) type) then
              [ ]
            else if type == "directory" then
              walk path
            else
              [ (lib.removePrefix (toString root) (toString path)) ]
          ) (builtins.readDir dir)
        );
    in
    walk root;

  cargoVendorDir = import ./vendor.nix {
    inherit lib runCommandLocal;
    lockFile = root + "/Cargo.lock";
  };
  skeleton = import ./skeleton.nix {
    inherit
      lib
      runCommandLocal
      root
      crates
      ;
  };
  common = {
    inherit cargoVendorDir;
    src = sourceOf code;
    pname = "aistack";
    version = (lib.importTOML ../Cargo.toml).workspace.package.version;
    strictDeps = true;
  };
  tested = common // {
    src = sourceOf (code ++ tests);
  };
  cargoArtifacts = craneLib.buildDepsOnly (
    removeAttrs common [ "src" ]
    // {
      dummySrc = skeleton;
    }
  );
in
{
  aistack = craneLib.buildPackage (
    common
    // {
      inherit cargoArtifacts;
      # Replaces crane's default, --locked. xtask writes man pages and completions; it is built in the
      # same call, so that it shares the compiled crates.
      cargoExtraArgs = "--locked -p aistack -p aistack-testdriver -p xtask";
      # Compiled into the program: the build folder is removed after the build, and NixOS has no list
      # of PCI ids by default.
      AISTACK_FLAKE = flakeReference;
      AISTACK_PCI_IDS = "${hwdata}/share/hwdata/pci.ids";
      doCheck = false; # `checks` runs the tests
      # The list of source files, for a test: an evaluation that writes nothing to the store cannot
      # read the source itself.
      passthru = {
        files = filesOf code;
        inherit cargoVendorDir skeleton;
      };
      nativeBuildInputs = [ makeBinaryWrapper ];
      # Programs that download models, copy images and close the containers' network. Programs in
      # PATH come first, so that a newer one is used; podman is always the system's. The link is the
      # old name of the command, for existing scripts.
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
        # Tests that need docker-registry or podman report that they are missing.
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
