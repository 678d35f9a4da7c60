#!/usr/bin/env bash
# How long `aistack ports` takes, compared with `ss -tlnp` and `lsof -i`.
#
# lsof runs with -nP. Without it, lsof asks a name server for every address, which takes
# minutes if none answers.
#
# The script opens 2,000 listening sockets in 500 processes on 127.0.0.0/8. Whole processes, warm caches, measured by hyperfine in one run.
# Needs hyperfine, ss, lsof, python3 and jq (Debian: apt-get install hyperfine iproute2
# lsof python3 jq) and, for processes of other accounts, root.
#
# Usage: benches/ports.sh [--check]
#   --check   exit 1 when a target is missed (under a third of lsof, at most 1.5 times ss)
# SOCKETS, PROCESSES, RUNS: other numbers. AISTACK_BIN: another aistack than cargo's.
set -euo pipefail
cd "$(dirname "$0")/.."

sockets=${SOCKETS:-2000} processes=${PROCESSES:-500} runs=${RUNS:-30}
check=false
case "${1-}" in
'') ;;
--check) check=true ;;
*)
    echo "usage: benches/ports.sh [--check]" >&2
    exit 2
    ;;
esac

PATH="$PATH:/usr/sbin:/sbin"
missing=()
for program in hyperfine ss lsof python3 jq; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if ((${#missing[@]} > 0)); then
    echo "benches/ports.sh: missing: ${missing[*]} (Debian: apt-get install hyperfine iproute2 lsof python3 jq)" >&2
    exit 2
fi

aistack=${AISTACK_BIN:-}
if [ -z "$aistack" ]; then
    cargo build --release --quiet --package aistack
    aistack="${CARGO_TARGET_DIR:-target}/release/aistack"
fi

work=$(mktemp -d)
cleanup() {
    exec 8>&- # the load ends with its standard input
    rm -rf "$work"
}
trap cleanup EXIT
mkfifo "$work/input"
python3 benches/ports-load.py "$sockets" "$processes" <"$work/input" >"$work/ready" &
exec 8>"$work/input"
for _ in $(seq 300); do
    grep -q ready "$work/ready" && break
    sleep 0.1
done
grep -q ready "$work/ready" || {
    echo "benches/ports.sh: the sockets could not be opened" >&2
    exit 2
}
seen=$("$aistack" ports --json 8>&- | jq '[.rows[] | select(.protocol == "tcp" and .owner.process != null)] | length')
if ((seen < sockets)); then
    echo "benches/ports.sh: aistack ports names the owners of $seen sockets, not of $sockets" >&2
    exit 2
fi

# -N: no shell. lsof exits 1 when it could not see everything.
hyperfine -N --ignore-failure --warmup 3 --runs "$runs" --export-json "$work/result" \
    --command-name 'aistack ports' "$aistack ports" \
    --command-name 'ss -tlnp' 'ss -tlnp' \
    --command-name 'lsof -nP -i' 'lsof -nP -i' >/dev/null 2>"$work/log" 8>&- || {
    cat "$work/log" >&2
    exit 2
}

echo "$sockets listening sockets, $processes processes, $(nproc) CPUs, $runs runs:"
echo
echo "| command | median | fastest | processor time | of ours |"
echo "| --- | --- | --- | --- | --- |"
jq --raw-output '
  .results[0].median as $ours
  | .results[]
  | "| `\(.command)` | \(.median * 10000 | round / 10) ms | \(.min * 10000 | round / 10) ms | \((.user + .system) * 10000 | round / 10) ms | \(.median / $ours * 100 | round / 100) |"
' "$work/result"

if $check; then
    jq --exit-status '
    .results as [$ours, $ss, $lsof]
    | $ours.median <= 1.5 * $ss.median and 3 * $ours.median < $lsof.median
  ' "$work/result" >/dev/null || {
        echo "benches/ports.sh: a target is missed: under a third of lsof, at most 1.5 times ss" >&2
        exit 1
    }
fi
