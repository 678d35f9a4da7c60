# shellcheck shell=bash
# Making the images' trees and stores; their names are images.sh's.

make_image_tree() { # NAME
    local tree t packages='' user='' suite=$IMAGE_SUITE
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
    strap "$suite" "$t" "$packages" "${hooks[@]}"
    rm -rf "${t:?}"/{var/cache,var/log,dev}/* "$t"/var/lib/apt/lists "$t"/etc/resolv.conf \
        "$t"/usr/lib/postgresql/*/lib/bitcode
    chmod 1777 "$t/tmp"
    mv "$t" "$tree"
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
    fill_store exec root "$@" &
    pids+=($!)
    fill_store user user "$@" &
    pids+=($!)
    for p in "${pids[@]}"; do wait "$p"; done
    "$RIG/machine" wipe
    trap - EXIT
    rm -rf "$RIG_STORE/context"
    for p in $(server_kinds "$@"); do
        ! has_tree "$p" || echo "$p $(server_tree "$p")"
    done >"$RIG_STORE/servers"
    mv "$RIG_STORE" "$store"
    unset RIG_NAME RIG_STORE RIG_RW
}

fill_store() { # exec|user ROOT SNAPSHOT…
    local who=$1 to=$2 podman tree kind ref tags context contract file
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
        contract=$(contract_of "$kind")
        mkdir "$RIG_STORE/$context"
        cp "$RIG/images/standin" "$RIG_STORE/$context/"
        [ -z "$contract" ] || cp "$contract" "$RIG_STORE/$context/contract.json"
        [ ! -d "$RIG/images/$kind" ] || cp -r "$RIG/images/$kind"/. "$RIG_STORE/$context"
        file=$context/$(containerfile "$kind")
        if [ -f "$RIG_STORE/$file" ]; then
            # User, folders, entry point and missing programs as in the real image.
            [ -z "$contract" ] ||
                "$RIG/lib/contract.py" lines "$(basename "$contract" .json)" >>"$RIG_STORE/$file"
        else
            "$RIG/lib/contract.py" standin "$(basename "$contract" .json)" >"$RIG_STORE/$file"
        fi
        "$RIG/machine" "$who" "${podman[@]}" build -q --pull=never --network=none "${tags[@]}" \
            -f "/usr/lib/rig-images/$file" "/usr/lib/rig-images/$context" >/dev/null
    done
}

# forget_old - of each part, those used last are kept: a store for each of a few branches.
forget_old() {
    local part
    for part in host:3 tree:12 store:3 server:18 uv:2; do
        find "$CACHE" -maxdepth 1 -name "${part%:*}-*" ! -name '*.tmp' -printf '%T@ %p\n' | sort -rn |
            tail -n +$((${part#*:} + 1)) | cut -d' ' -f2 | xargs -r rm -rf --one-file-system
    done
}
