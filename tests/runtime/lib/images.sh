# shellcheck shell=bash
# Which images the snapshots name, and what stands for each of them here. Debian's
# forky has most of what the real servers need; servers.sh has those from PyPI.

IMAGE_SUITE=forky

# snapshot_refs SNAPSHOT… - the references as podman is given them here: without a digest, which
# only a registry can answer for.
snapshot_refs() {
    local d
    for d; do jq -r '.services[].image.reference' "$d/stack.json"; done | sed 's/@sha256:.*//' | sort -u
}

# kind_of REFERENCE - folder below images/ that stands for it, `real` or `stand-in`, and the name of the
# image's contract (`-`: none).
kind_of() {
    local name=$1 glob kind real contract
    name=${name%@*}
    [[ ${name##*/} != *:* ]] || name=${name%:*}
    while read -r glob kind real contract; do
        # shellcheck disable=SC2053 # a glob on purpose
        [[ $glob != '#'* && $name == $glob ]] || continue
        if [ "$real" = pypi ]; then if has_tree "$kind"; then real=real; else real=stand-in; fi; fi
        echo "$kind $real ${contract:--}"
        return
    done <"$RIG/images/kinds"
    # A stand-in by the contract that the image lock names.
    contract=$(jq -r --arg name "$name" 'first(to_entries[] | select(.value.name == $name)) | .value.contract // .key' \
        "$REPO/pkgs/images.json")
    [ -n "$contract" ] || die "no image here for $1: give it a line in tests/runtime/images/kinds"
    echo "$contract stand-in $contract"
}

kinds_of() { # SNAPSHOT…
    local ref kind
    while read -r ref; do
        read -r kind _ < <(kind_of "$ref")
        echo "$kind"
    done < <(snapshot_refs "$@") | sort -u
}

contract_of() { # KIND - the file of its contract, if it has one
    local name
    name=$(awk -v kind="$1" '$1 !~ /^#/ && $2 == kind {print $4; exit}' "$RIG/images/kinds")
    case $name in
    '') [ ! -e "$REPO/pkgs/contracts/$1.json" ] || name=$1 ;;
    -) name= ;;
    esac
    [ -z "$name" ] || echo "$REPO/pkgs/contracts/$name.json"
}

# containerfile KIND - a real server from PyPI has one of its own.
containerfile() {
    if has_server "$1" && has_tree "$1"; then echo Containerfile.real; else echo Containerfile; fi
}
# A stand-in that is made from its contract alone has no Containerfile.
tree_of() { # KIND
    local file
    file=$RIG/images/$1/$(containerfile "$1")
    if [ -f "$file" ]; then sed -n 's|^FROM localhost/rig/||p' "$file"; else echo http; fi
}
image_trees() {
    local kind
    for kind in $(kinds_of "$@"); do tree_of "$kind"; done | sort -u
}
tree_packages() { sed -n 's/^packages=//p' "$RIG/images/trees/$1" | tr , ' '; }
image_tree() { echo "$CACHE/tree-$1-$(key "$IMAGE_SUITE" "$RIG/lib/trees.sh" "$RIG/images/trees/$1")"; }

image_store() { # SNAPSHOT…
    local kind contract files=()
    for kind in $(kinds_of "$@"); do
        files+=("$(image_tree "$(tree_of "$kind")")")
        [ ! -d "$RIG/images/$kind" ] || files+=("$RIG/images/$kind"/*)
        contract=$(contract_of "$kind")
        [ -z "$contract" ] || files+=("$contract" "$RIG/lib/contract.py")
        ! has_server "$kind" || files+=("$(containerfile "$kind")" "$(server_tree "$kind")")
    done
    # shellcheck disable=SC2046 # one word a reference
    echo "$CACHE/store-$(key "$SUITE" "$RIG/lib/stores.sh" "$RIG/images/kinds" "$RIG/images/standin" \
        "${files[@]}" $(snapshot_refs "$@"))"
}
