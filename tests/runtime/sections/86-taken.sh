# shellcheck shell=bash
# A foreign program has a port of the stack: `aistack ports` says who, and what moves either side. The
# program runs in a unit of the name that NixOS's own module has, so that its option is known.

section_taken() {
    local s=ollama since pid t theirs=services.ollama.port
    [ "$SCOPE" = system ] || theirs="stop ollama.service" # no module of NixOS made that unit
    [ -n "${UNIT[$s]:-}" ] || return 0
    read -r TAKEN_PORT TAKEN_OPTION < <(service $s '.ports[0] | "\(.host) \(.option)"')
    expect "$SNAP taken: aistack ports finds nothing wrong before" within 20 owner aistack ports
    sctl stop "${UNIT[$s]}"
    expect "$SNAP taken: --wait-free is done at once when the port is free" \
        owner aistack ports --wait-free "$TAKEN_PORT" --timeout 1

    take_port
    expect "$SNAP taken: --wait-free gives up in time and says who has it" gives_up "$TAKEN_PORT" "ollama.service"
    (sleep 2 && sctl stop ollama.service) &
    t=$SECONDS
    expect "$SNAP taken: --wait-free ends when the port is free" \
        owner aistack ports --wait-free "$TAKEN_PORT" --timeout 30
    expect "$SNAP taken: --wait-free does not wait longer than that" test $((SECONDS - t)) -lt 10
    wait

    take_port
    pid=$(sctl show -P MainPID ollama.service)
    since="@$(date +%s)"
    sctl start --no-block "${UNIT[$s]}"
    expect "$SNAP taken: $s names the port and the option" within 20 journal_has "${UNIT[$s]}" "$since" \
        "can't start" "$TAKEN_PORT" "$TAKEN_OPTION" "is taken by another program"
    expect "$SNAP taken: $s does not run" is_not_up $s
    expect "$SNAP taken: aistack ports names who has the port, and what moves either side" \
        ports_say "$TAKEN_PORT" "systemd-socket-[$pid]" ollama.service "$TAKEN_OPTION = " "$theirs"
    for s in "${SERVICES[@]}"; do
        [ "$s" = ollama ] || expect "$SNAP taken: $s stays up" is_up "$s"
    done
    s=ollama
    sctl stop ollama.service
    expect "$SNAP taken: $s is back by itself when the port is free" within 60 is_up $s
    expect "$SNAP taken: aistack ports finds nothing wrong after" within 20 owner aistack ports
}

# It listens, and starts something only for whoever connects.
take_port() {
    owner systemd-run "--$SCOPE" --quiet --collect --unit=ollama.service \
        systemd-socket-activate -l "127.0.0.1:$TAKEN_PORT" sleep 60
    within 5 listens 127.0.0.1 "$TAKEN_PORT"
}

gives_up() { # PORT TEXT
    local said rc=0 t=$SECONDS
    said=$(owner aistack ports --wait-free "$1" --timeout 1 2>&1) || rc=$?
    if [ $rc != 1 ] || [ $((SECONDS - t)) -ge 5 ] || [[ $said != *"$2"* ]]; then
        echo "exit code $rc after $((SECONDS - t)) s: $said"
        return 1
    fi
}

ports_say() { # TEXT…
    local said rc=0 t
    said=$(owner aistack ports 2>&1) || rc=$?
    for t; do [[ $said == *"$t"* ]] || { echo "no '$t' in: $(grep -v ours <<<"$said")"; return 1; }; done
    [ $rc = 1 ] || { echo "exit code $rc: $said"; return 1; }
}
