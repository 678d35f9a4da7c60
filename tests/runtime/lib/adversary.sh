# shellcheck shell=bash
# Scripts for the shells inside the machine expand there.
# shellcheck disable=SC2016
# The section `adversary`: people and programs that should not get in, each played for real.
#
#   neighbour   another machine of the LAN: a network namespace with a cable to the machine, which
#               routes the containers' network and 127.0.0.0/8 through it
#   network     a container on another podman network of the same owner
#   account     another account of the machine (eve), and the first ordinary one (ai)
#   container   a service that was taken over, in its own container
#   squatter    a program that listens where a stopped service would
#   owner       a role of PostgreSQL that owns a database
#
# A "control" shows first that the way of an attack is right: that it works without what stops
# it, or that the attacker is spoken to. Without one, a failed attack proves little.

LAN=198.51.100
LAN6=fd00:77

pass() { # NAME
    echo p >>"$RESULTS"
    echo "ok $SNAP adversary: $1"
}

# must NAME COMMAND… - the command succeeds.    must_not NAME COMMAND… - it fails.
must() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then pass "$name"; else fail "$SNAP adversary: $name" "${out:-it failed}"; fi
}
must_not() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then fail "$SNAP adversary: $name" "it worked: $out"; else pass "$name"; fi
}

# neighbour CMD… - on the other machine.
neighbour() { ip netns exec "neighbour-$RIG_NAME" "$@"; }

plug_in() {
    local ns=neighbour-$RIG_NAME pid cable
    # Machines side by side end in the same number; a name has at most 15 letters.
    cable=c$(key "$RIG_NAME")
    pid=$(<"$CACHE/state/$RIG_NAME/init.pid")
    ip netns add "$ns"
    ip link add "$cable" type veth peer name lan0 netns "/proc/$pid/ns/net"
    ip link set "$cable" netns "$ns" name eth0
    root sh -c "ip addr add $LAN.1/24 dev lan0 && ip -6 addr add $LAN6::1/64 dev lan0 nodad && ip link set lan0 up"
    neighbour sh -c "ip addr add $LAN.2/24 dev eth0 && ip -6 addr add $LAN6::2/64 dev eth0 nodad &&
        ip link set eth0 up && ip link set lo up && ip route add 10.88.0.0/15 via $LAN.1 &&
        sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1 &&
        ip rule add pref 0 lookup 100 && ip route add 127.0.0.0/8 via $LAN.1 dev eth0 src $LAN.2 table 100 &&
        ip rule add pref 10 lookup local && ip rule del pref 0 lookup local"
}

unplug() {
    root ip link del lan0 2>/dev/null || true
    ip netns del "neighbour-$RIG_NAME" 2>/dev/null || true
}

# connect ADDRESS PORT - the words of a command that opens a connection, within a second.
connect() { echo "timeout 1 bash -c 'exec 3<>/dev/tcp/$1/$2'"; }

# reached WHO-CMD… - reads lines "ADDRESS PORT WHAT"; prints those that could be opened. All at once.
reached() {
    local address port what script=''
    while read -r address port what; do
        script+="($(connect "$address" "$port") 2>/dev/null && echo '$what at $address port $port') & "
    done
    "$@" bash -c "$script wait"
}

nothing_reached() { # NAME WHO-CMD… <lines
    local name=$1 seen lines
    shift
    lines=$(cat)
    [ -n "$lines" ] || {
        fail "$SNAP adversary: $name" "nothing to try"
        return
    }
    seen=$(reached "$@" <<<"$lines")
    if [ -z "$seen" ]; then pass "$name ($(wc -l <<<"$lines") tried)"; else fail "$SNAP adversary: $name" "$seen"; fi
}

# containers - "ADDRESS PORT SERVICE" for each port of each container on the stack's network.
containers() {
    local service ip network
    network=$(jq -r .network "$SNAPSHOT/stack.json")
    while read -r service; do
        ip=$(owner podman inspect -f "{{(index .NetworkSettings.Networks \"$network\").IPAddress}}" "local-ai-$service" </dev/null)
        [ -n "$ip" ] || continue
        jq -r --arg s "$service" --arg ip "$ip" '.services[$s].ports[] | "\($ip) \(.container) \($s)"' "$SNAPSHOT/stack.json"
    done < <(printf '%s\n' "${SERVICES[@]}")
}

# published ADDRESS - the same for the ports on the machine that are declared for loopback alone.
published() {
    jq -r --arg a "$1" '.services | to_entries[] | .key as $s | .value.ports[] |
        select(.protocol == "tcp" and (.address | startswith("127.") or . == "::1")) | "\($a) \(.host) \($s)"' "$SNAPSHOT/stack.json"
}

section_adversary() {
    # A container that is not up has no address that an attack could be tried on.
    drive adversary mended
    plug_in
    adversary_neighbour
    adversary_network
    adversary_account
    adversary_container
    adversary_squatter
    if [ -n "${UNIT[postgres]:-}" ]; then adversary_owner; fi
    if [ "$SCOPE" = system ]; then
        adversary_ids
        adversary_firewall
    fi
    unplug
}

# One container's address, for the controls.
one_container() { containers | head -n 1; }

adversary_neighbour() {
    if [ "$SCOPE" = system ]; then
        local control
        # Without the guard, the neighbour is let in: so the way there is right.
        root nft delete table inet aistack-local-ai
        control=$(one_container | reached neighbour)
        must "control: without the guard the neighbour reaches a container" test -n "$control"
        control=$(published 127.0.0.1 | head -n 1 | reached neighbour)
        must "control: without the guard the neighbour reaches a port on 127.0.0.1" test -n "$control"
        must "the guard is put back" root aistack unit guard --stack "$STACK"
        containers | nothing_reached "a neighbour reaches no container" neighbour
    fi
    published 127.0.0.1 | nothing_reached "a neighbour reaches nothing that is published on 127.0.0.1" neighbour
    published $LAN.1 | nothing_reached "a neighbour reaches nothing by the machine's own address" neighbour
    published "$LAN6::1" | nothing_reached "a neighbour reaches nothing by IPv6" neighbour
    must "the machine itself reaches its ports" sh -c "[ -n '$(published 127.0.0.1 | head -n 1 | reached root)' ]"
}

# A container of the same owner on a network of its own, with an image that has bash.
elsewhere() { # NETWORK CMD…
    local network=$1
    shift
    owner podman run --rm --pull=never --network "$network" --entrypoint '' "$FOREIGN_IMAGE" "$@" </dev/null
}

adversary_network() {
    local address
    FOREIGN_IMAGE=$(jq -r '[.services[].image.reference] | map(select(test("/redis:|/redis@"))) | .[0] // empty' "$SNAPSHOT/stack.json" | sed 's/@.*//')
    [ -n "$FOREIGN_IMAGE" ] || FOREIGN_IMAGE=$(jq -r '.services[].image.reference' "$SNAPSHOT/stack.json" | head -n 1 | sed 's/@.*//')
    owner podman network create rig-a >/dev/null
    owner podman network create rig-b >/dev/null
    owner podman run -d --pull=never --name rig-listener --network rig-b --entrypoint '' "$FOREIGN_IMAGE" sleep 300 >/dev/null </dev/null
    address=$(owner podman inspect -f '{{(index .NetworkSettings.Networks "rig-b").IPAddress}}' rig-listener)
    # Refused is an answer: the packet arrived. Dropped is none.
    must "control: two podman networks reach each other" elsewhere rig-a \
        bash -c "timeout 2 bash -c 'exec 3<>/dev/tcp/$address/9' 2>&1 | grep -q refused"
    containers | nothing_reached "a container of another network reaches none of the stack" elsewhere rig-a
    owner podman rm -f -t 0 rig-listener >/dev/null
    owner podman network rm rig-a rig-b >/dev/null
}

# as ACCOUNT CMD… - without the rights of root.
as() {
    local account=$1
    shift
    root setpriv --reuid="$account" --regid="$account" --clear-groups --no-new-privs -- "$@"
}

# pid_of SERVICE - of the container's first process.
pid_of() { owner podman inspect -f '{{.State.Pid}}' "local-ai-$1" </dev/null; }

adversary_account() {
    local account service pid dir open='' accounts=(1001)
    root sh -c 'id eve 2>/dev/null || useradd -m -u 1001 eve' >/dev/null
    # The first ordinary account has the id that several images use. In user scope it is the owner.
    [ "$SCOPE" = user ] || accounts+=(1000)
    for account in "${accounts[@]}"; do
        open=
        while read -r dir; do
            as "$account" ls "$dir" >/dev/null 2>&1 && open+=" $dir"
        done < <(jq -r '.services[].data[] | select(.readOnly | not).host' "$SNAPSHOT/stack.json" | sort -u)
        must "account $account opens no data folder" test -z "$open"
        open=
        for service in "${SERVICES[@]}"; do
            pid=$(pid_of "$service")
            [ "${pid:-0}" -gt 1 ] || continue
            as "$account" cat "/proc/$pid/environ" >/dev/null 2>&1 && open+=" environ:$service"
            as "$account" ls "/proc/$pid/root/" >/dev/null 2>&1 && open+=" root:$service"
            as "$account" kill -0 "$pid" 2>/dev/null && open+=" signal:$service"
        done
        must "account $account sees into no container's process" test -z "$open"
        if [ "$SCOPE" = system ]; then
            containers | nothing_reached "account $account reaches containers by published ports alone" as "$account"
        fi
    done
    # Whoever may read a lock's file can hold it.
    open=$(as 1001 sh -c 'for f in /run/aistack/* /run/user/*/aistack/* /var/lib/local-ai/models/.*.partial; do
        [ -f "$f" ] && flock -n "$f" true 2>/dev/null && echo "$f"; done; true')
    must "account 1001 can hold no lock of the stack" test -z "$open"
    root_reads_no_trap
}

# An account's own files, where tools of root's look for owners of ports.
root_reads_no_trap() {
    root setpriv --reuid=1001 --regid=1001 --clear-groups sh -c '
        d=/home/eve/.local/share/containers/storage/overlay-containers && mkdir -p "$d" && mkfifo "$d/containers.json"
        cp /bin/sleep /home/eve/conmon; (exec -a conmon /home/eve/conmon 300) >/dev/null 2>&1 &'
    must "root's ports command does not wait for an account's FIFO" root timeout 20 sh -c "aistack ports --stack '$STACK' >/dev/null; [ \$? -le 1 ]"
    root pkill -u 1001 2>/dev/null || true
    root rm -rf /home/eve/.local
}

adversary_container() {
    local service pid status
    # A service that was taken over makes traps of its own data: root must not fall in.
    if [ -n "${UNIT[open - webui]:-}" ]; then
        local data
        data=$(jq -r '.services["open-webui"].data[0].host' "$SNAPSHOT/stack.json")
        sctl stop "${UNIT[open - webui]}"
        root sh -c "mv '$data/webui.db' '$data/webui.db.kept' 2>/dev/null; mkfifo '$data/webui.db'; chown --reference='$data' '$data/webui.db'"
        must "a FIFO in the place of a database does not hang the start" \
            sh -c "$(declare -f root owner enter enter_user); CACHE='$CACHE' RIG_NAME='$RIG_NAME' SCOPE='$SCOPE'; LIMIT=40 owner aistack unit prestart open-webui --stack '$STACK'; [ \$? -le 1 ]"
        root sh -c "rm -f '$data/webui.db'; ln -s /etc/shadow '$data/webui.db'"
        status=$(LIMIT=40 owner aistack unit prestart open-webui --stack "$STACK" 2>&1)
        must_not "a link in the place of a database is not followed" grep -q "root:" <(echo "$status")
        root sh -c "rm -f '$data/webui.db'; [ ! -e '$data/webui.db.kept' ] || mv '$data/webui.db.kept' '$data/webui.db'"
        sctl start "${UNIT[open - webui]}"
    fi
    # What a process in a container has of the machine.
    service=${SERVICES[0]}
    pid=$(pid_of "$service")
    must "a container's processes gain no rights" root grep -q '^NoNewPrivs:[[:space:]]*1' "/proc/$pid/status"
    if [ "$SCOPE" = system ]; then
        must "a container's root is no root of the machine" root sh -c "! grep -q '^Uid:[[:space:]]*0' /proc/$pid/status"
    fi
}

adversary_squatter() {
    local keyed ports secrets captured=/run/rig-captured service
    mapfile -t keyed < <(jq -r '.services | to_entries[] | select(.value.secrets != [] and .value.ports != []) | .key' "$SNAPSHOT/stack.json")
    [ ${#keyed[@]} -gt 0 ] || return 0
    for service in "${keyed[@]}"; do sctl stop "${UNIT[$service]}"; done
    ports=$(for service in "${keyed[@]}"; do
        jq -r --arg s "$service" '.services[$s].ports[] | select(.protocol == "tcp").host' "$SNAPSHOT/stack.json"
    done | tr '\n' ' ')
    root sh -c "cat >/run/squatter.py && touch $captured && chown 1001 $captured" <"$RIG/lib/squatter.py"
    # shellcheck disable=SC2086 # a word for each port
    root systemd-run --quiet --collect --unit=squatter --uid=1001 python3 /run/squatter.py $captured $ports
    for _ in $(seq 50); do
        [ "$(published 127.0.0.1 | grep " ${ports%% *} " | reached root)" ] && break
        sleep 0.1
    done
    for service in "${keyed[@]}"; do
        LIMIT=60 owner aistack unit setup "$service" --stack "$STACK" >/dev/null 2>&1
    done
    LIMIT=120 owner aistack check --stack "$STACK" >/dev/null 2>&1
    LIMIT=300 owner aistack-testdriver quick --stack "$STACK" --wait 1 >/dev/null 2>&1
    must "control: the squatter was spoken to" root test -s $captured
    secrets=$(for service in "${keyed[@]}"; do
        jq -r --arg s "$service" '.services[$s].secrets[].source' "$SNAPSHOT/stack.json"
    done | sort -u)
    # shellcheck disable=SC2016 # for the inner shell
    must "no secret is sent to whoever listens in a service's place" root sh -c \
        'for f in $1; do [ -s "$f" ] || continue; v=$(head -n 1 "$f"); if grep -qaF -- "$v" "$2"; then echo "the value of $f"; exit 1; fi; done' _ "$secrets" $captured
    root systemctl stop squatter
    root rm -f $captured
    for service in "${keyed[@]}"; do sctl start --no-block "${UNIT[$service]}"; done
    drive adversary mended
}

# The owner of a database tries to have the superuser's rights by what lies in it.
adversary_owner() {
    local database owner superuser
    read -r database owner < <(jq -r '[.services.postgres.postgres.databases[]? | select(.owner != null and (.migrations != null or .extensions != []))][0] // empty | "\(.name) \(.owner)"' "$SNAPSHOT/stack.json")
    [ -n "${owner:-}" ] || return 0
    superuser=$(jq -r .services.postgres.postgres.user "$SNAPSHOT/stack.json")
    [ "$owner" != "$superuser" ] || return 0
    psql_as() { owner podman exec -i local-ai-postgres psql -qAtX -v ON_ERROR_STOP=1 -U "$superuser" -d "$database"; }
    psql_as >/dev/null <<SQL
SET ROLE "$owner";
CREATE SCHEMA IF NOT EXISTS "$owner";
CREATE FUNCTION public.rig_pwn() RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN IF current_user = '$superuser' THEN EXECUTE 'ALTER ROLE "$owner" SUPERUSER'; END IF; RETURN ''; END \$\$;
CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN PERFORM public.rig_pwn(); RETURN pg_catalog.format(\$1, \$2); END \$\$;
CREATE FUNCTION public.pg_extension_update_paths(text) RETURNS TABLE (source text, target text, path text) LANGUAGE sql AS \$\$ SELECT public.rig_pwn(), ''::text, ''::text \$\$;
SQL
    LIMIT=120 owner aistack unit setup postgres --stack "$STACK" >/dev/null 2>&1
    LIMIT=120 owner aistack check postgres --stack "$STACK" >/dev/null 2>&1
    must "the owner of a database stays without the superuser's rights" test \
        "$(psql_as <<<"SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = '$owner'")" = f
    psql_as >/dev/null <<<'DROP FUNCTION public.format(text, text), public.pg_extension_update_paths(text), public.rig_pwn();'
}

# Data that belonged to ids of the host is given to the container's own, once and for all.
adversary_ids() {
    local service=redis data first
    [ -n "${UNIT[$service]:-}" ] || return 0
    data=$(jq -r ".services.$service.data[0].host" "$SNAPSHOT/stack.json")
    first=$(jq -r ".services.$service.ids.start" "$SNAPSHOT/stack.json")
    owner podman exec local-ai-$service redis-cli set rig-before kept >/dev/null
    sctl stop "${UNIT[$service]}"
    # As an older release left it; one file was moved already when the power went.
    root sh -c "chown -R 999:999 '$data' && chown $((first + 999)):$((first + 999)) \"\$(find '$data' -type f | head -n 1)\" &&
        ln -sfn /etc/shadow '$data/link' && rm -rf '${data%/*}/.ids'"
    sctl start "${UNIT[$service]}"
    must "data of an older release belongs to the container's ids" root sh -c "[ -z \"\$(find '$data' ! -user $((first + 999)) ! -name link)\" ]"
    must "its values are kept" test "$(owner podman exec local-ai-$service redis-cli get rig-before)" = kept
    must "no file outside was given away" test "$(root stat -c %u /etc/shadow)" = 0
    root rm -f "$data/link"
    # A kernel or file system without idmapped mounts: podman copies the image for the range.
    root sh -c "mkdir -p /run/systemd/system/${UNIT[$service]}.d && printf '[Service]\nEnvironment=_CONTAINERS_OVERLAY_DISABLE_IDMAP=yes\n' >/run/systemd/system/${UNIT[$service]}.d/rig.conf && systemctl daemon-reload"
    sctl restart "${UNIT[$service]}"
    must "without idmapped mounts the service starts, with its data" test "$(owner podman exec local-ai-$service redis-cli get rig-before)" = kept
    root sh -c "rm -r /run/systemd/system/${UNIT[$service]}.d && systemctl daemon-reload"
    sctl restart "${UNIT[$service]}"
}

adversary_firewall() {
    local service=${SERVICES[0]}
    # A firewall that is loaded again takes every rule away.
    root sh -c 'printf "[Service]\nType=oneshot\nRemainAfterExit=true\nExecStart=/bin/true\n" >/run/systemd/system/firewall.service && systemctl daemon-reload && systemctl start firewall'
    root nft delete table inet aistack-local-ai
    root systemctl restart firewall
    # Its own restart follows that of the firewall.
    must "the guard is there after a restart of the firewall" root sh -c \
        'for _ in $(seq 60); do nft list table inet aistack-local-ai >/dev/null 2>&1 && exit; sleep 0.5; done; exit 1'
    # Neither nftables nor iptables.
    root sh -c 'install -m 644 /dev/null /run/nothing && for p in nft iptables iptables-restore ip6tables ip6tables-restore; do
        f=$(command -v $p) && mount --bind /run/nothing "$(readlink -f "$f")"; done; true'
    must "without any firewall nothing is started, and the reason is said" root sh -c \
        "aistack unit prestart '$service' --stack '$STACK' 2>&1 | grep -q 'nothing is started'"
    root sh -c 'for p in nft iptables iptables-restore ip6tables ip6tables-restore; do f=/usr/sbin/$p; [ ! -e "$f" ] || umount "$(readlink -f "$f")" 2>/dev/null; done; true'
    must "the rules are back with the firewall" root aistack unit guard --stack "$STACK"
}
