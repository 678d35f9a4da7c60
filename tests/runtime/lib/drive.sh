# shellcheck shell=bash
# One machine with one snapshot, and the driver that asks it. Set by run: SNAP (the snapshot's name),
# PROGRAMS (the folder with our programs), RESULTS (a file with a letter for each line).

declare -A UNIT REFERENCE KIND
SERVICES=()
# Where the programs and scenarios lie in the machine.
RIG_SHARE=/usr/local/share/rig

load_manifest() { # SNAPSHOT
    local s unit ref kind real
    SCOPE=$(jq -r .scope "$1/stack.json")
    case $SCOPE in
    system) STACK=/etc/aistack/stack.json ;;
    user) STACK=/home/ai/.config/aistack/stack.json ;;
    esac
    # shellcheck disable=SC2034 # for the sections
    TARGET=$(jq -r .target "$1/stack.json")
    SERVICES=()
    while IFS=$'\t' read -r s unit ref; do
        SERVICES+=("$s")
        # shellcheck disable=SC2034 # for the sections and run
        UNIT[$s]=$unit REFERENCE[$s]=$ref
        read -r kind real _ < <(kind_of "$ref")
        KIND[$s]=$real
        : "$kind"
    done < <(jq -r '.services | to_entries[] | [.key, .value.unit, .value.image.reference] | @tsv' "$1/stack.json")
}

# stage_rig ROOT - what the machine has for its tests alone.
stage_rig() {
    mkdir -p "$1$RIG_SHARE" "$1/usr/local/bin"
    install -m 755 "$PROGRAMS/aistack-testdriver" "$1/usr/local/bin/"
    cp "$RIG"/scenarios/* "$RIG/lib/chat.sh" "$1$RIG_SHARE/"
    cp "$RIG/lib/nix-env" "$1$RIG_SHARE/"
    [ ! -x "$SD_SWITCH" ] || install -m 755 "$SD_SWITCH" "$1/usr/local/bin/"
    jq -n '{schema: 1, host: "rig", scope: "system", user: null, dataRoot: "/", target: "local-ai.target",
        network: "local-ai", services: {}}' >"$1$RIG_SHARE/nothing.json"
    touch "$1$RIG_SHARE/test-stack"
}

root() { enter "$@"; }
owner() { if [ "$SCOPE" = user ]; then enter_user "$@"; else enter "$@"; fi; }
sctl() { owner systemctl "--$SCOPE" "$@"; }

# drive SECTION SCENARIO… - the owner of the stack runs the scenarios on it: files of scenarios/ here where
# there are some of that name, the driver's own otherwise. Fails when one of the lines does.
drive() { told owner "$STACK" "$@"; }
# drive_root SECTION SCENARIO… - root runs them, on a stack without services.
drive_root() { told root "$RIG_SHARE/nothing.json" "$@"; }

told() { # WHO STACK SECTION SCENARIO…
    local who=$1 stack=$2 section=$3 names=() s before
    shift 3
    for s; do
        if [ -f "$RIG/scenarios/$s.toml" ]; then s=$RIG_SHARE/$s.toml; fi
        names+=("$s")
    done
    before=$(wc -l <"$RESULTS")
    LIMIT=1800 "$who" aistack-testdriver run "${names[@]}" --destructive --stack "$stack" 2>&1 |
        lines "$section"
    [ "$(wc -l <"$RESULTS")" -gt "$before" ] || fail "$SNAP $section" "no line of ${names[*]}"
}

# lines SECTION - the driver's lines with the snapshot's name, and with what each line stands on.
lines() {
    local s kinds=
    for s in "${SERVICES[@]}"; do kinds+="$s=${KIND[$s]} "; done
    awk -v snap="$SNAP" -v section="$1" -v kinds="$kinds" -v results="$RESULTS" '
        BEGIN {
            n = split(kinds, pairs, " ")
            for (i = 1; i <= n; i++) { split(pairs[i], pair, "="); kind[pair[1]] = pair[2] }
        }
        # WORD TIME UNIT SCENARIO: NAME, and after a colon what was seen
        match($0, /^(ok|NOT OK|skipped) +[0-9.]+ m?s +[^:]+: /) {
            word = $0 ~ /^ok/ ? "ok" : $0 ~ /^NOT/ ? "FAIL" : "SKIP"
            took = $0; sub(/^(ok|NOT OK|skipped) +/, "", took); sub(/ m?s .*/, "", took)
            unit = $0 ~ /^[a-zOKNT ]+ +[0-9.]+ ms/ ? "ms" : "s"
            name = substr($0, RLENGTH + 1)
            service = name; sub(/ .*/, "", service)
            on = service in kind && kind[service] != "real" ? " (" kind[service] ")" : ""
            if (word == "ok") print word " " snap " " section ": " name on " [" took " " unit "]"
            else print word " " snap " " section ": " name on
            fflush()
            if (word != "SKIP") print word == "ok" ? "p" : "f" >>results
            next
        }
        /^[0-9]+ passed, / { next }
        { print "FAIL " snap " " section ": " $0; fflush(); print "f" >>results }'
}

fail() { # NAME WHAT-WAS-SEEN
    echo f >>"$RESULTS"
    echo "FAIL $1: $(tr -s '\n\t ' ' ' <<<"${2:0:600}")"
}

failures() { grep -c f "$RESULTS" || true; }
