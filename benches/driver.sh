#!/usr/bin/env bash
# benches/driver.sh [RUNS] - 50 checks by aistack-testdriver, and by goss if it is installed.
#
# Twenty HTTP requests and twenty connections to one server on loopback, five units and five
# files. A fake systemctl in PATH reports every unit as active. Prints
# the median, the shortest and the longest wall time of RUNS (default 30) runs, the largest memory of one
# (GNU time) and the size of the stripped program; the target for that is under 4 MB.
# TESTDRIVER_BIN: another aistack-testdriver than cargo's.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-30}
work=$(mktemp -d)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

driver=${TESTDRIVER_BIN:-}
if [ -z "$driver" ]; then
    cargo build --quiet --release -p aistack-testdriver
    driver=${CARGO_TARGET_DIR:-target}/release/aistack-testdriver
fi
driver=$(realpath "$driver")

mkdir "$work/bin"
cat >"$work/bin/systemctl" <<'FAKE'
#!/bin/sh
# A fake systemctl for the benchmark: every unit is active.
for word; do
    case $word in
    *.service) printf 'Id=%s\nLoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n\n' "$word" ;;
    esac
done
FAKE
chmod +x "$work/bin/systemctl"

python3 - "$work" <<'PY' &
import http.server, json, socketserver, sys

work = sys.argv[1]

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 128

server = Server(("127.0.0.1", 0), Handler)
port = server.server_address[1]
files = ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/shells", "/etc/hostname"]
steps = [{"http": {"url": f"http://127.0.0.1:{port}/{n}", "expect": {"body": {"equals": "ok"}}}} for n in range(20)]
steps += [{"tcp": {"number": port}} for _ in range(20)]
steps += [{"unit": {"unit": f"u{n}.service"}} for n in range(5)]
steps += [{"file": {"path": f}} for f in files]
json.dump({"schema": 1, "name": "bench", "groups": [{"parallel": True, "steps": steps}]}, open(f"{work}/bench.json", "w"))
json.dump({"schema": 1, "host": "box", "scope": "system", "user": None, "dataRoot": "/", "target": "t.target",
           "network": "n", "services": {}}, open(f"{work}/stack.json", "w"))
json.dump({"http": {f"http://127.0.0.1:{port}/{n}": {"status": 200, "body": ["ok"]} for n in range(20)},
           "addr": {f"tcp://127.0.0.1:{port}#{n}": {"address": f"tcp://127.0.0.1:{port}", "reachable": True} for n in range(20)},
           "service": {f"u{n}": {"running": True} for n in range(5)},
           "file": {f: {"exists": True} for f in files}}, open(f"{work}/goss.json", "w"))
open(f"{work}/ready", "w").close()
server.serve_forever()
PY
server=$!
for _ in $(seq 100); do
    [ -e "$work/ready" ] && break
    sleep 0.05
done

export PATH=$work/bin:$PATH
commands=("$driver run $work/bench.json --stack $work/stack.json")
if command -v goss >/dev/null; then
    commands+=("goss --gossfile $work/goss.json validate")
else
    echo "goss: not installed here, so not compared"
fi
# The two programs alternate, so that other load affects both equally.
python3 - "$runs" "${commands[@]}" <<'PY'
import statistics, subprocess, sys, time

runs, commands = int(sys.argv[1]), sys.argv[2:]
times = {command: [] for command in commands}
for run in range(runs):
    for command in commands if run % 2 else commands[::-1]:
        begin = time.monotonic()
        done = subprocess.run(command.split(), capture_output=True, text=True)
        times[command].append((time.monotonic() - begin) * 1e3)
        if done.returncode:
            sys.exit(f"benches/driver.sh: {command} ended with {done.returncode}: {done.stdout}{done.stderr}")
for command, all in times.items():
    name = command.split()[0].rsplit("/", 1)[-1]
    print(f"{name}: median {statistics.median(all):.1f} ms, least {min(all):.1f} ms, worst {max(all):.1f} ms")
PY
for command in "${commands[@]}"; do
    read -ra words <<<"$command"
    # Not measured by Python: until its exec, a child has the size of Python.
    command time --format "${words[0]##*/}: %M KiB at most" "${words[@]}" 2>&1 >/dev/null | tail -n 1
done
size=$(stat -c %s "$driver")
echo "size: $((size / 1000)) kB"
[ "$size" -lt 4000000 ]
