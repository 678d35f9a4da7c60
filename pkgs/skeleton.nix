# The workspace without its code, from which crane builds the dependencies: Cargo.lock, every
# Cargo.toml without the parts that dependencies do not need, and empty crates. A change of the
# code, of a lint or of a description rebuilds no dependency.
#
# crane's mkDummySrc does the same with one derivation for each Cargo.toml, and with a separate
# program that writes TOML.
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

  # TOML's inline tables can hold any value, and a JSON string is a valid TOML string.
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
              # Like crane: with a build script, cargo also builds its dependencies, and does not mistake
              # the empty crate for the real one.
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
# The same name as the real source, because the build folder is named after it.
runCommandLocal "source" { passthru = { inherit files; }; } (
  lib.concatStrings (
    lib.mapAttrsToList (
      path: text: "install -Dm644 ${toFile (baseNameOf path) text} $out/${path}\n"
    ) files
  )
)
