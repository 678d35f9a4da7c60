#!/usr/bin/env bash
# What user namespaces, the isolated network and the guard cost at the start of a stack in system
# scope: the same snapshot with and without them, alternating, on the machine that the runtime stage
# boots (from everything stopped, images present, to all services healthy).
#
#   RUNS=3 benches/isolation.sh [SNAPSHOT]      default: tests/rendered/workstation
set -euo pipefail
cd "$(dirname "$0")/.."
snapshot=${1:-tests/rendered/workstation}
runs=${RUNS:-3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same stack with the ids of the host and an open network. Each range begins at a multiple of
# 65536, so the id in the container is the remainder.
cp -r "$snapshot" "$work/open"
sed -i '/^UIDMap=/d; /^GIDMap=/d; /^Options=isolate/d; /aistack unit network /d; /local-ai-guard/d' "$work"/open/quadlet/*
rm -f "$work/open/units/local-ai-guard.service"
jq '.networkOptions = {} | .services[] |= (.ids = null | .data[].owner |= (if . then {uid: (.uid % 65536), gid: (.gid % 65536)} else . end))' \
    "$snapshot/stack.json" >"$work/open/stack.json"
awk '{ for (i = 1; i <= NF; i++) { n = $i; gsub(/[^0-9]/, "", n); if (n >= 1879048192) sub(n, n % 65536, $i) } print }' \
    "$snapshot/tmpfiles.conf" >"$work/open/tmpfiles.conf"
cp -r "$snapshot" "$work/closed"

for ((i = 0; i < runs; i++)); do
    for kind in open closed; do
        out=$(tests/runtime/run --snapshot "$work/$kind" boot start) || {
            grep '^FAIL' <<<"$out" >&2
            exit 1
        }
        grep "^| $kind" <<<"$out" | awk '{print $6}' >>"$work/seconds-$kind"
    done
done
median() { sort -n "$work/seconds-$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
awk -v o="$(median open)" -v c="$(median closed)" -v n="$runs" 'BEGIN {
  printf "start of the stack, median of %d: %.1f s with the ids of the host, %.1f s isolated (%+.1f %%; target: at most +5 %%)\n", n, o, c, (c / o - 1) * 100
}'
