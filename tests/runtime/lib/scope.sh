# shellcheck shell=bash
# One machine with one snapshot: the same questions for the system's and a user's stack.
# Set by run: SNAP (the snapshot), SCOPE (system|user), MANIFEST (the copy of stack.json on this
# side), MANIFEST_INSIDE; services and their names come from the manifest.

declare -A UNIT CONTAINER KIND
SERVICES=()

load_manifest() {
    local s unit container kind real
    SCOPE=$(jq -r .scope "$MANIFEST")
    # shellcheck disable=SC2034 # for the sections
    TARGET=$(jq -r .target "$MANIFEST")
    while IFS=$'\t' read -r s unit container ref; do
        SERVICES+=("$s")
        UNIT[$s]=$unit
        CONTAINER[$s]=$container
        read -r kind real < <(kind_of "$ref")
        KIND[$s]=$real
        : "$kind"
    done < <(jq -r '.services | to_entries[] | [.key, .value.unit, .value.container, .value.image.reference] | @tsv' "$MANIFEST")
}

# service SERVICE FILTER - something of its entry in the manifest
service() { jq -r --arg s "$1" ".services[\$s] | $2" "$MANIFEST"; }

root() { enter "$@"; }
owner() { if [ "$SCOPE" = user ]; then enter_user "$@"; else enter "$@"; fi; }
sctl() { if [ "$SCOPE" = user ]; then owner systemctl --user "$@"; else owner systemctl "$@"; fi; }
pod() { owner podman "$@"; }

# journal UNIT [SINCE] - what the unit itself said
journal() {
    local match=(_SYSTEMD_UNIT="$1" + UNIT="$1")
    [ "$SCOPE" = system ] || match=(_SYSTEMD_USER_UNIT="$1" + USER_UNIT="$1")
    root journalctl --no-pager -o cat --since "${2:-@0}" "${match[@]}"
}

is_active() { [ "$(sctl is-active "$1")" = active ] || { sctl status --no-pager -n 3 "$1"; return 1; }; }
health() { pod inspect -f '{{.State.Health.Status}}' "${CONTAINER[$1]}"; }
is_healthy() {
    local state
    state=$(health "$1" 2>&1) || true
    [ "$state" = healthy ] || { echo "health of ${CONTAINER[$1]}: $state"; return 1; }
}
container_id() { pod inspect -f '{{.Id}}' "${CONTAINER[$1]}" 2>/dev/null || true; }
has_new_id() { # SERVICE OLD
    local id
    id=$(container_id "$1")
    case $id in '' | "$2")
        echo "was ${2:0:12}, is ${id:-gone}"
        return 1
        ;;
    esac
}

# all_healthy WHEN SECONDS - an assertion for each service, and its last words when it fails
all_healthy() {
    local s before end=$((SECONDS + $2)) # for all of them together
    for s in "${SERVICES[@]}"; do
        before=$(failures)
        expect "$SNAP $1: $s is healthy (${KIND[$s]})" within $((end - SECONDS)) is_up "$s"
        [ "$(failures)" = "$before" ] || last_words "${UNIT[$s]}"
    done
}

is_up() { is_active "${UNIT[$1]}" && is_healthy "$1"; }

last_words() { journal "$1" | grep -v pids.max | tail -n "${2:-12}" | cut -c1-300 | sed 's/^/    | /'; }

# act SERVICE JSON - runs {"exec": [argv…]} in the container, or asks {"http": …} from outside
act() {
    local argv=() port address path method body
    if [ "$(jq 'has("exec")' <<<"$2")" = true ]; then
        mapfile -d '' argv < <(jq -j '.exec[] + "\u0000"' <<<"$2")
        LIMIT=30 pod exec "${CONTAINER[$1]}" "${argv[@]}"
        return
    fi
    port=$(jq -r .http.port <<<"$2")
    read -r address port < <(service "$1" ".ports[] | select(.name == \"$port\") | \"\(.address) \(.host)\"")
    [[ $address != *:* ]] || address="[$address]"
    path=$(jq -r .http.path <<<"$2")
    method=$(jq -r '.http.method // "GET"' <<<"$2")
    body=$(jq -r '.http.body // ""' <<<"$2")
    owner curl -sS -g -m 20 -X "$method" ${body:+-H "Content-Type: application/json" -d "$body"} \
        "http://$address:$port$path"
}

scenario() { jq -c --arg s "$1" ".[\$s] | $2" "$SCENARIOS"; }
