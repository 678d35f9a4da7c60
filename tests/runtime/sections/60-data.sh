# shellcheck shell=bash
# Data outlives its container, podman's whole storage, and a reboot.

MARKED=

# Once a run: through the service where its scenario says how, and a file in each folder of data,
# written from inside, so that the container's user must be able to.
write_markers() {
    [ -z "$MARKED" ] || return 0
    MARKED=1
    local s write dirs
    for s in "${SERVICES[@]}"; do
        write=$(scenario "$s" '.marker.write // empty')
        [ -z "$write" ] || expect "$SNAP data: $s takes its marker (${KIND[$s]})" act "$s" "$write"
        mapfile -t dirs < <(data_dirs "$s")
        # shellcheck disable=SC2016 # for the inner shell
        [ ${#dirs[@]} = 0 ] || expect "$SNAP data: $s can write to ${dirs[*]}" \
            pod exec "${CONTAINER[$s]}" sh -c 'for d; do echo kept >"$d/rig-marker" || exit 1; done' _ "${dirs[@]}"
    done
}

read_markers() { # WHEN
    local s read dirs
    for s in "${SERVICES[@]}"; do
        read=$(scenario "$s" '.marker.read // empty')
        [ -z "$read" ] || expect "$SNAP $1: $s has its marker (${KIND[$s]})" \
            has "$(scenario "$s" .marker.expect | jq -r .)" act "$s" "$read"
        mapfile -t dirs < <(data_dirs "$s")
        [ ${#dirs[@]} = 0 ] || expect "$SNAP $1: $s has its files in ${dirs[*]}" \
            pod exec "${CONTAINER[$s]}" cat "${dirs[@]/%//rig-marker}"
    done
}

data_dirs() { service "$1" '.data[] | select(.readOnly | not).container'; }

section_recreate() {
    local s
    declare -A old
    write_markers
    for s in "${SERVICES[@]}"; do old[$s]=$(container_id "$s"); done
    sctl stop "$TARGET"
    expect "$SNAP recreate: stopping the target stops every container" within $((60 + 5 * ${#SERVICES[@]})) no_containers
    sctl start "$TARGET"
    for s in "${SERVICES[@]}"; do
        expect "$SNAP recreate: $s is a new container" within $((60 + 10 * ${#SERVICES[@]})) has_new_id "$s" "${old[$s]}"
    done
    all_healthy recreate $((60 + 20 * ${#SERVICES[@]}))
    read_markers recreate
}

# The accident as it happens: while everything runs, and without a word to systemd.
section_survive_reset() {
    local before
    write_markers
    before=$(pod ps -aq --no-trunc | sort)
    pod system reset --force >/dev/null 2>&1 || true
    expect "$SNAP survive-reset: podman has forgotten everything" all_forgotten "$before"
    sctl start "$TARGET"
    all_healthy survive-reset 120
    read_markers survive-reset
}

section_reboot() {
    write_markers
    "$RIG/machine" reboot
    [ "$SCOPE" = system ] || expect "$SNAP reboot: the user's manager runs without a login" within 20 no_login
    all_healthy reboot 120
    expect "$SNAP reboot: aistack check agrees" within 10 check_agrees
    read_markers reboot
}

no_containers() { [ -z "$(pod ps -q)" ] || { pod ps; return 1; }; }
# Units may have begun to bring things back: what was there before must be gone.
all_forgotten() {
    local left
    left=$(comm -12 <(echo "$1") <(pod ps -aq --no-trunc | sort))
    if [ -z "$1" ] || [ -n "$left" ]; then
        echo "before: ${1:-none}, left: $left"
        return 1
    fi
}
