# shellcheck shell=bash
# Rendered snapshots: reading them, and preparing a copy that can run here.

# store_programs DIR - each program below /nix/store that the snapshot's files name.
store_programs() {
    grep -rhoE '/nix/store/[^/ "'"'"'=:;]+/s?bin/[A-Za-z0-9._+-]+' "$1" | sort -u || true
}

# stub_store ROOT SNAPSHOT TREE [FALLBACK] - puts the named store programs below ROOT as links to the
# Debian tree's programs of the same name. `aistack` is ours: callers that run it put it there.
stub_store() {
    local root=$1 path prog target rc=0
    while read -r path; do
        [ -n "$path" ] || continue
        prog=${path##*/}
        if [ "$prog" = aistack ]; then
            target=/usr/bin/true
        elif [ "$prog" = aistack-testdriver ] && [ -z "${4:-}" ]; then
            target=/usr/local/bin/aistack-testdriver # as stage_rig lays it
        elif [ "$prog" = local-ai-rollback ] && [ -z "${4:-}" ]; then
            install -D -m 755 "$2/rollback.sh" "$root$path"
            continue
        elif [ "$prog" = nix-env ] && [ -z "${4:-}" ]; then
            target=$RIG_SHARE/nix-env # ours, see there
        elif target=$(program_in "$3" "$prog"); then
            :
        elif [ -n "${4:-}" ]; then
            target=$4
        else
            echo "$2 names $path: the Debian tree has no $prog" >&2
            rc=1
            continue
        fi
        mkdir -p "$root${path%/*}"
        ln -sf "$target" "$root$path"
    done < <(store_programs "$2")
    return $rc
}

# store_path_dirs ROOT SNAPSHOT TREE - the folders that the units' PATH names hold what the Debian
# package of that name has, and nothing else: a unit that misses a program in its PATH misses it here.
store_path_dirs() {
    local dir name program
    while read -r dir; do
        name=${dir#/nix/store/}
        mkdir -p "$1$dir"
        case $name in */sbin) continue ;; esac # links to bin there
        name=${name%/bin}
        name=${name#gnu}
        [ -f "$3/var/lib/dpkg/info/$name.list" ] ||
            die "$2: PATH has $dir, and the Debian tree no package $name"
        while read -r program; do ln -sf "$program" "$1$dir/"; done < <(
            grep -E '^/(usr/)?s?bin/[^/]+$' "$3/var/lib/dpkg/info/$name.list"
        )
    done < <(grep -rhoE '^Environment="?PATH=[^"]*' "$2" | grep -oE '/nix/store/[^/:]+/s?bin' | sort -u)
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

# stage SNAPSHOT DIR - DIR becomes the tree that a switch would have made of the snapshot,
# with what lies outside of one: the model files and the secrets that it is told of.
# Digests are taken off: there is no registry here that could answer for them.
stage() {
    local snap=$1 root=$2 scope user at quadlets units tmpfiles manifest
    scope=$(jq -r .scope "$snap/stack.json")
    if [ "$scope" = user ]; then
        user=$(jq -r .user "$snap/stack.json")
        [ "$user" = ai ] || die "$snap is rendered for the user $user; the machine here has ai"
        at=/home/ai/.config
        quadlets=$at/containers/systemd units=$at/systemd/user tmpfiles=$at/user-tmpfiles.d
        manifest=$at/aistack/stack.json
    else
        quadlets=/etc/containers/systemd units=/etc/systemd/system tmpfiles=/etc/tmpfiles.d
        manifest=/etc/aistack/stack.json
    fi
    mkdir -p "$root"{"$quadlets","$units","$tmpfiles","${manifest%/*}",/nix/store,/usr/local/bin}
    cp -rL "$snap/quadlet/." "$root$quadlets/"
    sed -i -E '/^Image=/s/@sha256:[0-9a-f]{64}//' "$root$quadlets"/*.container
    [ ! -d "$snap/units" ] || cp -rL "$snap/units/." "$root$units/"
    [ ! -f "$snap/tmpfiles.conf" ] || cp "$snap/tmpfiles.conf" "$root$tmpfiles/aistack.conf"
    [ ! -d "$snap/store" ] || cp -rL "$snap/store/." "$root/nix/store/"
    stage_migrations "$snap" "$root"
    jq '.services[].image |= (.reference |= sub("@sha256:[0-9a-f]{64}$"; "") | .digest = null)' \
        "$snap/stack.json" >"$root$manifest"
    # Units may name it by its store path.
    cp "$root$manifest" "$root/nix/store/stack.json"
    enable_units "$root" "$units"
    if [ "$scope" = user ]; then
        # What `aistack check` says to do on a host where nobody wants the network, and what the NixOS
        # module does; the section `switching` looks at a host where nobody has.
        mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
        ln -sf /usr/lib/systemd/system/network-online.target "$root/etc/systemd/system/multi-user.target.wants/"
        # Home Manager turns this one on when there are user-tmpfiles.
        mkdir -p "$root$units/basic.target.wants"
        ln -sf /usr/lib/systemd/user/systemd-tmpfiles-setup.service "$root$units/basic.target.wants/"
    fi
    store_path_dirs "$root" "$snap" "$(host_tree)"
    stub_store "$root" "$snap" "$(host_tree)" || return 1
    mkdir -p "$root/nix/store/aistack/bin"
    rm -f "$root/nix/store/aistack/bin/aistack"
    install -m 755 "$PROGRAMS/aistack" "$root/nix/store/aistack/bin/aistack"
    ln -sf /nix/store/aistack/bin/aistack "$root/usr/local/bin/aistack"
    # All that is there may be lost.
    touch "$root${manifest%/*}/test-stack"
    [ ! -f "$snap/scenarios.json" ] || cp "$snap/scenarios.json" "$root${manifest%/*}/"
    install -D -m 644 "$REPO/share/aistack.sh" "$root/nix/store/aistack/share/aistack/aistack.sh"
    stage_prep "$snap" "$root" "${manifest%/*}"
    stage_files "$snap" "$root"
    stage_models "$root" "$root$manifest"
    stage_secrets "$snap" "$root"
}

# What `systemctl enable` would link.
enable_units() { # ROOT UNITS
    local f dir want
    for f in "$1$2"/*; do
        [ -f "$f" ] || continue
        while read -r dir want; do
            mkdir -p "$1$2/$want.$dir"
            ln -sf "../${f##*/}" "$1$2/$want.$dir/${f##*/}"
        done < <(sed -nE 's/^WantedBy=/wants /p; s/^RequiredBy=/requires /p; s/^UpheldBy=/upholds /p' "$f" |
            awk '{for (i = 2; i <= NF; i++) print $1, $i}')
    done
}

# stage_migrations SNAPSHOT ROOT - of the databases that have some; they are files of the repository.
stage_migrations() {
    local to
    while read -r to; do
        cp -rL "$REPO/modules/services/postgres/migrations/${to##*/aistack-migrations-}" "$2$to"
    done < <(jq -r '.services[].postgres.databases[]?.migrations // empty' "$1/stack.json")
}

# stage_prep SNAPSHOT ROOT FOLDER - what a machine has that is made ready for AI-Optimizer, and a stand-in
# for that; /opt/glove has the same names in both scopes for where things are.
stage_prep() {
    local name field glove=$2/opt/glove
    [ -f "$1/prep.json" ] || return 0
    cp "$1/prep.json" "$2$3/"
    mkdir -p "$glove"
    for name in checkout:expectedLocation data:dataRoot config:configRoot report:statusFile; do
        field=${name#*:}
        ln -sfn "$(jq -r ".$field" "$1/prep.json")" "$glove/${name%:*}"
    done
    cp -r "$RIG/glove" "$glove/source"
    # The images that are here; the rest is what an owner writes.
    jq -r '.services | "# mine\nGLOVE_POSTGRES=\(.postgres.image.reference)\nGLOVE_REDIS=\(.redis.image.reference)"' \
        "$1/stack.json" | sed 's/@sha256:.*//' >"$glove/source/.env"
    echo 'GLOVE_PASSWORD=not-so-secret' >>"$glove/source/.env"
}

# Model files that the stack expects: a tiny model with random weights in each place.
stage_files() { # SNAPSHOT ROOT
    local path
    while read -r path; do
        case $path in
        *.gguf)
            mkdir -p "$2${path%/*}"
            python3 "$RIG/lib/mkgguf.py" "$2$path"
            ;;
        *) die "$1/stack.json expects $path: the rig knows no file to put there" ;;
        esac
    done < <(jq -r '.services[].files[].path' "$1/stack.json")
}

# Models that the stack declares: the file that was staged in each place is the right one.
stage_models() { # ROOT MANIFEST
    local name path hash
    while read -r name path; do
        [ -f "$1$path" ] || continue
        hash=$(sha256sum <"$1$path")
        jq --arg n "$name" --arg h "${hash%% *}" '.models[$n].sha256 = $h' "$2" >"$2.new"
        mv "$2.new" "$2"
    done < <(jq -r '.models // {} | to_entries[] | "\(.key) \(.value.path)"' "$2")
}

# Secret files that a user has to bring; /run is empty at boot, so there tmpfiles makes them.
stage_secrets() { # SNAPSHOT ROOT
    local path value
    while read -r path; do
        value=brought-$(od -An -N8 -tx1 /dev/urandom | tr -d ' \n')
        case $path in
        /run/*)
            mkdir -p "$2/etc/tmpfiles.d"
            printf 'd %s 0755 - - -\nf %s 0600 - - - %s\n' "${path%/*}" "$path" "$value" \
                >>"$2/etc/tmpfiles.d/rig-secrets.conf"
            ;;
        *)
            mkdir -p "$2${path%/*}"
            (umask 077 && printf %s "$value" >"$2$path")
            ;;
        esac
    done < <(jq -r '.services[].secrets[] | select(.generate | not).source' "$1/stack.json")
}
