# shellcheck shell=bash
# Rendered snapshots: reading them, and preparing a copy that can run here.

# store_programs DIR - each program below /nix/store that the snapshot's files name.
store_programs() {
    grep -rhoE '/nix/store/[^/ "'"'"'=:;]+/s?bin/[A-Za-z0-9._+-]+' "$1" | sort -u || true
}

# stub_store ROOT SNAPSHOT TREE - puts the named store programs below ROOT as links to the Debian
# tree's programs of the same name. `aistack` is ours: callers that run it put it there.
stub_store() {
    local root=$1 path prog d rc=0
    while read -r path; do
        [ -n "$path" ] || continue
        prog=${path##*/}
        mkdir -p "$root${path%/*}"
        [ "$prog" = aistack ] && d=/usr/bin/true
        [ "$prog" = aistack ] || d=$(program_in "$3" "$prog") || {
            echo "$path: the Debian tree has no $prog" >&2
            rc=1
            continue
        }
        ln -sf "$d" "$root$path"
    done < <(store_programs "$2")
    return $rc
}

program_in() {
    local d
    for d in /usr/bin /usr/sbin /usr/local/bin; do
        if [ -e "$1$d/$2" ] || [ -L "$1$d/$2" ]; then
            echo "$d/$2"
            return
        fi
    done
    return 1
}
