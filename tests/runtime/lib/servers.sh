# shellcheck shell=bash
# Real servers from PyPI, in the versions of pkgs/images.json. A folder of images/ with a file `server`
# has one:
#   image     name in pkgs/images.json; empty: the image is the user's own
#   package   its package on PyPI
#   at        where the image has its Python environment
#   python    the interpreter, where it is not Debian's
#   warm      a command in it that imports what the server imports, so that it is compiled once
# requirements.in names the package, requirements.txt is the lock (`tests/runtime/lock`), and
# Containerfile.real makes the image. Without PyPI the folder's Containerfile makes a stand-in.
#
# A server's tree exists once: rig-crun binds it, read-only, into the containers of both scopes. In an
# image it would lie in both stores, once for each owner.

SERVER_PYTHON=3.11 # of Debian bookworm, images/trees/python

has_server() { [ -f "$RIG/images/$1/server" ]; }
server_field() { sed -n "s|^$2=||p" "$RIG/images/$1/server"; } # KIND FIELD
server_tree() {                                                # KIND
    local i=$RIG/images/$1
    echo "$CACHE/server-$1-$(key "$RIG/lib/servers.sh" "$RIG/images/uv.txt" "$RIG/images/trees/python" \
        "$i/server" "$i/requirements.txt")"
}
# has_tree KIND - its server could be had; a cold one is still warmed by `build`.
has_tree() {
    local tree
    tree=$(server_tree "$1")
    # Looked for twice, because it may be renamed in between.
    [ -d "$tree" ] || [ -d "$tree.cold" ] || [ -d "$tree" ]
}
server_kinds() { # SNAPSHOT…
    local kind
    for kind in $(kinds_of "$@"); do if has_server "$kind"; then echo "$kind"; fi; done
}
# server_version KIND - as it is locked.
server_version() {
    sed -n "s/^$(server_field "$1" package)\(\[[a-z,]*\]\)\?==\([^ ;]*\).*/\2/p" "$RIG/images/$1/requirements.txt"
}
# declared_version KIND - the tag in pkgs/images.json; nothing when the image has none.
declared_version() {
    local image
    image=$(server_field "$1" image)
    [ -z "$image" ] || jq -r --arg i "$image" '.[$i].tag // "" | ltrimstr("v")' "$REPO/pkgs/images.json"
}

# need_lock KIND - the lock is of the version that pkgs/images.json has.
need_lock() {
    local want have
    want=$(declared_version "$1")
    have=$(server_version "$1")
    [ -z "$want" ] || [ "$want" = "$have" ] ||
        die "images/$1/requirements.txt is for $(server_field "$1" package) $have, and pkgs/images.json has $want:" \
            "run tests/runtime/lock $1"
}

# need_uv - the installer, in $UV. 75: there is no PyPI.
need_uv() {
    local to
    to=$CACHE/uv-$(key "$RIG/images/uv.txt")
    UV=$to/bin/uv
    export UV_CACHE_DIR=$CACHE/uv-cache UV_PYTHON_DOWNLOADS=never UV_NO_CONFIG=1 UV_SYSTEM_CERTS=1 \
        UV_LINK_MODE=hardlink
    # What pip is told of another index holds for uv as well.
    [ -z "${PIP_INDEX_URL:-}" ] || export UV_DEFAULT_INDEX=${UV_DEFAULT_INDEX:-$PIP_INDEX_URL}
    [ ! -x "$UV" ] || return 0
    rm -rf "$to.tmp"
    python3 -m pip install --quiet --require-hashes --only-binary :all: --target "$to.tmp" \
        -r "$RIG/images/uv.txt" >"$CACHE/uv.log" 2>&1 || return 75
    mv "$to.tmp" "$to"
}

# make_server KIND - its tree as .part, which warm_server has still to compile. 75: there is no PyPI.
make_server() {
    local tree t at site f log python
    need_lock "$1"
    tree=$(server_tree "$1")
    at=$(server_field "$1" at)
    t=$tree.part
    log=$tree.log
    rm -rf "$t"
    site=$t/lib/python$SERVER_PYTHON/site-packages
    mkdir -p "$site"
    if ! "$UV" pip install --quiet --no-deps --require-hashes --python-version "$SERVER_PYTHON" \
        --python-platform "$(uname -m)-manylinux_2_36" --target "$site" \
        -r "$RIG/images/$1/requirements.txt" >"$log" 2>&1; then
        ! grep -qiE 'failed to (fetch|download)|error sending request|dns error|timed out' "$log" || return 75
        cat "$log" >&2
        return 1
    fi
    rm -f "$log" "$site/.lock"
    # As `python -m venv` would have made it there.
    mv "$site/bin" "$t/bin"
    for f in "$t"/bin/*; do
        sed -i "1s|^#!.*python.*|#!$at/bin/python|" "$f" # sed writes another file: the cache has this one, too
    done
    python=$(server_field "$1" python)
    ln -s "${python:-/usr/bin/python$SERVER_PYTHON}" "$t/bin/python"
    ln -s python "$t/bin/python3"
    printf 'home = /usr/bin\ninclude-system-site-packages = false\n' >"$t/pyvenv.cfg"
    mkdir -p "$t/share"
    jq -n --arg name "$1" --arg version "$(server_version "$1")" '{$name, $version}' >"$t/share/package.json"
}

# warm_server KIND - compiles what the server imports: containers can't write into its tree.
warm_server() {
    local tree at m
    tree=$(server_tree "$1")
    at=$(server_field "$1" at)
    m=$(mktemp -d "$CACHE/warm.XXXXXX")
    mkdir "$m"/{u,w,m}
    # shellcheck disable=SC2016 # for the inner shell
    if ! unshare --mount --net --pid --fork --propagation private timeout -k 5 300 bash -euc '
        at=$1 lower=$2 m=$3 server=$4
        mount -t overlay warm -o "lowerdir=$lower,upperdir=$m/u,workdir=$m/w" "$m/m"
        cd "$m/m"
        mkdir -p ".$at"
        mount --bind "$server" ".$at"
        [ -z "$6" ] || { mkdir -p ".${6%/*}" && cp "usr/bin/python$7" ".$6"; }
        mount -t proc proc proc
        mount -t tmpfs tmp tmp
        mount -t tmpfs dev dev
        mknod -m 666 dev/null c 1 3
        mknod -m 666 dev/urandom c 1 9
        mkdir -m 1777 dev/shm
        cd /
        exec chroot "$m/m" /usr/bin/env -i HOME=/tmp LANG=C.UTF-8 PATH="$at/bin:/usr/bin:/bin" /bin/sh -euc "$5"' \
        _ "$at" "$(image_tree python)" "$m" "$tree.cold" "$(server_field "$1" warm)" \
        "$(server_field "$1" python)" "$SERVER_PYTHON" >"$m/log" 2>&1; then
        tail -n 30 "$m/log" >&2
        rm -rf "$m"
        echo "$1 cannot be imported" >&2
        return 1
    fi
    rm -rf "$m"
    mv "$tree.cold" "$tree"
}

server_trees() { [ -z "$(server_kinds "$@")" ] || echo python; } # SNAPSHOT…

# get_servers SNAPSHOT… - those that are missing, cold. Without PyPI, the reason is in no-pypi.
get_servers() {
    local kind rc missing=() t0=$SECONDS
    for kind in $(server_kinds "$@"); do
        need_lock "$kind"
        has_tree "$kind" || missing+=("$kind")
    done
    rm -f "$CACHE/no-pypi"
    [ ${#missing[@]} -gt 0 ] || return 0
    if ! need_uv; then
        { grep -v '^ *$' "$CACHE/uv.log" || echo "pip failed"; } | tail -n 1 | cut -c1-200 >"$CACHE/no-pypi"
    else
        for kind in "${missing[@]}"; do
            rc=0
            make_server "$kind" || rc=$?
            case $rc in
            0) mv "$(server_tree "$kind").part" "$(server_tree "$kind").cold" ;;
            75) tail -n 1 "$(server_tree "$kind").log" | cut -c1-200 >"$CACHE/no-pypi" && break ;;
            *) return 1 ;;
            esac
        done
        # What it has stays in the trees, by hard links.
        rm -rf "$UV_CACHE_DIR"
    fi
    if [ -f "$CACHE/no-pypi" ]; then
        echo "# no PyPI ($(<"$CACHE/no-pypi")): stand-ins for those of ${missing[*]} that are not here"
    else
        echo "# got ${missing[*]} from PyPI in $((SECONDS - t0)) s"
    fi
}

# warm_servers SNAPSHOT… - those that are cold; one at a time, beside what else is built.
warm_servers() {
    local kind t0=$SECONDS n=0
    for kind in $(server_kinds "$@"); do
        [ -d "$(server_tree "$kind").cold" ] || continue
        warm_server "$kind" || return 1
        n=$((n + 1))
    done
    [ "$n" = 0 ] || echo "# compiled $n servers in $((SECONDS - t0)) s"
}
