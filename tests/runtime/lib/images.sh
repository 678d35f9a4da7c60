# shellcheck shell=bash
# Images for every reference of the snapshots, in read-only stores: one owned by root, one by the
# user's subordinate ids. Debian's forky has everything that the real servers need.

IMAGE_SUITE=forky

# snapshot_refs SNAPSHOT… - the references as podman is given them here: without a digest, which
# only a registry can answer for.
snapshot_refs() {
    local d
    for d; do jq -r '.services[].image.reference' "$d/stack.json"; done | sed 's/@sha256:.*//' | sort -u
}

# kind_of REFERENCE - folder below images/ that stands for it, and whether it is a real server.
kind_of() {
    local name=$1 glob kind real
    name=${name%@*}
    [[ ${name##*/} != *:* ]] || name=${name%:*}
    while read -r glob kind real; do
        # shellcheck disable=SC2053 # a glob on purpose
        [[ $glob != '#'* && $name == $glob ]] && echo "$kind $real" && return
    done <"$RIG/images/kinds"
    die "no image here for $1: give it a line in tests/runtime/images/kinds"
}

kinds_of() { # SNAPSHOT…
    local ref kind
    while read -r ref; do
        read -r kind _ < <(kind_of "$ref")
        echo "$kind"
    done < <(snapshot_refs "$@") | sort -u
}

tree_of() { sed -n 's|^FROM localhost/rig/||p' "$RIG/images/$1/Containerfile"; } # KIND
image_trees() {
    local kind
    for kind in $(kinds_of "$@"); do tree_of "$kind"; done | sort -u
}
image_tree() { echo "$CACHE/tree-$1-$(key "$IMAGE_SUITE" "$RIG/lib/trees.sh" "$RIG/images/trees/$1")"; }

make_image_tree() { # NAME
    local tree t packages='' user=''
    tree=$(image_tree "$1")
    t=$tree.tmp
    # shellcheck source=/dev/null
    . "$RIG/images/trees/$1"
    local hooks=()
    if [ -n "$user" ]; then
        local name id home
        IFS=: read -r name id home <<<"$user"
        # Before the packages: their scripts then take this user instead of making one.
        # shellcheck disable=SC2016 # mmdebstrap's $1
        hooks=(--essential-hook="echo $name:x:$id: >>"'"$1/etc/group"'
            --essential-hook="echo $name:x:$id:$id::$home:/bin/sh >>"'"$1/etc/passwd"')
    fi
    strap "$IMAGE_SUITE" "$t" "$packages" "${hooks[@]}"
    rm -rf "${t:?}"/{var/cache,var/log,dev}/* "$t"/var/lib/apt/lists "$t"/etc/resolv.conf \
        "$t"/usr/lib/postgresql/*/lib/bitcode
    chmod 1777 "$t/tmp"
    mv "$t" "$tree"
}

image_store() { # SNAPSHOT…
    local kind files=()
    for kind in $(kinds_of "$@"); do
        files+=("$(image_tree "$(tree_of "$kind")")" "$RIG/images/$kind"/*)
    done
    # shellcheck disable=SC2046 # one word a reference
    echo "$CACHE/store-$(key "$(host_tree)" "$RIG/lib/images.sh" "$RIG/images/kinds" "$RIG/images/standin" \
        "${files[@]}" $(snapshot_refs "$@"))"
}

make_image_store() { # STORE SNAPSHOT…
    local store=$1 pids=() p
    shift
    export RIG_NAME=build-$$ RIG_STORE=$store.tmp RIG_RW=1
    rm -rf --one-file-system "$RIG_STORE"
    mkdir -p "$RIG_STORE"/{root,user,context}
    chown 1000:1000 "$RIG_STORE/user"
    trap '"$RIG/machine" wipe' EXIT
    "$RIG/machine" start
    # Two stores, because the files of a rootless one belong to its user's ids.
    fill_store exec root "$@" & pids+=($!)
    fill_store user user "$@" & pids+=($!)
    for p in "${pids[@]}"; do wait "$p"; done
    "$RIG/machine" wipe
    trap - EXIT
    rm -rf "$RIG_STORE/context"
    mv "$RIG_STORE" "$store"
    unset RIG_NAME RIG_STORE RIG_RW
}

fill_store() { # exec|user ROOT SNAPSHOT…
    local who=$1 to=$2 podman tree kind ref tags context
    shift 2
    podman=(env CONTAINERS_STORAGE_CONF=/dev/null podman --storage-driver overlay --root "/usr/lib/rig-images/$to")
    for tree in $(image_trees "$@"); do
        tar -C "$(image_tree "$tree")" --numeric-owner -c . |
            "$RIG/machine" "$who" "${podman[@]}" import -q - "localhost/rig/$tree" >/dev/null
    done
    for kind in $(kinds_of "$@"); do
        tags=()
        while read -r ref; do
            [[ $(kind_of "$ref") != "$kind "* ]] || tags+=(-t "$ref")
        done < <(snapshot_refs "$@")
        context=context/$to-$kind
        cp -r "$RIG/images/$kind" "$RIG_STORE/$context"
        cp "$RIG/images/standin" "$RIG_STORE/$context/"
        "$RIG/machine" "$who" "${podman[@]}" build -q --pull=never --network=none "${tags[@]}" \
            "/usr/lib/rig-images/$context" >/dev/null
    done
}

# forget_old - of each part, those used last are kept: a store for each of a few branches.
forget_old() {
    local part
    for part in host:3 tree:12 store:3; do
        find "$CACHE" -maxdepth 1 -name "${part%:*}-*" ! -name '*.tmp' -printf '%T@ %p\n' | sort -rn |
            tail -n +$((${part#*:} + 1)) | cut -d' ' -f2 | xargs -r rm -rf --one-file-system
    done
}
