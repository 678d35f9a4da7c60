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
    local who=$1 stack=$2 section=$3 names=() s before report
    shift 3
    for s; do
        if [ -f "$RIG/scenarios/$s.toml" ]; then s=$RIG_SHARE/$s.toml; fi
        names+=("$s")
    done
    before=$(wc -l <"$RESULTS")
    report=$(mktemp)
    LIMIT=1800 "$who" aistack-testdriver run "${names[@]}" --destructive --json --stack "$stack" \
        >"$report" 2>"$report.stderr" || true
    lines "$section" <"$report"
    while IFS= read -r s; do fail "$SNAP $section" "$s"; done < <(grep -v -e '^[0-9]* passed, ' -e '^$' "$report.stderr")
    rm -f "$report" "$report.stderr"
    [ "$(wc -l <"$RESULTS")" -gt "$before" ] || fail "$SNAP $section" "no line of ${names[*]}"
}

# lines SECTION - the steps of the driver's JSON report, one line each with the snapshot's name and with
# what the service is in the rig (real, or a stand-in).
lines() {
    local s kinds='{}' report
    report=$(cat)
    [ -n "$report" ] || return 0
    jq -e .steps <<<"$report" >/dev/null 2>&1 || {
        fail "$SNAP $1" "the driver's report is cut off: $report"
        return
    }
    for s in "${SERVICES[@]}"; do kinds=$(jq -c --arg s "$s" --arg k "${KIND[$s]}" '.[$s] = $k' <<<"$kinds"); done
    jq -r --arg at "$SNAP $1" --argjson kinds "$kinds" '
        def took: if . < 1000 then "\(. * 10 | round / 10) ms" else "\(. / 10 | round / 100) s" end;
        .steps[] | ($kinds[.name | split(" ")[0]] // "real") as $kind
        | {passed: "ok", failed: "FAIL", skipped: "SKIP"}[.finding] + " " + $at + ": " + .name
            + (if .message then ": " + .message else "" end)
            + (if $kind == "real" then "" else " (\($kind))" end)
            + (if .finding == "passed" then " [\(.durationMs | took)]" else "" end)' <<<"$report"
    jq -r '.steps[].finding | {passed: "p", failed: "f"}[.] // empty' <<<"$report" >>"$RESULTS"
}

fail() { # NAME WHAT-WAS-SEEN
    echo f >>"$RESULTS"
    echo "FAIL $1: $(tr -s '\n\t ' ' ' <<<"${2:0:600}")"
}

failures() { grep -c f "$RESULTS" || true; }
