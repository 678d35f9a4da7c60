# shellcheck shell=bash
# Not a test: how long the stack takes from nothing to all healthy, with its images there, against the
# same units started one after the other in the order of their needs, as compose files are. See
# benches/start.sh.

section_start() {
    local t together apart s order
    mapfile -t order < <(jq -r '.services | to_entries[] | .key as $s |
        ([$s, $s], ((.value.needs + .value.wants)[] | [., $s])) | join(" ")' "$MANIFEST" | tsort)
    expect "$SNAP start: stopped" all_stopped
    t=$(milliseconds)
    sctl start "$TARGET"
    all_healthy start $((120 + 20 * ${#SERVICES[@]}))
    together=$(($(milliseconds) - t))
    expect "$SNAP start: stopped again" all_stopped
    t=$(milliseconds)
    for s in "${order[@]}"; do sctl start "${UNIT[$s]}"; done
    all_healthy start $((120 + 20 * ${#SERVICES[@]}))
    apart=$(($(milliseconds) - t))
    echo "| $SNAP | ${#SERVICES[@]} | $((together / 1000)).$((together % 1000 / 100)) s | $((apart / 1000)).$((apart % 1000 / 100)) s | $((together * 100 / apart)) % |"
}

milliseconds() { date +%s%3N; }

all_stopped() {
    sctl stop "$TARGET"
    within $((60 + 5 * ${#SERVICES[@]})) no_containers
}
