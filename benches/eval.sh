#!/usr/bin/env bash
# What the module costs at evaluation: one host without the module, with it off, and
# with all services on. Medians of RUNS runs in turn, so that the machine's mood hits
# all three alike. Ratios are what counts; seconds depend on the machine and on nixpkgs.
#
#   AISTACK_NIX=…/nix RUNS=10 benches/eval.sh
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-10}

nix_() {
  if [[ -n ${AISTACK_NIX:-} ]]; then "$AISTACK_NIX" "$@"; else nix --extra-experimental-features 'nix-command flakes' "$@"; fi
}
evaluate() {
  local began=$EPOCHREALTIME
  nix_ eval --no-eval-cache --raw ".#lib.bench.$1" >/dev/null 2>&1
  local ended=$EPOCHREALTIME
  echo $((${ended/./} - ${began/./}))
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
evaluate without >/dev/null # warm the file cache
for ((i = 0; i < runs; i++)); do
  for kind in without off on; do evaluate $kind >>"$work/$kind"; done
done
median() { sort -n "$work/$1" | awk '{v[NR]=$1} END {print NR % 2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'; }
awk -v w="$(median without)" -v f="$(median off)" -v o="$(median on)" -v n="$runs" 'BEGIN {
  printf "median of %d runs, a whole NixOS host (system.build.toplevel):\n", n
  printf "  without the module    %.2f s\n", w / 1e6
  printf "  with it, disabled     %.2f s   %+.1f %%   (target: at most +2 %%)\n", f / 1e6, (f / w - 1) * 100
  printf "  with six services     %.2f s   %+.2f s   (target: at most +1.50 s)\n", o / 1e6, (o - w) / 1e6
}'
