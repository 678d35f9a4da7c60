#!/usr/bin/env bash
# What the module costs at evaluation: one NixOS host without it, and in the forms of
# benches/hosts.nix. Two figures for each: function calls, which depend neither on the machine
# nor on its load, and the median of RUNS timed runs, taken in turn so that the machine's mood
# hits all alike. Differences and ratios are what counts.
#
#   benches/eval.sh                  calls and seconds
#   RUNS=0 benches/eval.sh           calls only: one evaluation a host
#   AISTACK_NIX=…/nix benches/eval.sh
#
# The calls come from NIX_SHOW_STATS=1, which the nix that runs must get to see.
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${RUNS:-10}
kinds=(without off hand package services seven on)

nix_() {
    if [[ -n ${AISTACK_NIX:-} ]]; then "$AISTACK_NIX" "$@"; else nix --extra-experimental-features 'nix-command flakes' "$@"; fi
}
evaluate() { nix_ eval --no-eval-cache --raw ".#lib.bench.$1" 2>"$work/stderr" >/dev/null; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# This also warms the file cache.
for kind in "${kinds[@]}"; do
    if ! NIX_SHOW_STATS=1 evaluate "$kind"; then
        echo "eval.sh: the host '$kind' does not evaluate:" >&2
        tail -n 20 "$work/stderr" >&2
        exit 1
    fi
    sed -n 's/^ *"nrFunctionCalls": \([0-9]*\).*/\1/p' "$work/stderr" >"$work/$kind.calls"
    [[ -s $work/$kind.calls ]] || {
        echo "eval.sh: nix printed no statistics; set AISTACK_NIX to a nix that passes NIX_SHOW_STATS on" >&2
        exit 1
    }
done
for ((i = 0; i < runs; i++)); do
    for kind in "${kinds[@]}"; do
        began=$EPOCHREALTIME
        evaluate "$kind"
        ended=$EPOCHREALTIME
        echo $((${ended/./} - ${began/./})) >>"$work/$kind.times"
    done
done

calls() { cat "$work/$1.calls"; }
median() {
    [[ $runs != 0 ]] || return 0
    sort -n "$work/$1.times" | awk '{v[NR]=$1} END {print NR % 2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2}'
}
row() { # TEXT KIND COMPARED-WITH
    awk -v text="$1" -v a="$(calls "$2")" -v b="$(calls "$3")" -v s="$(median "$2")" -v t="$(median "$3")" 'BEGIN {
    printf "  %-34s %+9d calls %+6.1f %%", text, a - b, (a / b - 1) * 100
    if (s != "") printf "   %+6.2f s", (s - t) / 1e6
    print ""
  }'
}
# verdict TEXT VALUE TARGET: a line that says whether VALUE is at most TARGET.
verdict() {
    awk -v text="$1" -v v="$2" -v t="$3" 'BEGIN { printf "  %-34s %9s   target: at most %s   %s\n", text, v, t, v + 0 <= t + 0 ? "met" : "MISSED" }'
}

echo "a whole NixOS host (system.build.toplevel) without the module: $(calls without) calls$(
    median without | awk '{ printf ", %.2f s (median of '"$runs"' runs)", $1 / 1e6 }'
)"
row "the module, disabled" off without
row "six containers by hand" hand without
row "six services, stand-in package" services without
row "six services with the package" on without
row "the package alone" package without
row "one more service" seven services
echo "targets"
over() { echo $(($(calls "$1") - $(calls "$2"))); }
verdict "services / containers by hand" \
    "$(awk -v a="$(over services without)" -v b="$(over hand without)" 'BEGIN { printf "%.2f", a / b }')" 1.5
verdict "the package, calls" "$(over package without)" 100000
verdict "one more service, calls" "$(over seven services)" 15000
if [[ $runs != 0 ]]; then
    verdict "the module, disabled, % of seconds" \
        "$(awk -v a="$(median off)" -v b="$(median without)" 'BEGIN { printf "%.1f", (a / b - 1) * 100 }')" 2
    verdict "six services with the package, s" \
        "$(awk -v a="$(median on)" -v b="$(median without)" 'BEGIN { printf "%.2f", (a - b) / 1e6 }')" 1.5
fi
