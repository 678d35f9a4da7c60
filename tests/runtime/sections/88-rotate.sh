# shellcheck shell=bash
# A secret that changes reaches its service, and restarts no other.

section_rotate() {
    local s=aidb name source value other=chromadb old
    [ -n "${UNIT[$s]:-}" ] || return 0
    read -r name source < <(service $s '.secrets[0] | "\(.name) \(.source)"')
    declare -A before
    before[$other]=$(container_id $other)
    old=$(container_id $s)
    value=rotated-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
    # As a secret manager does it: a new file in the place of the old one.
    # shellcheck disable=SC2016 # for the inner shell
    owner sh -c 'umask 077 && printf %s "$2" >"$1.new" && mv "$1.new" "$1"' _ "$source" "$value"
    expect "$SNAP rotate: $s is restarted with the new value" within 90 has_new_id $s "$old"
    expect "$SNAP rotate: podman has the new value" within 30 \
        has "$value" pod secret inspect --showsecret -f '{{.SecretData}}' "$name"
    expect "$SNAP rotate: $other is not restarted" has "${before[$other]}" container_id $other
    expect "$SNAP rotate: postgres takes the new password and is up" within 120 is_up postgres
    expect "$SNAP rotate: $s is up" within 120 is_up $s
    expect "$SNAP rotate: the new password opens the database through its port" within 60 \
        owner aistack check postgres
    old=$(container_id $s)
    owner touch "$source"
    sleep 8
    expect "$SNAP rotate: a file that is written anew with the same value restarts nothing" has "$old" container_id $s
}
