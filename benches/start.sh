#!/usr/bin/env bash
# How long the full stack takes from no container to all healthy (images present), in user scope,
# compared with its containers started one after the other. On the machine that the runtime stage boots.
#
#   benches/start.sh [SNAPSHOT…]      default: home-ai home-everything of tests/rendered
set -euo pipefail
cd "$(dirname "$0")/.."

[[ $# != 0 ]] || set -- home-ai home-everything
echo "| stack | services | together | one after the other | share |"
echo "| --- | --- | --- | --- | --- |"
for snapshot in "$@"; do
    out=$(tests/runtime/run --snapshot "tests/rendered/$snapshot" start) || {
        grep '^FAIL' <<<"$out" >&2
        exit 1
    }
    grep '^|' <<<"$out"
done
