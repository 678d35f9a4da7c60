# The crates that Cargo.lock names, as a vendor folder for cargo with its config.toml: what
# crane's vendorCargoDeps makes as well, in one derivation. crane's has two of stdenv's for each
# crate, which was four fifths of what the package cost at evaluation (docs/decisions/0024).
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
      throw "Cargo.lock: ${name} ${version} comes from ${source}, and pkgs/vendor.nix fetches from crates.io alone: use a published crate, or teach it that source."
    else
      "${crate} ${checksum} ${
        fetch {
          name = "${crate}.crate";
          url = "https://static.crates.io/crates/${name}/${version}/download";
          sha256 = checksum;
        }
      }\n";

  crates = lib.concatMapStrings line (
    # Those of the workspace itself have no source.
    builtins.filter (package: package ? source) (lib.importTOML lockFile).package
  );
in
runCommandLocal "aistack-vendor" {
  inherit crates;
  passAsFile = [ "crates" ];
} (builtins.readFile ./vendor.sh)
