# shellcheck shell=bash
# A container that is killed, and one that hangs, come back by themselves.

section_kill() {
    local s
    declare -A old
    for s in "${SERVICES[@]}"; do old[$s]=$(container_id "$s"); done
    pod kill -s KILL "${CONTAINER[@]}" >/dev/null
    for s in "${SERVICES[@]}"; do
        expect "$SNAP kill: $s is a new container" within $((60 + 10 * ${#SERVICES[@]})) has_new_id "$s" "${old[$s]}"
    done
    all_healthy kill $((120 + 20 * ${#SERVICES[@]}))
}

# The container whose health checks the rig has made quick; see run.
section_hang() {
    local old s=$HANG
    [ -n "$s" ] || return 0
    old=$(container_id "$s")
    pod kill -s STOP "${CONTAINER[$s]}" >/dev/null
    expect "$SNAP hang: $s is killed by its health check and made anew" within 90 has_new_id "$s" "$old"
    # Where it was not noticed: the other sections want it awake.
    pod kill -s CONT "${CONTAINER[$s]}" >/dev/null 2>&1 || true
    expect "$SNAP hang: $s is healthy again" within 60 is_up "$s"
    expect "$SNAP hang: the journal names the health check" has unhealthy root journalctl --no-pager -o cat --since "-120 s"
}
