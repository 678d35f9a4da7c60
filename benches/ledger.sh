#!/usr/bin/env bash
# How the ledger's cost at evaluation grows with the number of claims: function calls
# (the same in every run) and processor time (median of RUNS), minus those of an evaluation
# without claims. If the growth is n log n, the last column is nearly constant.
#
#   AISTACK_NIX=…/nix RUNS=5 benches/ledger.sh
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-5}

nix_() {
    if [[ -n ${AISTACK_NIX:-} ]]; then "$AISTACK_NIX" "$@"; else nix --extra-experimental-features 'nix-command flakes' "$@"; fi
}
# stats N -> "calls cpuSeconds"
stats() {
    NIX_SHOW_STATS=1 nix_ eval --no-eval-cache .#lib.benchLedger --apply "f: assert f $1 == 0; 0" 2>&1 >/dev/null |
        awk -F'[:,]' '/"cpuTime"/ && !t {t=$2} /"nrFunctionCalls"/ {c=$2} END {print c, t}'
}
median() { for ((i = 0; i < runs; i++)); do stats "$1"; done | sort -k2 -n | awk '{l[NR]=$0} END {print l[int((NR+1)/2)]}'; }

read -r zero_calls zero_time < <(median 0)
echo "claims  function calls  processor time  calls / (n log2 n)"
for n in 10 100 1000 5000; do
    read -r calls time < <(median "$n")
    awk -v n="$n" -v c="$calls" -v t="$time" -v zc="$zero_calls" -v zt="$zero_time" \
        'BEGIN { printf "%6d  %14d  %11.1f ms  %18.2f\n", n, c - zc, (t - zt) * 1000, (c - zc) / (n * log(n) / log(2)) }'
done
