# shellcheck shell=bash
# A user's stack has nothing of root's.

section_rootless() {
    [ "$SCOPE" = user ] || return 0
    local s
    expect "$SNAP rootless: podman says so" has true pod info -f '{{.Host.Security.Rootless}}'
    expect "$SNAP rootless: root's podman has no container" root_has_none
    for s in "${SERVICES[@]}"; do
        expect "$SNAP rootless: $s runs with ids of the user" user_ids "$s"
    done
    expect "$SNAP rootless: the data belongs to the user" data_is_theirs
}

root_has_none() { [ -z "$(root podman ps -aq)" ] || { root podman ps -a; return 1; }; }

# Every process of the container: the user, or one of the ids that belong to it.
user_ids() {
    local uid first count pids
    IFS=: read -r _ first count < <(root grep ^ai: /etc/subuid)
    pids=$(pod top "${CONTAINER[$1]}" hpid | tail -n +2 | paste -sd,)
    [ -n "$pids" ] || { echo "no processes"; return 1; }
    for uid in $(root ps -o uid= -p "$pids"); do
        [ "$uid" = 1000 ] || { [ "$uid" -ge "$first" ] && [ "$uid" -lt $((first + count)) ]; } ||
            { echo "a process runs as uid $uid"; return 1; }
    done
}

data_is_theirs() {
    local dir uid
    while read -r dir; do
        uid=$(root stat -c %u "$dir")
        [ "$uid" = 1000 ] || { echo "$dir belongs to $uid"; return 1; }
    done < <(jq -r '.services[].data[].host' "$MANIFEST")
}
