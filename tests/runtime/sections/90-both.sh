# shellcheck shell=bash
# Both scopes on one machine: the system's stack, and a user's beside it whose ports its `portOffset`
# moves. The user's is tests/rendered/home-ai as it is; the machine boots with both.

section_both() {
    [ "$SCOPE" = system ] || return 0
    local home=$REPO/tests/rendered/home-ai stage=$WORK/both
    mkdir -p "$stage"
    chmod 755 "$stage"
    stage "$home" "$stage" "$AISTACK"
    "$RIG/machine" stop
    "$RIG/machine" put "$stage"
    "$RIG/machine" start
    all_healthy both 180
    (both_user "$SNAP and ${home##*/}" "$stage/home/ai/.config/aistack/stack.json")
    expect "$SNAP both: aistack check agrees for the system" within 10 check_agrees
    expect "$SNAP both: aistack ports finds nothing wrong in both stacks" within 10 root aistack ports \
        --stack "$MANIFEST_INSIDE" --stack /home/ai/.config/aistack/stack.json
    expect "$SNAP both: no unit of the system has failed" no_failed_units
}

# In a process of its own: what it sets is the user's.
both_user() { # NAME MANIFEST
    local s name address port
    SNAP=$1 SERVICES=()
    # shellcheck disable=SC2034 # for load_manifest
    MANIFEST=$2
    load_manifest
    all_healthy both 180
    for s in "${SERVICES[@]}"; do
        while read -r name address port; do
            expect "$SNAP both: $s $name listens on $address:$port" listens_only "$address" "$port"
        done < <(service "$s" '.ports[] | select(.protocol == "tcp") | "\(.name) \(.address) \(.host)"')
    done
    expect "$SNAP both: aistack check agrees for the user" within 10 check_agrees
    expect "$SNAP both: aistack ports finds nothing wrong for the user" within 10 owner aistack ports
    expect "$SNAP both: no unit of the user has failed" no_failed_units
}
