# shellcheck shell=bash
# What the scripts of the rig share: where things lie, and what this machine can do.

RIG=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPO=$(cd "$RIG/../.." && pwd)
SUITE=${AISTACK_RIG_SUITE:-forky}
CACHE=${AISTACK_CACHE:-$HOME/.cache/aistack}/rig
# read by the scripts that source this file
export RIG REPO SUITE CACHE

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

# 75 is EX_TEMPFAIL: the caller must count it as skipped, never as passed.
skip() {
    echo "SKIP $1: $2"
    exit 75
}

# need_programs STAGE PROGRAM:PACKAGE… - installs what is missing, on a machine with apt.
need_programs() {
    local stage=$1 pair missing=()
    shift
    for pair; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || skip "$stage" "no apt-get here to install: ${missing[*]}"
    echo "# installing ${missing[*]}" >&2
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >&2 ||
        skip "$stage" "apt-get could not install: ${missing[*]}"
}

# need_namespaces STAGE - a Debian tree is made and entered: that takes root, mounts and apt.
need_namespaces() {
    [ "$(uname -s)" = Linux ] || skip "$1" "needs Linux"
    [ "$(id -u)" = 0 ] || skip "$1" "needs root (it makes and enters a Debian tree)"
    command -v apt-get >/dev/null || skip "$1" "no apt-get here to make the Debian tree with"
    unshare --mount --propagation private true 2>/dev/null ||
        skip "$1" "this machine does not allow mount namespaces"
}

# need_machine STAGE - what booting systemd and podman in namespaces takes on top of that.
need_machine() {
    need_namespaces "$1"
    [ -n "$(cgroup2_root)" ] || skip "$1" "no cgroup2 hierarchy that can be written to"
    unshare --mount --uts --ipc --net --pid --cgroup --fork true 2>/dev/null ||
        skip "$1" "this machine does not allow pid, net or cgroup namespaces"
    mkdir -p "$CACHE"
    local t
    t=$(mktemp -d "$CACHE/overlay.XXXXXX")
    mkdir "$t"/{l,u,w,m}
    if ! unshare --mount --propagation private \
        mount -t overlay o -o "lowerdir=$t/l,upperdir=$t/u,workdir=$t/w" "$t/m" 2>/dev/null; then
        rm -rf "$t"
        skip "$1" "no overlay mounts on the file system of $CACHE (set AISTACK_CACHE to another)"
    fi
    rm -rf "$t"
}

# The cgroup2 hierarchy: beside the old ones on a hybrid machine, or the only one.
cgroup2_root() {
    local d
    for d in /sys/fs/cgroup/unified /sys/fs/cgroup; do
        if [ -w "$d/cgroup.procs" ] && [ "$(stat -fc %T "$d")" = cgroup2fs ]; then
            echo "$d"
            return
        fi
    done
}

# key WORD… - short name for a cached part: the hash of the named files and words.
key() {
    local w
    for w; do
        if [ -f "$w" ]; then cat "$w"; else printf '%s\n' "$w"; fi
    done | sha256sum | cut -c1-12
}

host_tree() { echo "$CACHE/host-$SUITE-$(key "$SUITE" "$RIG/lib/trees.sh")"; }
