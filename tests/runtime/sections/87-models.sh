# shellcheck shell=bash
# A model that is declared and not there comes by its own unit: first from a server that breaks off, then
# whole. Meanwhile the stack is up, and the engine says what it waits for; when the file is there it starts
# by itself. The server is a socket of the machine that prints an answer.

MODEL_PORT=8999

section_models() {
    local name file unit engine since hash size s
    read -r name file unit < <(jq -r '.models // {} | to_entries[0] // empty |
        "\(.key) \(.value.path) \(.value.unit)"' "$MANIFEST")
    [ -n "${name:-}" ] || return 0
    engine=$(first_with ".files | any(.unit == \"$unit\")")
    expect "$SNAP models: a file that was copied there is taken by its hash" \
        has present owner aistack model list --stack "$MANIFEST_INSIDE"

    # shellcheck disable=SC2153 # of scope.sh
    sctl stop "${UNIT[$engine]}"
    root cp "$file" /var/lib/rig-model
    # shellcheck disable=SC2016 # for the inner shell
    root sh -c 'rm "$1" "$(dirname "$1")/.$(basename "$1").sha256"' _ "$file"
    hash=$(root sha256sum /var/lib/rig-model)
    size=$(root stat -c %s /var/lib/rig-model)
    declare_model "$name" "http://127.0.0.1:$MODEL_PORT/m.gguf" "${hash%% *}"
    serve_model "$size" 1000
    since="@$(date +%s)"
    sctl start --no-block "${UNIT[$engine]}"
    expect "$SNAP models: $engine says which unit fetches its file" within 30 \
        journal_has "${UNIT[$engine]}" "$since" "$file" "$unit" "journalctl"
    sctl start "$unit"
    expect "$SNAP models: what a broken download brought is kept" within 60 \
        has partial owner aistack model list --stack "$MANIFEST_INSIDE"
    for s in "${SERVICES[@]}"; do
        # Those that need the same file wait as well.
        [ "$(service "$s" ".files | any(.unit == \"$unit\")")" = true ] || expect "$SNAP models: $s stays up" is_up "$s"
    done

    serve_model "$size" "$size"
    expect "$SNAP models: the unit goes on until the file is there" within 120 root test -e "$file"
    expect "$SNAP models: it is the file that was declared" \
        has "${hash%% *}" root sha256sum "$file"
    expect "$SNAP models: $engine starts by itself" within 60 is_up "$engine"
    root systemctl stop rig-models.socket 2>/dev/null || root systemctl stop rig-models
}

declare_model() { # NAME URL HASH
    # shellcheck disable=SC2016 # jq's
    root sh -c 'jq --arg n "$2" --arg u "$3" --arg h "$4" \
        ".models[\$n] |= (.url = \$u | .sha256 = \$h | .sizeMiB = null)" "$1" >/tmp/models.json && cat /tmp/models.json >"$1"' \
        _ "$MANIFEST_INSIDE" "$@"
}

# serve_model SIZE BYTES - says SIZE and sends that many BYTES of the file to each client
serve_model() {
    root systemctl stop rig-models 2>/dev/null || true
    # shellcheck disable=SC2016 # for the inner shell
    root sh -c 'printf "%s\n" "#!/bin/sh" "read -r request" \
        "printf \"HTTP/1.0 200 OK\\r\\nContent-Length: $1\\r\\n\\r\\n\"" "head -c $2 /var/lib/rig-model" \
        >/run/rig-serve && chmod 755 /run/rig-serve' _ "$1" "$2"
    root systemd-run --quiet --collect --unit=rig-models \
        systemd-socket-activate --accept --inetd -l "127.0.0.1:$MODEL_PORT" /run/rig-serve
    within 5 listens 127.0.0.1 "$MODEL_PORT"
}
