#!/bin/sh
# chat.sh STEP - what the scenario `chat` asks of Open WebUI, LiteLLM and ChromaDB, as a browser or a
# program would. Reads the machine's stack.json ($STACK); prints what was found, and fails when it is wrong.
set -eu
keep=${XDG_RUNTIME_DIR:-/run}/rig-chat
(umask 077 && mkdir -p "$keep")

base() { jq -r --arg s "$1" '.services[$s].ports[] | select(.name == "http") | "http://\(.address):\(.host)"' "$STACK"; }
webui=$(base open-webui)
litellm=$(base litellm)
engine=$(base llama-cpp)
chroma=$(base chromadb)/api/v2/tenants/default_tenant/databases/default_database/collections
account='{"name":"First","email":"first@rig.example","password":"Correct-horse-1"}'

# ask PATH-OR-URL [BODY] - with what this account was given at sign-in. Prints the answer, whatever its status was.
ask() {
    case $1 in http*) url=$1 ;; *) url=$webui$1 ;; esac
    if [ $# = 1 ]; then
        curl -sS -m 100 -H "Authorization: Bearer $(cat "$keep/token" 2>/dev/null)" "$url"
    else
        curl -sS -m 100 -H "Authorization: Bearer $(cat "$keep/token" 2>/dev/null)" \
            -H 'Content-Type: application/json' -d "$2" "$url"
    fi
}
# must FILTER - the answer on stdin has what the jq filter asks; else it is shown.
must() {
    answer=$(cat)
    printf '%s' "$answer" | jq -er "$1" 2>/dev/null && return
    echo "answered: $(printf '%s' "$answer" | head -c 500)"
    exit 1
}
# proxy PATH BODY - LiteLLM with its key, as the stack's other services have it.
proxy() {
    source=$(jq -r '.services.litellm.secrets[] | select(.name | endswith("LITELLM_MASTER_KEY")).source' "$STACK")
    curl -sS -m 100 -H "Authorization: Bearer $(cat "$source")" -H 'Content-Type: application/json' -d "$2" "$litellm$1"
}
embed() { proxy /v1/embeddings "$(jq -n --arg t "$1" '{model: "llama-cpp-embed", input: $t}')" | must '.data[0].embedding | tojson'; }
spoken() { curl -sS -m 20 "$engine/metrics" | awk '/^llamacpp:tokens_predicted_total / {print int($2)}'; }

oyster='The oyster bed lies two miles north of the old lighthouse.'
diesel='A diesel engine needs glow plugs when it is cold.'
bread='Rye bread is baked for an hour with much steam.'

case $1 in
sign-up)
    ask /api/v1/auths/signup "$account" | must 'select(.role == "admin") | .token' >"$keep/token"
    echo "the first account is an administrator"
    ;;
sign-in)
    ask /api/v1/auths/signin "$account" | must 'select(.role == "admin") | .token' >"$keep/token"
    echo "signed in"
    ;;
closed)
    ask /api/v1/auths/signup '{"name":"Second","email":"second@rig.example","password":"Correct-horse-2"}' |
        must 'select(has("token") | not) | .detail'
    ;;
models) ask /api/models | must '[.data[].id] | select(index("llama-cpp")) | join(" ")' ;;
chat)
    before=$(spoken)
    ask /api/chat/completions '{"model":"llama-cpp","stream":false,"max_tokens":8,"messages":[{"role":"user","content":"Say something."}]}' |
        must 'select(.choices[0].message | has("content")) | .usage | select(.completion_tokens > 0) | "\(.completion_tokens) tokens"'
    [ "$(spoken)" -gt "$before" ] || { echo "llama.cpp said nothing meanwhile: $before tokens" && exit 1; }
    ;;
document)
    # Open WebUI keeps the first text alone of those that are given for one collection.
    for n in 1 2 3; do
        text=$(printf '%s\n' "$diesel" "$oyster" "$bread" | sed -n "${n}p")
        ask /api/v1/retrieval/process/text "$(jq -n --arg t "$text" --arg n "rig-notes-$n" '{name: "note", content: $t, collection_name: $n}')" |
            must 'select(.status) | .collection_name'
    done
    ;;
found)
    ask /api/v1/retrieval/query/collection "$(jq -n --arg t "$oyster" \
        '{collection_names: ["rig-notes-1", "rig-notes-2", "rig-notes-3"], query: $t, k: 1}')" |
        must '.documents[0][0]'
    ;;
store)
    id=$(ask "$chroma" '{"name":"rig-notes","get_or_create":true}' | must .id)
    for text in "$diesel" "$oyster" "$bread"; do
        vector=$(embed "$text")
        ask "$chroma/$id/upsert" "$(jq -n --arg t "$text" --argjson v "$vector" '{ids: [$t], embeddings: [$v], documents: [$t]}')" |
            must 'type' >/dev/null
    done
    ask "$chroma/$id/query" "$(jq -n --argjson v "$(embed "$oyster")" '{query_embeddings: [$v], n_results: 1, include: ["documents"]}')" |
        must '.documents[0][0]'
    ;;
agent)
    # What an agent's container is told must be enough to ask the engine: LangServe's own client API.
    ask "$(base langchain)/ask/invoke" '{"input":{"question":"Say something."}}' | must 'select(.output | type == "string") | "answered"'
    ;;
*) echo "chat.sh: no step $1" && exit 2 ;;
esac
