# shellcheck shell=bash
# Sections about switches: what waits for a download, and the way back. They end with the stack as it was
# rendered.

# holds SECTION NAME COMMAND… - one line of a test.
holds() {
    local section=$1 name=$2 out
    shift 2
    if out=$("$@" 2>&1); then
        echo p >>"$RESULTS"
        echo "ok $SNAP $section: $name"
    else
        fail "$SNAP $section: $name" "$out"
    fi
}

# within SECONDS COMMAND… - until the command succeeds.
within() {
    local end=$((SECONDS + $1)) out=
    shift
    while [ $SECONDS -lt $end ]; do
        if out=$("$@" 2>&1); then return 0; fi
        sleep 1
    done
    echo "not in time: $* ($out)"
    return 1
}

# The folders of the owner's files in the machine.
quadlets_of() { [ "$SCOPE" = user ] && echo /home/ai/.config/containers/systemd || echo /etc/containers/systemd; }
units_of() { [ "$SCOPE" = user ] && echo /home/ai/.config/systemd/user || echo /etc/systemd/system; }

# another_redis REFERENCE - the declaration of redis with another image, as a switch would lay it.
another_redis() {
    # shellcheck disable=SC2016 # jq's and the inner shell's
    root sh -c 'jq --arg r "$1" ".services.redis.image.reference = \$r | .services.redis.configHash = \$r" "$2" >"$2.new" &&
        cat "$2.new" >"$2" && rm "$2.new" && sed -i "s|^Image=.*|Image=$1|" "$3"' _ "$1" "$STACK" \
        "$(quadlets_of)/local-ai-redis.container"
}

redis_id() { owner podman inspect --format '{{.Id}}' local-ai-redis; }
same() { [ "$1" = "$2" ] || {
    echo "was $1, is $2"
    return 1
}; }

# A registry that takes connections and says nothing.
silent_registry() {
    root sh -c 'cat >/etc/systemd/system/rig-silent.service <<EOF
[Service]
ExecStart=/usr/bin/python3 -c "import socket; s = socket.create_server((\"127.0.0.1\", 5999)); held = [s.accept() for _ in iter(int, 1)]"
EOF
mkdir -p /etc/systemd/system/multi-user.target.wants /etc/containers/registries.conf.d
ln -sf ../rig-silent.service /etc/systemd/system/multi-user.target.wants/
printf "[[registry]]\nlocation = \"127.0.0.1:5999\"\ninsecure = true\n" >/etc/containers/registries.conf.d/rig.conf'
}

# One image is missing when the machine boots, and its registry says nothing.
section_download() {
    local image t others=() s
    image=$(root jq -r .services.redis.image.reference "$STACK")
    for s in "${SERVICES[@]}"; do [ "$s" = redis ] || others+=("${UNIT[$s]}"); done
    silent_registry
    another_redis 127.0.0.1:5999/slow:1
    "$RIG/machine" reboot
    holds download "control: the registry takes connections" within 30 root bash -c "exec 3<>/dev/tcp/127.0.0.1/5999"
    holds download "the other services start while an image is fetched" within 90 sctl is-active --quiet "${others[@]}"
    holds download "the image is still being fetched" sctl is-active --quiet local-ai-redis-image.service
    # Home Manager and people take only these two for a system that is up.
    holds download "the boot is over meanwhile" within 60 booted
    holds download "redis says what it waits for" said local-ai-redis.service "is not here yet"
    # A switch in the middle of it: the target of the stack has changed, as when a service comes or goes.
    if [ "$SCOPE" = user ] && [ -x "$SD_SWITCH" ]; then
        t=$SECONDS
        holds download "a switch by sd-switch ends well" switch_home
        holds download "and waits for no download" test $((SECONDS - t)) -lt 20
        holds download "the image is fetched on behind it" sctl is-active --quiet local-ai-redis-image.service
    fi
    holds download "a registry that says nothing is given up on" gives_up
    another_redis "$image"
    sctl stop local-ai-redis-image.service
    sctl daemon-reload
    sctl restart local-ai-apply.service
    drive download mended
}

booted() { case $(sctl is-system-running) in running | degraded) ;; *)
    sctl --no-pager list-jobs
    return 1
    ;;
esac }
said() { # UNIT TEXT
    local option=(--unit)
    [ "$SCOPE" = system ] || option=(--user --unit)
    owner journalctl --no-pager --boot "${option[@]}" "$1" | grep -qF "$2"
}
gives_up() {
    local t=$SECONDS out
    out=$(owner timeout 60 aistack unit pull redis --stack "$STACK" --attempts 1 --silence 3 2>&1) && return 1
    if [ $((SECONDS - t)) -ge 40 ] || ! grep -qF "neither read nor wrote anything for 3 s" <<<"$out"; then
        echo "after $((SECONDS - t)) s: $out"
        return 1
    fi
}

# What Home Manager does with the units of two generations: the real sd-switch.
switch_home() {
    local units
    units=$(units_of)
    # shellcheck disable=SC2016 # for the inner shell
    owner sh -c 'rm -rf ~/old && cp -rL "$1" ~/old && sed -i "s/^Description=.*/& again/" "$1/local-ai.target" &&
        sed -i "s/^X-StackHash=.*/&0/" "$1/local-ai-apply.service" &&
        timeout 60 sd-switch --verbose --old-units ~/old --new-units "$1"' _ "$units"
}

# generation NAME - a generation of the machine whose activation lays the files that are there now.
generation() {
    # shellcheck disable=SC2016 # for the inner shell
    root sh -c 'd=/nix/store/$1; mkdir -p $d/bin && cp "$2" $d/stack.json && cp "$3" $d/redis.container
cat >$d/switch <<EOF
#!/bin/sh
set -eu
cat $d/stack.json >$2
cat $d/redis.container >$3
ln -sfn $d $5
systemctl --$4 daemon-reload
systemctl --$4 restart --no-block local-ai-apply.service
EOF
chmod 755 $d/switch && ln -sf ../switch $d/bin/switch-to-configuration && ln -sf switch $d/activate' _ \
        "$1" "$STACK" "$(quadlets_of)/local-ai-redis.container" "$SCOPE" "$(running)"
}
running() { [ "$SCOPE" = user ] && echo /home/ai/.local/state/home-manager/gcroots/current-home || echo /run/current-system; }
profile() { [ "$SCOPE" = user ] && echo /home/ai/.local/state/nix/profiles/home-manager || echo /nix/var/nix/profiles/system; }
at() { [ "$(owner readlink -f "$1")" = "/nix/store/$2" ] || {
    owner readlink -f "$1"
    return 1
}; }

# The way back of NixOS and of Home Manager, by the script and the units that are rendered, on generations
# that are made here: `one` is old, `good` ran well, `bad` has an image that cannot be had.
section_rollback() {
    local from=data stage=$WORK/$SNAP-rollback image id mark=/run/local-ai-rolled-back
    if [ "$SCOPE" = user ]; then from=home-optimizer mark=/run/user/1000/local-ai-rolled-back; fi
    mkdir -p "$stage$(units_of)"
    stub_store "$stage" "$REPO/tests/rendered/$from" "$(host_tree)"
    rm -f "$stage/nix/store/aistack/bin/aistack"
    cp "$REPO/tests/rendered/$from"/units/local-ai-verify{,-rollback}.service "$stage$(units_of)/"
    tar -C "$stage" -c . | root tar -C / -x --no-same-owner --no-overwrite-dir
    owner mkdir -p "$(dirname "$(running)")" "$(dirname "$(profile)")"
    image=$(root jq -r .services.redis.image.reference "$STACK")
    generation one
    generation good
    another_redis 127.0.0.1:9/none:1
    generation bad
    sctl daemon-reload
    id=$(redis_id)

    # nixos-rebuild switch, home-manager switch: the profile is what runs.
    profiles 2 good bad
    holds rollback "what was switched to and fails is taken back" falls_back "$mark" 1 good
    holds rollback "redis was not touched" same "$id" "$(redis_id)"
    drive rollback mended
    holds rollback "one that is well is not taken back" stays "$mark" 1 good
    # nixos-rebuild test: the profile still names what ran before.
    profiles 2 one good
    holds rollback "what was only tried goes back to the profile and not beyond" falls_back "$mark" 2 good
    drive rollback mended
    # A switch that is under way is waited for: it holds this lock.
    if [ "$SCOPE" = system ]; then
        profiles 2 good bad
        root systemd-run --quiet --unit=rig-lock flock /run/nixos/switch-to-configuration.lock sleep 60
        holds rollback "a switch that is under way is waited for" falls_back "$mark" 1 good
        holds rollback "and had ended by then" test "$(root systemctl is-active rig-lock)" != active
        drive rollback mended
        # What was booted was not switched to.
        root ln -sfn "$(root readlink -f "$(running)")" /run/booted-system
        holds rollback "what was booted stays" root /nix/store/local-ai-rollback/bin/local-ai-rollback
        holds rollback "in the profile as well" at "$(profile)" good
        root rm /run/booted-system
    fi
    # The last one that was taken back has failed, which is what was asked for.
    sctl stop local-ai-verify.service
    sctl reset-failed 'local-ai-verify*' || true
    root rm "$(units_of)"/local-ai-verify{,-rollback}.service
    sctl daemon-reload
}

# profiles NUMBER GENERATION… - the profile with these, of which the one with the number is chosen.
profiles() {
    local chosen=$1 n=0 g
    shift
    # shellcheck disable=SC2016 # for the inner shell
    owner sh -c 'rm -f "$1"*' _ "$(profile)"
    for g; do
        n=$((n + 1))
        owner ln -sfn "/nix/store/$g" "$(profile)-$n-link"
    done
    owner ln -sfn "$(basename "$(profile)")-$chosen-link" "$(profile)"
}

# falls_back MARK NUMBER GENERATION - `bad` is switched to, and this is what runs in the end.
falls_back() {
    owner rm -f "$1"
    owner /nix/store/bad/switch
    sctl restart --no-block local-ai-verify.service
    within 240 at "$(running)" "$3" || {
        sctl --no-pager status 'local-ai-verify*' | tail -20
        return 1
    }
    at "$(profile)" "$3" && [ "$(owner readlink "$(profile)")" = "$(basename "$(profile)")-$2-link" ]
}

stays() { # MARK NUMBER GENERATION
    sctl restart local-ai-verify.service
    within 120 owner test ! -e "$1" && at "$(running)" "$3" && at "$(profile)" "$3"
}
