#!/bin/sh
# As in the official image: options alone, or a configuration file, are for redis-server; and
# whoever comes as root goes on as redis.
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then set -- redis-server "$@"; fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    chown -R redis:redis .
    exec setpriv --reuid=redis --regid=redis --clear-groups "$0" "$@"
fi
# There it loads its modules, which Debian does not have: an argument of the same kind in their place.
if [ "$1" = redis-server ]; then set -- "$@" --loglevel notice; fi
exec "$@"
