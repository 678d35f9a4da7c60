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
  runCommandLocal,
  skopeo,
}:
let
  root = ../.;
  crates = builtins.attrNames (builtins.readDir (root + "/crates"));

  # What the programs are made of: a change of a test or of a snapshot makes no new package,
  # and a host that is evaluated reads no more than this. The second line is compiled into
  # `aistack init`, `aistack images` and `aistack-testdriver`.
  code = [
    "Cargo\\.toml|Cargo\\.lock|rust-toolchain\\.toml|crates(/[^/]+(/Cargo\\.toml|/src(/.*)?)?)?"
    "templates(/.*)?|pkgs(/contracts(/.*)?)?|tests(/scenarios(/.*)?)?"
  ];
  # What they are held against.
  tests = [
    "clippy\\.toml|crates(/.*)?|schemas(/.*)?|share(/.*)?|pkgs/images\\.json"
    "tests(/rendered(/.*)?|/runtime(/scenarios(/.*)?)?)?|hosts(/[^/]+(/facts\\.json)?)?"
  ];
  # Of the whole tree what one of the patterns matches. A folder is looked into when its own
  # path matches. A filter of ours: `lib.fileset` makes the same path with 30 times the calls.
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
      passthru = {
        files = filesOf code;
        inherit cargoVendorDir skeleton;
      };
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
