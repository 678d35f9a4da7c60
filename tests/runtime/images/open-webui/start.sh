#!/bin/bash
# As the official image's: a secret of its own where none is given, and the server as PID 1.
cd /app/backend || exit
if [ -z "$WEBUI_SECRET_KEY$WEBUI_JWT_SECRET_KEY" ]; then
    file=${WEBUI_SECRET_KEY_FILE:-.webui_secret_key}
    [ -e "$file" ] || head -c 12 /dev/random | base64 >"$file"
    WEBUI_SECRET_KEY=$(cat "$file")
    export WEBUI_SECRET_KEY
fi
exec python3 -m uvicorn open_webui.main:app --host "${HOST:-0.0.0.0}" --port "${PORT:-8080}" \
    --forwarded-allow-ips '*' --workers "${UVICORN_WORKERS:-1}"
