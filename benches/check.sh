#!/usr/bin/env bash
# benches/check.sh [RUNS] - what `aistack check` adds to its slowest probe.
#
# Twelve HTTP endpoints on loopback with their own stack.json. The slowest one answers after
# 300 ms. A fake systemctl in PATH reports every unit as active, so systemd is not measured,
# but everything else is: start, reading, sockets, threads, probes, report. Prints the median
# and the worst of RUNS (default 40) runs. The target is at most 20 ms more than the slowest
# probe. AISTACK_BIN: another aistack than cargo's.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-40}
slowest=300
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

aistack=${AISTACK_BIN:-}
if [ -z "$aistack" ]; then
    cargo build --quiet --release -p aistack
    aistack=${CARGO_TARGET_DIR:-target}/release/aistack
fi

mkdir "$work/fake-bin"
cat >"$work/fake-bin/systemctl" <<'FAKE'
#!/bin/sh
# A fake systemctl for the benchmark: every unit is active.
for word; do
    case $word in
    *.service) printf 'Id=%s\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\nNRestarts=0\n\n' "$word" ;;
    esac
done
FAKE
chmod +x "$work/fake-bin/systemctl"

python3 benches/check-endpoints.py "$work/stack.json" "$slowest" >"$work/ready" &
server=$!
for _ in $(seq 100); do
    grep -q ready "$work/ready" && break
    sleep 0.05
done
grep -q ready "$work/ready" || {
    echo "benches/check.sh: the endpoints did not start" >&2
    exit 2
}

PATH="$work/fake-bin:$PATH" python3 - "$runs" "$slowest" "$aistack" "$work/stack.json" <<'PY'
import json
import statistics
import subprocess
import sys
import time

runs, slowest = int(sys.argv[1]), float(sys.argv[2])
command = [sys.argv[3], "check", "--json", "--stack", sys.argv[4]]
over, over_probe = [], []
for _ in range(runs + 3):
    start = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    took = (time.perf_counter() - start) * 1000
    report = json.loads(done.stdout)
    if done.returncode != 0 or report["notOk"] or report["ok"] != 36:
        sys.exit(f"benches/check.sh: the check itself failed: {report}")
    probe = max(check["latencyMs"] or 0 for check in report["checks"])
    over.append(took - slowest)
    over_probe.append(took - probe)
over, over_probe = over[3:], over_probe[3:]  # the first ones warm up
print(f"aistack check, 12 endpoints, the slowest answers after {slowest:.0f} ms, {runs} runs")
print(f"over that answer:       median {statistics.median(over):5.1f} ms, worst {max(over):5.1f} ms")
print(f"over the slowest probe: median {statistics.median(over_probe):5.1f} ms, worst {max(over_probe):5.1f} ms")
within = statistics.median(over) <= 20
print("within 20 ms" if within else "NOT within 20 ms")
sys.exit(0 if within else 1)
PY
