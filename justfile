# `just` lists the verbs. Each one is a command that also works without just.

_list:
    @just --list --unsorted

# Everything that this machine can run; says what it could not
test *stages:
    tests/run {{ stages }}

# The tests of one crate, or those with a name: just test-one aistack-gguf header
test-one crate *name:
    cargo test --locked -p {{ crate }} {{ name }}

# Format the tree by treefmt.toml
fmt:
    treefmt

# Formatters, linters, links; changes nothing
lint:
    tests/run lint

# Write tests/rendered, docs/options.md and the tool's catalog; then look at `git diff`
snapshots:
    tests/run render --update

# The JSON Schemas against their types
schemas:
    cargo test --locked --workspace schema

# Man pages and completions below target/share
docs:
    cargo run --locked -p xtask -- target/share
