# The workspace without its code, from which crane builds the dependencies: Cargo.lock, every
# Cargo.toml without what concerns our own code alone, and empty crates. A change of the code, of
# a lint or of a description builds no dependency again.
#
# crane's mkDummySrc does the same with one derivation for each Cargo.toml, and a program of its
# own to write TOML.
{
  lib,
  runCommandLocal,
  root,
  crates,
}:
let
  inherit (builtins)
    isAttrs
    isList
    pathExists
    toFile
    toJSON
    ;

  # Inline tables hold anything, and a string of JSON is one of TOML.
  toTOML =
    value:
    if isAttrs value then
      "{ ${lib.concatStringsSep ", " (lib.mapAttrsToList (k: v: "${toJSON k} = ${toTOML v}") value)} }"
    else if isList value then
      "[ ${lib.concatMapStringsSep ", " toTOML value} ]"
    else
      toJSON value;
  document =
    content: lib.concatStrings (lib.mapAttrsToList (k: v: "${toJSON k} = ${toTOML v}\n") content);

  program = "fn main() {}\n";

  workspace = lib.importTOML (root + "/Cargo.toml");

  crate =
    name:
    let
      folder = "crates/${name}";
      toml = lib.importTOML (root + "/${folder}/Cargo.toml");
      stub =
        file: value:
        lib.optional (pathExists (root + "/${folder}/${file}")) {
          name = "${folder}/${file}";
          inherit value;
        };
    in
    [
      {
        name = "${folder}/Cargo.toml";
        value = document (
          removeAttrs toml [ "lints" ]
          // {
            package = removeAttrs toml.package [ "description" ] // {
              # As crane does: what build scripts depend on is built too, and cargo does not take
              # an empty crate that it built for the one with the code.
              build = "empty-build.rs";
            };
          }
        );
      }
      {
        name = "${folder}/empty-build.rs";
        value = program;
      }
    ]
    ++ stub "src/lib.rs" ""
    ++ stub "src/main.rs" program;

  # Path -> text.
  files = lib.listToAttrs (lib.concatMap crate crates) // {
    "Cargo.toml" = document (workspace // { workspace = removeAttrs workspace.workspace [ "lints" ]; });
    "Cargo.lock" = builtins.readFile (root + "/Cargo.lock");
  };
in
# The same name as that of the real source: both are built in a folder that is called so.
runCommandLocal "source" { passthru = { inherit files; }; } (
  lib.concatStrings (
    lib.mapAttrsToList (
      path: text: "install -Dm644 ${toFile (baseNameOf path) text} $out/${path}\n"
    ) files
  )
)
