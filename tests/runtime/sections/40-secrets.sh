# shellcheck shell=bash
# Values of secrets show neither in `podman inspect` nor in the list of processes nor in the journal.

section_secrets() {
    local s name source value n=0 seen
    seen=$(mktemp -d)
    pod inspect "${CONTAINER[@]}" >"$seen/inspect"
    root ps -ewwo args >"$seen/processes"
    root journalctl --no-pager -o cat >"$seen/journal"
    sctl show '*' >"$seen/units"
    for s in "${SERVICES[@]}"; do
        while read -r name source; do
            n=$((n + 1))
            value=$(root cat "$source") || value=
            if [ ${#value} -lt 8 ]; then
                fail "$SNAP secrets: $name has a value" "$source holds ${#value} characters"
                continue
            fi
            # Shows that the value looked for is the one in use.
            expect "$SNAP secrets: $name is what podman holds" \
                has "$value" pod secret inspect --showsecret -f '{{.SecretData}}' "$name"
            expect "$SNAP secrets: $name is readable by its owner only" owner_only "$source"
            expect "$SNAP secrets: $name shows nowhere" shows_nowhere "$value" "$seen"
        done < <(service "$s" '.secrets[] | "\(.name) \(.source)"')
    done
    [ $n -gt 0 ] || fail "$SNAP secrets: the stack has some" "none in stack.json"
    rm -rf "$seen"
}

owner_only() {
    local mode
    mode=$(root stat -c '%a %U' "$1")
    [[ $mode == [4-6]00\ * ]] || { echo "$1 is $mode"; return 1; }
}

shows_nowhere() { # VALUE DIR
    local where
    where=$(cd "$2" && grep -lF -e "$1" -- *) || return 0
    echo "its value is in: $where"
    return 1
}
