# shellcheck shell=bash
# What a GPU costs when it is not there, and that it is handed over when it is. The card is a copy of
# /dev/null, and its CDI spec is ours; who looks for it is our prestart, who hands it over is podman.
# The quadlet and the manifest's entry are those of tests/rendered/gpu-nvidia, put in the place of the
# snapshot's own for one service.

section_gpu() {
    [ "$SCOPE" = system ] || return 0 # root's devices are looked at in one scope
    local s=ollama other=llama-cpp gpu=$REPO/tests/rendered/gpu-nvidia device since
    [ -n "${UNIT[$s]:-}" ] || return 0
    device=$(jq -r --arg s $s '.services[$s].gpu.devices[0]' "$gpu/stack.json")
    [ -z "${UNIT[$other]:-}" ] ||
        expect "$SNAP gpu: aistack check says that $other computes on the processor (${KIND[$other]})" \
            device_row $other ok 'computes on the processor, as declared'

    sctl stop "${UNIT[$s]}"
    give_gpu "$gpu" $s
    since="@$(date +%s)"
    sctl start --no-block "${UNIT[$s]}"
    expect "$SNAP gpu: $s names the missing device, where it was looked for, and the fix" \
        within 40 journal_has "${UNIT[$s]}" "$since" "can't start" "$device" /etc/cdi \
        hardware.nvidia-container-toolkit.enable "nvidia-ctk cdi generate"
    expect "$SNAP gpu: $s does not run without its device" is_not_up $s
    expect "$SNAP gpu: podman was not asked" journal_lacks "${UNIT[$s]}" "$since" CDI\ devices
    for s in "${SERVICES[@]}"; do
        [ "$s" = ollama ] || expect "$SNAP gpu: $s stays up" is_up "$s"
    done

    s=ollama
    plug_in
    expect "$SNAP gpu: $s is up by itself when the CDI spec is there" within 90 is_up $s
    expect "$SNAP gpu: podman gave $s the device" pod exec "${CONTAINER[$s]}" test -c /dev/nvidia0
    expect "$SNAP gpu: podman gave $s what the spec says besides" \
        has NVIDIA_VISIBLE_DEVICES=rig-card pod exec "${CONTAINER[$s]}" sh -c "tr '\\0' ' ' </proc/1/environ"
    # The other one was declared a GPU as well, and has started without.
    [ -z "${UNIT[$other]:-}" ] ||
        expect "$SNAP gpu: aistack check fails for $other, which fell back to the processor (${KIND[$other]})" \
            device_row $other not-ok 'computes on the processor, though a GPU is declared'

    take_gpu $s
    expect "$SNAP gpu: $s is up without a GPU, as it was declared before" within 60 is_up $s
    expect "$SNAP gpu: $s has no card" has gone pod exec "${CONTAINER[$s]}" sh -c '[ -e /dev/nvidia0 ] || echo gone'
}

journal_lacks() { # UNIT SINCE TEXT
    local said
    said=$(journal "$1" "$2")
    [[ $said != *"$3"* ]] || { echo "'$3' is in: $said"; return 1; }
}

device_row() { # SERVICE FINDING TEXT
    local row
    owner aistack check --json "$1" >"$RESULTS.check" || true
    row=$(jq -c '.checks[] | select(.kind == "device")' "$RESULTS.check")
    if [ "$(jq -r .finding <<<"$row")" != "$2" ] || [[ $row != *"$3"* ]]; then
        echo "no device that is $2 with '$3': ${row:-no row}"
        return 1
    fi
}

give_gpu() { # SNAPSHOT SERVICE
    local quadlet="/etc/containers/systemd/${UNIT[$2]%.service}.container"
    root cp "$quadlet" /tmp/rig.container
    root cp "$MANIFEST_INSIDE" /tmp/rig-stack.json
    sed -E '/^Image=/s/@sha256:[0-9a-f]{64}//' "$1/quadlet/${quadlet##*/}" | root tee "$quadlet" >/dev/null
    jq --slurpfile with "$1/stack.json" '.services |= with_entries(.value.gpu = ($with[0].services[.key].gpu // .value.gpu))' \
        "$MANIFEST" | root tee "$MANIFEST_INSIDE" >/dev/null
    root systemctl daemon-reload
}

take_gpu() { # SERVICE
    local quadlet="/etc/containers/systemd/${UNIT[$1]%.service}.container"
    root cp /tmp/rig.container "$quadlet"
    root cp /tmp/rig-stack.json "$MANIFEST_INSIDE"
    root rm /etc/cdi/nvidia.yaml /dev/nvidia0
    root systemctl daemon-reload
    root systemctl restart --no-block "${UNIT[$1]}"
}

# As a driver and its generator would.
plug_in() {
    root mknod -m 666 /dev/nvidia0 c 1 3
    root mkdir -p /etc/cdi
    root tee /etc/cdi/nvidia.yaml >/dev/null <<-'SPEC'
	cdiVersion: 0.5.0
	kind: nvidia.com/gpu
	devices:
	- name: "0"
	  containerEdits:
	    deviceNodes:
	    - path: /dev/nvidia0
	- name: all
	  containerEdits:
	    deviceNodes:
	    - path: /dev/nvidia0
	containerEdits:
	  env:
	  - NVIDIA_VISIBLE_DEVICES=rig-card
	SPEC
}
