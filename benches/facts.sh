#!/usr/bin/env bash
# How long `aistack facts` takes, compared with lshw and hwinfo.
#
# Whole processes, warm caches, measured by hyperfine in one run. Needs hyperfine,
# lshw, hwinfo and jq (Debian: apt-get install hyperfine lshw hwinfo jq) and, for
# the complete output of lshw and hwinfo, root.
#
# Usage: benches/facts.sh [--check]
#   --check   exit 1 when a target is missed (under 5 ms, 20 times faster than either)
set -euo pipefail
cd "$(dirname "$0")/.."

check=false
case "${1-}" in
'') ;;
--check) check=true ;;
*)
    echo "usage: benches/facts.sh [--check]" >&2
    exit 2
    ;;
esac

missing=()
for program in cargo hyperfine lshw hwinfo jq; do
    # lshw and hwinfo are in sbin, which is not in every PATH.
    PATH="$PATH:/usr/sbin:/sbin" command -v "$program" >/dev/null || missing+=("$program")
done
PATH="$PATH:/usr/sbin:/sbin"
if ((${#missing[@]} > 0)); then
    echo "benches/facts.sh: missing: ${missing[*]} (Debian: apt-get install hyperfine lshw hwinfo jq)" >&2
    exit 2
fi

cargo build --release --quiet --package aistack
aistack="${CARGO_TARGET_DIR:-target}/release/aistack"
result=$(mktemp)
trap 'rm -f "$result"' EXIT

# -N: no shell, because its start would be most of the measured time.
hyperfine -N --warmup 3 --min-runs 10 --export-json "$result" \
    --command-name 'aistack facts' "$aistack facts" \
    --command-name 'lshw -json' 'lshw -json' \
    --command-name 'hwinfo --all' 'hwinfo --all'

echo "median of whole processes, $(nproc) CPUs:"
jq --raw-output '
  .results as [$ours, $lshw, $hwinfo]
  | def ms: . * 100000 | round / 100;
    def times($other): $other.median / $ours.median | round;
  "  aistack facts  \($ours.median | ms) ms (fastest \($ours.min | ms), slowest \($ours.max | ms), \($ours.times | length) runs)",
  "  lshw -json     \($lshw.median | ms) ms, \(times($lshw)) times as long",
  "  hwinfo --all   \($hwinfo.median | ms) ms, \(times($hwinfo)) times as long"
' "$result"

if $check; then
    jq --exit-status '
    .results as [$ours, $lshw, $hwinfo]
    | $ours.median < 0.005
      and $lshw.median >= 20 * $ours.median
      and $hwinfo.median >= 20 * $ours.median
  ' "$result" >/dev/null || {
        echo "benches/facts.sh: a target is missed: under 5 ms, and 20 times faster than either" >&2
        exit 1
    }
fi
