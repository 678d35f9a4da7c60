# shellcheck shell=bash
# What scenarios.json asks of each service.

section_checks() {
    local s check
    for s in "${SERVICES[@]}"; do
        while read -r check; do
            expect "$SNAP checks: $s $(jq -r .name <<<"$check") (${KIND[$s]})" \
                has "$(jq -r .expect <<<"$check")" act "$s" "$check"
        done < <(scenario "$s" '.checks // [] | .[]')
    done
}
