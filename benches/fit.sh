#!/usr/bin/env bash
# benches/fit.sh [--check] - `aistack fit` against the memory that a real llama-server reports.
#
# Writes models of five shapes with random weights, serves each with several kinds of KV
# cache, reads from the server's log the sizes of its buffers and from /proc its resident
# memory (when it is ready, and after a prompt for each slot), and prints them next to the
# estimate. Then it compares the memory settings of modules/services/llama-cpp with
# llama.cpp's own defaults, for one model.
#
#   --check              exit 1 when a KV cache is not exact, the buffers together are off
#                        by more than 5 %, or the estimate is below the resident memory
#   AISTACK_LLAMA_TREE   root of a system with llama-server in it (as root: chroot); else
#                        the one in PATH. On Debian forky or later:
#                        mmdebstrap --include=llama.cpp-tools forky TREE
#   AISTACK_BIN          another aistack than cargo's
set -euo pipefail
cd "$(dirname "$0")/.."

check=false
case "${1-}" in
'') ;;
--check) check=true ;;
*)
    echo "usage: benches/fit.sh [--check]" >&2
    exit 2
    ;;
esac

tree=${AISTACK_LLAMA_TREE:-}
if [ -n "$tree" ]; then
    [ -x "$tree/usr/bin/llama-server" ] || {
        echo "benches/fit.sh: no /usr/bin/llama-server in $tree" >&2
        exit 2
    }
elif ! command -v llama-server >/dev/null; then
    echo "benches/fit.sh: no llama-server in PATH; see AISTACK_LLAMA_TREE" >&2
    exit 2
fi
aistack=${AISTACK_BIN:-}
if [ -z "$aistack" ]; then
    cargo build --quiet --release -p aistack
    aistack=${CARGO_TARGET_DIR:-target}/release/aistack
fi

work=$(mktemp -d)
server=
stop() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    [ -z "$server" ] || wait "$server" 2>/dev/null || true
    server=
}
trap 'stop; rm -rf "$work"' EXIT
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# serve MODEL ARGUMENTS... - starts the server; its process is $server.
serve() {
    local model=$1
    shift
    local arguments=(--host 127.0.0.1 --port "$port" --verbose "$@")
    if [ -n "$tree" ]; then
        # shellcheck disable=SC2016 # the inner shell's own
        unshare --mount sh -c 'tree=$1 work=$2; shift 2
            mount --bind "$work" "$tree/mnt" && mount --rbind /dev "$tree/dev" &&
            mount -t proc proc "$tree/proc" && exec chroot "$tree" /usr/bin/llama-server "$@"' \
            sh "$tree" "$work" --model "/mnt/$model" "${arguments[@]}" >"$work/log" 2>&1 &
    else
        llama-server --model "$work/$model" "${arguments[@]}" >"$work/log" 2>&1 &
    fi
    server=$!
}

# measure MODEL ARGUMENTS... - sets the MiB that the server reports and takes:
# weights, kv, compute (with the logits), idle and used (resident).
measure() {
    serve "$@"
    for _ in $(seq 600); do
        curl --silent --fail "http://127.0.0.1:$port/health" >/dev/null && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.2
    done
    curl --silent --fail "http://127.0.0.1:$port/health" >/dev/null || {
        echo "benches/fit.sh: llama-server did not start:" >&2
        tail -n 5 "$work/log" >&2
        exit 2
    }
    idle=$(resident)
    # One prompt for each of 4 slots, as tokens, because the models have no meaningful texts.
    python3 - "$port" <<'PROMPT'
import concurrent.futures, json, sys, urllib.request

def ask(first):
    body = {"prompt": [300 + (first * 31 + n) % 1000 for n in range(300)], "n_predict": 8, "ignore_eos": True}
    request = urllib.request.Request(
        f"http://127.0.0.1:{sys.argv[1]}/completion", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=300).read()

with concurrent.futures.ThreadPoolExecutor(4) as pool:
    list(pool.map(ask, range(4)))
PROMPT
    used=$(resident)
    stop
    weights=$(buffers 'model buffer size')
    kv=$(buffers 'KV buffer size')
    compute=$(buffers '(compute|output) buffer size')
}
resident() { awk '/^VmRSS/ {printf "%.1f", $2 / 1024}' "/proc/$server/status"; }
# The server first tests without memory whether everything fits. The relevant lines come
# after the weights are loaded.
buffers() {
    awk -v what="$1 *= *" '
        /loading model tensors/ { sum = 0 }
        / (load_tensors|llama_context|llama_kv_cache|sched_reserve): / && match($0, what) {
            sum += substr($0, RSTART + RLENGTH)
        }
        END { printf "%.2f", sum }' "$work/log"
}

generate() { python3 benches/fit-gguf.py "$work/$1" "${@:2}"; }

# row NAME MODEL CTX PARALLEL K V UBATCH SERVER-ARGUMENTS... - one line of the table.
failed=0
row() {
    local name=$1 model=$2 ctx=$3 parallel=$4 k=$5 v=$6 ubatch=$7
    shift 7
    measure "$model" "$@"
    jq --null-input '{memory: {totalMiB: 1048576}, schema: 1, primaryGpu: null, gpus: []}' >"$work/facts.json"
    "$aistack" fit "$work/$model" --json --facts "$work/facts.json" --ctx "$ctx" --parallel "$parallel" \
        --cache-type-k "$k" --cache-type-v "$v" --ubatch "$ubatch" |
        jq --raw-output --arg name "$name" --arg kind "$k/$v" --argjson weights "$weights" --argjson kv "$kv" \
            --argjson compute "$compute" --argjson idle "$idle" --argjson used "$used" '
            def one: . * 10 | round | tostring | if length < 2 then "0" + . else . end | .[:-1] + "." + .[-1:];
            def off($real): (. / $real - 1) * 100 | if . < 0 then -. | "-" + one else "+" + one end + " %";
            .fit.needs as $n
            | ($n.totalMiB - $n.overheadMiB) as $ours | ($weights + $kv + $compute) as $theirs
            | "| \($name) | \($kind) | \($n.weightsMiB) / \($weights) | \($n.kvCacheMiB) / \($kv) | \($n.computeMiB) / \($compute) | \($ours | off($theirs)) | \($n.totalMiB) | \($idle) | \($used) | \($n.totalMiB | off($used)) |",
              (if ($n.kvCacheMiB - $kv | . < 0 or . >= 1.01) or ($ours / $theirs - 1 | fabs) > 0.05 or $n.totalMiB < $used then "MISSED" else empty end)' \
            >"$work/row"
    grep --quiet MISSED "$work/row" && failed=1
    sed '/MISSED/d' "$work/row"
}

echo "MiB, estimated / reported by the server; then the estimated total against what is resident"
echo "(without past prompts: --cache-ram 0 --ctx-checkpoints 0)"
echo
echo "| model | K/V | weights | KV cache | compute | error | total | resident, ready | resident, used | error |"
echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
set_of() { # CTX PARALLEL K V UBATCH
    echo --ctx-size "$1" --parallel "$2" --flash-attn on --cache-type-k "$3" --cache-type-v "$4" \
        --batch-size 512 --ubatch-size "$5" --load-mode mlock --cache-ram 0 --ctx-checkpoints 0 --fit off
}
try() { # NAME MODEL CTX PARALLEL K V UBATCH
    # shellcheck disable=SC2046 # words
    row "$@" $(set_of "${@:3}")
}
generate dense.gguf --layers 8 --embd 1024 --heads 16 --kv-heads 4 --head-dim 64 --ff 2816 --vocab 32000
try 'dense, 8 × 1024' dense.gguf 8192 4 q4_0 q4_0 128
try 'dense, 8 × 1024' dense.gguf 16384 4 f16 f16 512
try 'dense, 8 × 1024' dense.gguf 8192 3 q8_0 q5_1 256
rm "$work/dense.gguf"
generate deep.gguf --layers 24 --embd 512 --heads 8 --kv-heads 8 --head-dim 64 --ff 1408 --vocab 50000
try 'deep, 24 × 512' deep.gguf 8192 4 q4_0 q4_0 128
try 'deep, 24 × 512' deep.gguf 8192 4 bf16 q8_0 128
rm "$work/deep.gguf"
generate wide.gguf --layers 4 --embd 2048 --heads 16 --kv-heads 2 --head-dim 128 --ff 5632 --vocab 32000 --weights q4_0
try 'wide, 4 × 2048' wide.gguf 8192 4 q4_0 q4_0 128
try 'wide, 4 × 2048' wide.gguf 32768 1 q8_0 q8_0 512
rm "$work/wide.gguf"
generate window.gguf --arch gemma2 --layers 12 --embd 768 --heads 6 --kv-heads 2 --head-dim 256 --ff 3072 --vocab 128000
try 'window, 12 × 768' window.gguf 8192 4 q4_0 q4_0 128
try 'window, 12 × 768' window.gguf 32768 4 f16 f16 128
rm "$work/window.gguf"
generate experts.gguf --layers 6 --embd 768 --heads 12 --kv-heads 12 --head-dim 64 --ff 1024 --experts 8 --vocab 32000 --weights q4_0
try 'experts, 6 × 768' experts.gguf 8192 4 q4_0 q4_0 128
try 'experts, 6 × 768' experts.gguf 8192 4 q5_0 q4_1 128
rm "$work/experts.gguf"

echo
echo "The memory set of services.aiStack.llama-cpp against llama.cpp's defaults, one model:"
echo
echo "| settings | KV cache | compute | resident, ready | resident, used |"
echo "| --- | --- | --- | --- | --- |"
generate same.gguf --layers 16 --embd 1024 --heads 16 --kv-heads 8 --head-dim 64 --ff 2816 --vocab 64000 --ctx 32768
compare() { # NAME ARGUMENTS...
    measure same.gguf "${@:2}"
    echo "| $1 | $kv | $compute | $idle | $used |"
}
# shellcheck disable=SC2046 # words
compare 'the memory set' --ctx-size 8192 --parallel 4 --flash-attn on --cache-type-k q4_0 --cache-type-v q4_0 \
    --batch-size 512 --ubatch-size 128 --cont-batching --load-mode mlock
compare 'defaults'
compare 'defaults, ctx 8192' --ctx-size 8192
compare 'defaults, ctx 8192, parallel 4' --ctx-size 8192 --parallel 4

if $check && [ "$failed" = 1 ]; then
    echo "benches/fit.sh: an estimate is off" >&2
    exit 1
fi
