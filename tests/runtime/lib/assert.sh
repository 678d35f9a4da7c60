# shellcheck shell=bash
# Assertions: one line each, counted in RESULTS (a file, because scopes run as processes of their own).
# What a command prints goes through a file: a pipe would be waited for as long as anything that the
# command has left behind in the machine holds on to it.

pass() {
    echo p >>"$RESULTS"
    echo "ok $1"
}

fail() { # NAME WHAT-WAS-SEEN
    echo f >>"$RESULTS"
    local seen=${2:-nothing}
    echo "FAIL $1: $(tr -s '\n\t ' ' ' <<<"${seen:0:600}")"
}

# expect NAME COMMAND… - passes when the command succeeds; what it prints is what was seen.
expect() {
    local name=$1 seen
    shift
    if "$@" >"$RESULTS.expect" 2>&1; then
        pass "$name"
    else
        seen=$(<"$RESULTS.expect")
        fail "$name" "${seen:-it failed without a word}"
    fi
}

has() { # TEXT COMMAND…
    local want=$1 got
    shift
    "$@" >"$RESULTS.has" 2>&1 || true
    got=$(<"$RESULTS.has")
    [[ $got == *"$want"* ]] || { echo "no '$want' in: $got"; return 1; }
}

# within SECONDS COMMAND… - tries until it succeeds; the last try's words are what was seen.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >"$RESULTS.within" 2>&1; do
        [ $SECONDS -lt $end ] || { cat "$RESULTS.within"; return 1; }
        sleep 0.3
    done
}

failures() { grep -c f "$RESULTS" || true; }
