# shellcheck shell=bash disable=SC2154 # the derivation sets the variables below
# The builder of pkgs/vendor.nix: unpacks crates into a vendor folder for cargo.
#   cratesPath   file with one line for each crate: NAME-VERSION SHA256 ARCHIVE
#   out          the folder to make
mkdir -p "$out/crates-io"
while read -r crate checksum archive; do
    mkdir "$out/crates-io/$crate"
    tar -xzf "$archive" -C "$out/crates-io/$crate" --strip-components=1 --no-same-owner
    # cargo compares the checksum with Cargo.lock's; a file that is not listed is not compared:
    # cargo, src/cargo/sources/directory.rs.
    printf '{"files":{},"package":"%s"}' "$checksum" >"$out/crates-io/$crate/.cargo-checksum.json"
done <"$cratesPath"
cat >"$out/config.toml" <<END
[source.crates-io]
replace-with = "vendored"
[source.vendored]
directory = "$out/crates-io"
END
