# shellcheck shell=bash
# The Debian trees: the machine under test, and the roots of the images.

# strap SUITE TREE PACKAGES [mmdebstrap options] - a minimal tree, without what only people read.
strap() {
    local suite=$1 tree=$2 packages=$3 opts=() p mirror
    shift 3
    for p in doc man info locale lintian i18n; do
        opts+=(--dpkgopt="path-exclude=/usr/share/$p/*")
    done
    # The mirror that this machine itself uses; on another distribution mmdebstrap's own choice.
    # shellcheck disable=SC2016 # apt fills these in
    mirror=${AISTACK_RIG_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(ORIGIN)' \
        'Created-By: Packages' | awk '$2 == "Debian" && !/security/ {print $1; exit}')}
    rm -rf --one-file-system "$tree"
    # Valid-Until: a machine without a network clock must still be able to build.
    if ! mmdebstrap --quiet --variant=minbase --mode=root "${opts[@]}" \
        --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
        --include="$packages" "$@" "$suite" "$tree" ${mirror:+"$mirror"} >"$tree.log" 2>&1; then
        cat "$tree.log" >&2
        ! grep -q 'apt-get update .* failed' "$tree.log" || return 75 # no mirror can be reached
        return 1
    fi
    rm -f "$tree.log"
}

# make_host TREE - systemd + podman, and the user `ai` whose units run without a login.
make_host() {
    local t=$1.tmp u packages
    packages=systemd,systemd-sysv,libpam-systemd,dbus,dbus-user-session
    packages+=,podman,crun,conmon,netavark,aardvark-dns,nftables,passt,uidmap,catatonit,fuse-overlayfs
    packages+=,iproute2,curl,jq,kmod,procps,ca-certificates,podman-compose
    # shellcheck disable=SC2153 # of common.sh
    strap "$SUITE" "$t" "$packages"
    echo rig >"$t/etc/hostname"
    printf '127.0.0.1 localhost rig\n' >"$t/etc/hosts"
    : >"$t/etc/resolv.conf"
    # These would touch settings of the whole kernel, or wait for hardware.
    for u in systemd-{sysctl,binfmt,modules-load,udevd,firstboot}.service {console-getty,getty@tty1}.service \
        apt-daily{,-upgrade}.timer; do
        ln -sf /dev/null "$t/etc/systemd/system/$u"
    done
    chroot "$t" useradd -m -s /bin/bash -u 1000 ai
    mkdir -p "$t/var/lib/systemd/linger" "$t/etc/containers/containers.conf.d" "$t/usr/lib/rig-images"
    touch "$t/var/lib/systemd/linger/ai"
    # Images lie in read-only stores, as they would in a registry: `podman system reset` cannot
    # take them away. podman 5.4 wants both roots named; 5.8 then wants the user's own file.
    cat >"$t/etc/containers/storage.conf" <<-'CONF'
	[storage]
	driver = "overlay"
	runroot = "/run/containers/storage"
	graphroot = "/var/lib/containers/storage"
	[storage.options]
	additionalimagestores = ["/usr/lib/rig-images/root"]
	CONF
    install -d -o 1000 -g 1000 "$t"/home/ai/.config{,/containers}
    sed '/root = /d; s#/root"#/user"#' "$t/etc/containers/storage.conf" \
        >"$t/home/ai/.config/containers/storage.conf"
    chown 1000:1000 "$t/home/ai/.config/containers/storage.conf"
    cat >"$t/etc/containers/containers.conf.d/90-rig.conf" <<-'CONF'
	[engine]
	runtime = "rig"
	[engine.runtimes]
	rig = ["/usr/local/bin/rig-crun"]
	CONF
    mv "$t" "$1"
}
