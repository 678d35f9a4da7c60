# shellcheck shell=bash
# Causes outside of the stack, at the same time: a secret file that is missing, a foreign process on a
# port, a model that is absent. Each stops its own service, says so in that service's journal with the
# path or port and the option to change, and leaves the others alone. Beside them a service that dies
# while its image's unit fails. Each is back by itself when its cause is gone.

section_faults() {
    local since secret='' port='' file='' pull='' s faulty=()
    # A service each; the secret's is one of those that have no port in the list before it.
    file=$(first_with '.files | length > 0')
    secret=$(first_with '.secrets | any(.generate | not)' "$file")
    [ -n "$secret" ] || secret=$(first_with '.secrets | length > 0' "$file")
    port=$(first_with '.ports | length > 0' "$file" "$secret")
    pull=$(first_with true "$file" "$secret" "$port")
    for s in $file $secret $port; do faulty+=("${UNIT[$s]}"); done
    sctl stop "${faulty[@]}"
    since="@$(date +%s)"
    [ -z "$file" ] || break_file "$file"
    [ -z "$secret" ] || break_secret "$secret"
    [ -z "$port" ] || break_port "$port"
    sctl start --no-block "${faulty[@]}"
    [ -z "$pull" ] || break_pull "$pull"

    [ -z "$file" ] || says "$file" "a missing model" "$since" "$FAULT_FILE" "$FAULT_FILE_OPTION"
    [ -z "$secret" ] || says "$secret" "a missing secret file" "$since" "$FAULT_SECRET" "$FAULT_SECRET_OPTION"
    [ -z "$port" ] || says "$port" "a foreign process on port $FAULT_PORT" "$since" "$FAULT_PORT" "$FAULT_PORT_OPTION"
    for s in "${SERVICES[@]}"; do
        [[ " $file $secret $port $pull " == *" $s "* ]] || expect "$SNAP faults: $s stays up" is_up "$s"
    done
    expect "$SNAP faults: aistack check says what is down" check_names "$file" "$secret" "$port"

    [ -z "$file" ] || root mv "$FAULT_FILE.away" "$FAULT_FILE"
    [ -z "$secret" ] || mend_secret
    [ -z "$port" ] || root systemctl stop rig-squatter
    [ -z "$pull" ] || mend_pull "$pull"
    for s in $file $secret $port $pull; do
        expect "$SNAP faults: $s is back when its cause is gone" within 60 is_up "$s"
    done
}

# first_with FILTER [NOT…] - the first service that the filter holds for, besides those named
first_with() {
    local filter=$1
    shift
    jq -r --arg not " $* " ".services | to_entries[] | select(.value | $filter) | .key |
        select(. as \$k | \$not | contains(\" \" + \$k + \" \") | not)" "$MANIFEST" | head -n 1
}

says() { # SERVICE CAUSE SINCE TEXT…
    local s=$1 cause=$2 since=$3
    shift 3
    expect "$SNAP faults: $s names $cause" within 20 journal_has "${UNIT[$s]}" "$since" "$@"
    expect "$SNAP faults: $s does not run with $cause" is_not_up "$s"
}

journal_has() { # UNIT SINCE TEXT…
    local said unit=$1 since=$2 t
    shift 2
    said=$(journal "$unit" "$since")
    for t; do [[ $said == *"$t"* ]] || { echo "no '$t' in: $said"; return 1; }; done
}

is_not_up() { ! is_up "$1" >/dev/null 2>&1 || { echo "it is active and healthy"; return 1; }; }

check_names() {
    local said s
    if said=$(owner aistack check 2>&1); then
        echo "it passed: $said"
        return 1
    fi
    for s; do [ -z "$s" ] || [[ $said == *"$s"* ]] || { echo "no '$s' in: $said"; return 1; }; done
}

break_file() {
    read -r FAULT_FILE FAULT_FILE_OPTION < <(service "$1" '.files[0] | "\(.path) \(.option)"')
    root mv "$FAULT_FILE" "$FAULT_FILE.away"
}

break_secret() {
    local generate
    read -r FAULT_SECRET FAULT_SECRET_OPTION generate < <(service "$1" \
        '.secrets | sort_by(.generate)[0] | "\(.source) \(.option) \(.generate)"')
    root mv "$FAULT_SECRET" "$FAULT_SECRET.away"
    if [ "$generate" = true ]; then
        echo "# faults: $1 makes its secret itself; here it is declared as one that the user brings"
        root cp "$MANIFEST_INSIDE" /tmp/stack.json
        # shellcheck disable=SC2016 # jq's
        root sh -c 'jq --arg s "$1" ".services[\$s].secrets[].generate = false" /tmp/stack.json >"$2"' _ "$1" "$MANIFEST_INSIDE"
    fi
}

mend_secret() {
    root mv "$FAULT_SECRET.away" "$FAULT_SECRET"
    # shellcheck disable=SC2016 # for the inner shell
    root sh -c '[ ! -e /tmp/stack.json ] || cat /tmp/stack.json >"$1"' _ "$MANIFEST_INSIDE"
}

# It listens, and starts something only for whoever connects.
break_port() {
    read -r FAULT_PORT FAULT_PORT_OPTION < <(service "$1" '.ports[0] | "\(.host) \(.option)"')
    root systemd-run --quiet --collect --unit=rig-squatter systemd-socket-activate -l "127.0.0.1:$FAULT_PORT" sleep 60
}

# Its image is there all the time; only the unit that looks for it fails, as it does when a registry
# is out of reach.
break_pull() {
    FAULT_PULL=$(service "$1" .pullUnit)
    local dropin="/run/systemd/system/$FAULT_PULL.d"
    [ "$SCOPE" = system ] || dropin="/run/user/1000/systemd/user/$FAULT_PULL.d"
    # shellcheck disable=SC2016 # for the inner shell
    owner sh -c 'mkdir -p "$1" && printf "[Service]\nExecStart=\nExecStart=/bin/false\n" >"$1/90-rig.conf"' _ "$dropin"
    FAULT_PULL_DROPIN=$dropin
    sctl daemon-reload
    pod kill "${CONTAINER[$1]}" >/dev/null
}

mend_pull() {
    # Not before it has failed under a restart of the service.
    expect "$SNAP faults: $1 is restarted while its image's unit fails" within 60 has_failed "$FAULT_PULL"
    owner rm -r "$FAULT_PULL_DROPIN"
    sctl daemon-reload
}

has_failed() { [ "$(sctl is-failed "$1")" = failed ]; }
