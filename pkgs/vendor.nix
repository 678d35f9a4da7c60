# The crates of Cargo.lock as a vendor folder for cargo with its config.toml, in one derivation.
# crane's vendorCargoDeps makes the same with two derivations of stdenv for each crate, which took
# four fifths of the package's evaluation time (docs/decisions/0024).
{
  lib,
  runCommandLocal,
  lockFile,
}:
let
  registry = "registry+https://github.com/rust-lang/crates.io-index";

  # nix's own downloader, a derivation without stdenv: NixOS/nix, src/libexpr/fetchurl.nix.
  fetch = import <nix/fetchurl.nix>;

  line =
    {
      name,
      version,
      source,
      checksum ? null,
      ...
    }:
    let
      crate = "${name}-${version}";
    in
    if source != registry || checksum == null then
      throw "Cargo.lock: ${name} ${version} comes from ${source}, and pkgs/vendor.nix only fetches from crates.io: use a published crate, or add that source to pkgs/vendor.nix."
    else
      "${crate} ${checksum} ${
        fetch {
          name = "${crate}.crate";
          url = "https://static.crates.io/crates/${name}/${version}/download";
          sha256 = checksum;
        }
      }\n";

  crates = lib.concatMapStrings line (
    # Packages of the workspace have no source.
    builtins.filter (package: package ? source) (lib.importTOML lockFile).package
  );
in
runCommandLocal "aistack-vendor" {
  inherit crates;
  passAsFile = [ "crates" ];
} (builtins.readFile ./vendor.sh)
