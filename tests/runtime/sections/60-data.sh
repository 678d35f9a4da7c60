# shellcheck shell=bash
# Data outlives its container, podman's whole storage, and a reboot.

MARKED=

# Once a run: through the service where its scenario says how, and a file in each folder of data,
# written from inside, so that the container's user must be able to.
write_markers() {
    [ -z "$MARKED" ] || return 0
    MARKED=1
    local s write dir
    for s in "${SERVICES[@]}"; do
        write=$(scenario "$s" '.marker.write // empty')
        [ -z "$write" ] || expect "$SNAP data: $s takes its marker (${KIND[$s]})" act "$s" "$write"
        while read -r dir; do
            expect "$SNAP data: $s can write to $dir" pod exec "${CONTAINER[$s]}" sh -c "echo kept >$dir/rig-marker"
        done < <(service "$s" '.data[] | select(.readOnly | not).container')
    done
}

read_markers() { # WHEN
    local s read dir
    for s in "${SERVICES[@]}"; do
        read=$(scenario "$s" '.marker.read // empty')
        [ -z "$read" ] || expect "$SNAP $1: $s has its marker (${KIND[$s]})" \
            has "$(scenario "$s" .marker.expect | jq -r .)" act "$s" "$read"
        while read -r dir; do
            expect "$SNAP $1: $s has its file in $dir" has kept pod exec "${CONTAINER[$s]}" cat "$dir/rig-marker"
        done < <(service "$s" '.data[] | select(.readOnly | not).container')
    done
}

section_recreate() {
    local s
    declare -A old
    write_markers
    for s in "${SERVICES[@]}"; do old[$s]=$(container_id "$s"); done
    sctl restart "${UNIT[@]}" 2>/dev/null || true
    for s in "${SERVICES[@]}"; do expect "$SNAP recreate: $s is a new container" has_new_id "$s" "${old[$s]}"; done
    all_healthy recreate 60
    read_markers recreate
}

section_survive_reset() {
    write_markers
    sctl stop "$TARGET"
    expect "$SNAP survive-reset: stopping the target stops every container" within 60 no_containers
    pod system reset --force >/dev/null 2>&1
    expect "$SNAP survive-reset: podman has forgotten everything" all_forgotten
    sctl start "$TARGET" 2>/dev/null || true
    all_healthy survive-reset 120
    read_markers survive-reset
}

section_reboot() {
    write_markers
    "$RIG/machine" reboot
    [ "$SCOPE" = system ] || expect "$SNAP reboot: the user's manager runs without a login" within 20 no_login
    all_healthy reboot 120
    expect "$SNAP reboot: aistack check agrees" within 10 owner aistack check
    read_markers reboot
}

no_containers() { [ -z "$(pod ps -q)" ] || { pod ps; return 1; }; }
all_forgotten() {
    local left
    left=$(pod ps -aq; pod volume ls -q; pod secret ls -q)
    [ -z "$left" ] || { echo "left: $left"; return 1; }
}
