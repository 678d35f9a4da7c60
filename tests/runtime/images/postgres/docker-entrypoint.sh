#!/bin/bash
# The official image's contract: POSTGRES_USER, POSTGRES_PASSWORD(_FILE), POSTGRES_DB, PGDATA, and
# /docker-entrypoint-initdb.d/*.sql|*.sh on the first start.
set -euo pipefail
[ "${1:-}" = postgres ] || [ "${1#-}" != "${1:-}" ] || [ $# = 0 ] || exec "$@"
[ "${1:-}" = postgres ] && shift
user=${POSTGRES_USER:-postgres} db=${POSTGRES_DB:-${POSTGRES_USER:-postgres}}
[ -z "${POSTGRES_PASSWORD_FILE:-}" ] || POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown -R postgres:postgres "$PGDATA" /run/postgresql
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" postgres "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -n "${POSTGRES_PASSWORD:-}" ] || {
        echo "Error: Database is uninitialized and superuser password is not specified." >&2
        exit 1
    }
    # --no-sync: the stage has no use for a first start that waits on the disk.
    initdb -D "$PGDATA" -U "$user" --auth-host=scram-sha-256 --auth-local=trust --no-sync \
        --pwfile=<(echo "$POSTGRES_PASSWORD") >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    echo "shared_preload_libraries = 'timescaledb'" >>"$PGDATA/postgresql.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=" start >/dev/null
    [ "$db" = postgres ] || createdb -U "$user" "$db"
    # The image's own scripts (000_install_timescaledb.sh, 010_install_timescaledb_toolkit.sh) make two
    # extensions in three databases while the server answers on its socket alone. Debian has no
    # toolkit: its part is the time that it takes.
    for d in postgres template1 "$db"; do
        psql -q -v ON_ERROR_STOP=1 -U "$user" -d "$d" -c 'CREATE EXTENSION IF NOT EXISTS timescaledb' 2>/dev/null
        sleep 1
    done
    for f in /docker-entrypoint-initdb.d/*; do
        case $f in
        *.sql) psql -v ON_ERROR_STOP=1 -U "$user" -d "$db" -f "$f" ;;
        *.sh)
            # shellcheck source=/dev/null
            . "$f"
            ;;
        esac
    done
    pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' "$@"
