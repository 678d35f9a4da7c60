#!/usr/bin/env bash
# How long `aistack ports scan` takes on a tree of Nix files, compared with deadnix.
#
# Whole processes, warm caches, measured by hyperfine in one run. The time for one file
# counts all .nix files of the tree, for both programs. Needs hyperfine, deadnix and jq.
#
# Usage: benches/ports-scan.sh [--check] TREE…
#   --check   exit 1 when a target is missed (under 0.5 s for a tree, where it has at
#             least 3,000 files; for one file no slower than deadnix)
# RUNS: number of runs. AISTACK_BIN: another aistack than cargo's.
set -euo pipefail

check=false
if [ "${1-}" = --check ]; then
    check=true
    shift
fi
if (($# == 0)); then
    echo "usage: benches/ports-scan.sh [--check] TREE…" >&2
    exit 2
fi
trees=()
for tree; do trees+=("$(realpath "$tree")"); done
cd "$(dirname "$0")/.."

missing=()
for program in hyperfine deadnix jq; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if ((${#missing[@]} > 0)); then
    echo "benches/ports-scan.sh: missing: ${missing[*]} (nix-shell -p hyperfine deadnix jq)" >&2
    exit 2
fi

aistack=${AISTACK_BIN:-}
if [ -z "$aistack" ]; then
    cargo build --release --quiet --package aistack
    aistack="${CARGO_TARGET_DIR:-target}/release/aistack"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
missed=0
echo "median of ${RUNS:-15} runs, $(nproc) CPUs:"
echo
echo "| files | duplicates | aistack ports scan (fastest, processor time) | deadnix (fastest, processor time) | a file | of deadnix |"
echo "| --- | --- | --- | --- | --- | --- |"
for tree in "${trees[@]}"; do
    files=$(find "$tree" -name '*.nix' -type f | wc -l)
    # Both exit 1 when they have something to report.
    found=$("$aistack" ports scan --json "$tree" | jq '.duplicates | length') || [ "${found:-0}" -gt 0 ]
    hyperfine -N --ignore-failure --warmup 2 --runs "${RUNS:-15}" --export-json "$work/result" \
        "$aistack ports scan $tree" "deadnix --quiet $tree" >/dev/null 2>&1
    jq --raw-output --argjson files "$files" --argjson found "$found" '
    def times: "\(.median * 1000 | round) ms (\(.min * 1000 | round), \((.user + .system) * 1000 | round))";
    .results as [$ours, $deadnix]
    | "| \($files) | \($found) | \($ours | times) | \($deadnix | times) | \($ours.median / $files * 1e6 | round) µs | \($ours.median / $deadnix.median * 100 | round / 100) |"
  ' "$work/result"
    jq --exit-status --argjson files "$files" '
    .results as [$ours, $deadnix]
    | ($files < 3000 or $ours.median < 0.5) and $ours.median <= $deadnix.median
  ' "$work/result" >/dev/null || missed=1
done
if $check && ((missed > 0)); then
    echo "benches/ports-scan.sh: a target is missed: under 0.5 s, no slower than deadnix" >&2
    exit 1
fi
