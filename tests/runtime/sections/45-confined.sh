# shellcheck shell=bash
# Each container has the user, the capabilities and the root file system that its quadlet declares: by
# what the kernel says of its first process, not by what podman was asked for.

section_confined() {
    local s
    for s in "${SERVICES[@]}"; do
        expect "$SNAP confined: $s has the declared capabilities and gains none" confined_rights "$s"
        expect "$SNAP confined: $s runs as the declared user" confined_user "$s"
        expect "$SNAP confined: $s has the declared root file system" confined_root "$s"
    done
}

# quadlet SERVICE KEY - the values of a key, one a line
quadlet() {
    local file=/etc/containers/systemd
    [ "$SCOPE" = system ] || file=/home/ai/.config/containers/systemd
    root sed -n "s/^$2=//p" "$file/${UNIT[$1]%.service}.container"
}

# status_of SERVICE FIELD - of the container's first process
status_of() {
    local pid
    pid=$(pod inspect -f '{{.State.Pid}}' "${CONTAINER[$1]}")
    root sed -n "s/^$2:[[:space:]]*//p" "/proc/$pid/status"
}

# Numbers of capabilities that services may add; a new one needs a line here.
capability_bit() {
    case $1 in
    NET_BIND_SERVICE) echo 10 ;;
    *)
        echo "no number here for the capability $1" >&2
        return 1
        ;;
    esac
}

confined_rights() {
    local name bit wanted=0 bounding
    while read -r name; do
        bit=$(capability_bit "$name") || return 1
        wanted=$((wanted | 1 << bit))
    done < <(quadlet "$1" AddCapability)
    bounding=$(status_of "$1" CapBnd)
    [ "$((16#$bounding))" = "$wanted" ] || { echo "bounding set $bounding, declared $(printf %016x $wanted)"; return 1; }
    [ "$(status_of "$1" NoNewPrivs)" = 1 ] || { echo "it may gain rights"; return 1; }
}

confined_user() {
    local declared uid host
    declared=$(quadlet "$1" User)
    uid=$(pod top "${CONTAINER[$1]}" uid | sed -n 2p | tr -d ' ')
    host=$(status_of "$1" Uid | cut -f1)
    # Without a user of its own the image decides.
    [ -z "$declared" ] || [ "$uid" = "${declared%%:*}" ] || { echo "runs as $uid, declared ${declared%%:*}"; return 1; }
    [ "$SCOPE" = system ] || [ "$host" != 0 ] || { echo "runs as root of the machine"; return 1; }
}

confined_root() {
    local pid state declared=rw
    [ "$(quadlet "$1" ReadOnly)" != true ] || declared=ro
    pid=$(pod inspect -f '{{.State.Pid}}' "${CONTAINER[$1]}")
    # shellcheck disable=SC2016 # awk's
    state=$(root awk '$5 == "/" {split($6, o, ","); s = o[1]} END {print s}' "/proc/$pid/mountinfo")
    [ "$state" = "$declared" ] || { echo "the root is mounted $state, declared $declared"; return 1; }
}
