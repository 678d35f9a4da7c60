# shellcheck shell=bash
# Everything that was declared is up after a boot, by systemd's, podman's and our own word.

section_boot() {
    expect "$SNAP boot: systemd is up" is_started
    [ "$SCOPE" = system ] || expect "$SNAP boot: the user's manager runs without a login" within 20 no_login
    all_healthy boot $((120 + 20 * ${#SERVICES[@]}))
    # Without these nothing further can be asked (run reads it).
    # shellcheck disable=SC2034
    BOOTED=$(failures)
    expect "$SNAP boot: aistack check agrees" within 10 check_agrees
    expect "$SNAP boot: no unit has failed" no_failed_units
}

is_started() {
    local state
    state=$(root systemctl is-system-running) || true
    echo "$state"
    [ "$state" = running ] || [ "$state" = degraded ]
}

no_failed_units() {
    local failed
    failed=$(sctl list-units --failed --no-legend --plain)
    [ -z "$failed" ] || { echo "$failed"; return 1; }
}

no_login() {
    local who
    has running owner systemctl --user is-system-running || return 1
    who=$(root loginctl list-sessions --no-legend | grep -v manager) || true
    [ -z "$who" ] || { echo "sessions: $who"; return 1; }
}

check_agrees() {
    local said
    said=$(owner aistack check 2>&1) || {
        grep -v '^ok' <<<"$said"
        return 1
    }
}
