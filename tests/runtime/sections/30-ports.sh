# shellcheck shell=bash
# A port that is declared for loopback is on loopback only. 192.0.2.1 is an address of the machine.

section_ports() {
    local s name address port
    for s in "${SERVICES[@]}"; do
        while read -r name address port; do
            case $address in
            127.* | ::1)
                expect "$SNAP ports: $s $name listens on $address:$port only" listens_only "$address" "$port"
                expect "$SNAP ports: $s $name is closed on other addresses" closed 192.0.2.1 "$port"
                ;;
            *) expect "$SNAP ports: $s $name listens on $address:$port, as declared" listens "$address" "$port" ;;
            esac
        done < <(service "$s" '.ports[] | select(.protocol == "tcp") | "\(.name) \(.address) \(.host)"')
    done
}

listeners() { root ss -Hltn "sport = :$1" | awk '{print $4}'; }
listens() { listeners "$2" | grep -qxF -e "$1:$2" -e "[$1]:$2" || { echo "listens on: $(listeners "$2")"; return 1; }; }
listens_only() {
    local others
    listens "$@" || return 1
    others=$(listeners "$2" | grep -vxF -e "$1:$2" -e "[$1]:$2") || true
    [ -z "$others" ] || { echo "also on $others"; return 1; }
}
closed() {
    # shellcheck disable=SC2016 # for the inner shell
    if root timeout 3 bash -c 'exec 3<>"/dev/tcp/$1/$2"' _ "$1" "$2" 2>/dev/null; then
        echo "$1:$2 accepts connections"
        return 1
    fi
}
