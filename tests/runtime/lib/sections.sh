# shellcheck shell=bash
# The sections: which scenarios each is, and what a scenario can't do from inside the machine.

section_boot() { drive boot boot; }
section_checks() { drive checks checks; }
section_ports() { drive ports ports; }
section_secrets() { drive secrets secrets; }
section_confined() { drive confined confined; }
section_kill() { drive kill kill; }
section_recreate() { drive recreate recreate; }
section_survive_reset() { drive survive-reset survive-reset; }
section_faults() { drive faults faults mended; }
section_taken() { drive taken taken; }
section_chat() { drive chat chat; }
section_models() { drive models models; }
section_prep() { drive prep prep; }
section_stop() { drive stop stopped; }
section_rotate() { drive rotate rotate rotate-same; }

section_rootless() {
    drive rootless rootless
    drive_root rootless root-has-none
}

# The health check of redis is made quick; it would be noticed after minutes.
section_hang() {
    local dir=/etc/containers/systemd/${UNIT[redis]%.service}.container.d
    echo "# hang: the health check of redis runs each 3 s here, with a time-out of 3 s"
    # shellcheck disable=SC2016 # for the inner shell
    root sh -c 'mkdir -p "$1" && printf "[Container]\nHealthInterval=3s\nHealthTimeout=3s\n" >"$1/90-rig.conf"' _ "$dir"
    sctl daemon-reload
    sctl restart "${UNIT[redis]}"
    drive hang hang
    root rm -r "$dir"
    sctl daemon-reload
}

section_reboot() {
    drive reboot before-reboot
    "$RIG/machine" reboot
    drive reboot boot after-reboot
}

# A quadlet and a manifest with a card, for one service.
section_gpu() {
    local gpu=$REPO/tests/rendered/gpu-nvidia stage=$WORK/$SNAP-gpu
    mkdir -p "$stage"
    sed -E '/^Image=/s/@sha256:[0-9a-f]{64}//' "$gpu/quadlet/${UNIT[ollama]%.service}.container" >"$stage/ollama.container"
    root cat "$STACK" | jq --slurpfile with "$gpu/stack.json" \
        '.services |= with_entries(.value.gpu = ($with[0].services[.key].gpu // .value.gpu))' >"$stage/stack.json"
    tar -C "$stage" -c . | root sh -c "mkdir -p $RIG_SHARE/gpu && tar -C $RIG_SHARE/gpu -x --no-same-owner"
    drive gpu gpu gpu-gone
}

# The user's stack is tests/rendered/home-ai as it is; the machine boots with both.
section_both() {
    local home=$REPO/tests/rendered/home-ai stage=$WORK/both
    mkdir -p "$stage"
    chmod 755 "$stage"
    stage "$home" "$stage"
    "$RIG/machine" stop
    "$RIG/machine" put "$stage"
    "$RIG/machine" start
    drive both both
    drive_root both both-ports
    load_manifest "$home"
    SNAP="$SNAP+${home##*/}" drive both both
    load_manifest "$SNAPSHOT"
}

# Not a test: how long the stack takes from nothing to all healthy, with its images there, against the
# same units started one after the other in the order of their needs, as compose files are. See
# benches/start.sh.
section_start() {
    local t together apart s order
    mapfile -t order < <(root cat "$STACK" | jq -r '.services | to_entries[] | .key as $s |
        ([$s, $s], ((.value.needs + .value.wants)[] | [., $s])) | join(" ")' | tsort)
    drive start stopped
    t=$(date +%s%3N)
    sctl start "$TARGET"
    drive start mended
    together=$(($(date +%s%3N) - t))
    drive start stopped
    t=$(date +%s%3N)
    for s in "${order[@]}"; do sctl start "${UNIT[$s]}"; done
    drive start mended
    apart=$(($(date +%s%3N) - t))
    echo "| $SNAP | ${#SERVICES[@]} | $((together / 1000)).$((together % 1000 / 100)) s | $((apart / 1000)).$((apart % 1000 / 100)) s | $((together * 100 / apart)) % |"
}
