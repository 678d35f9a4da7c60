# shellcheck shell=bash
# Commands inside a running machine. Runs ask thousands of times, so this is as short as it gets.

# enter CMD… - as root, in the machine of RIG_NAME. Whatever hangs in there must not hang the run.
enter() {
    timeout -k 5 "${LIMIT:-180}" nsenter -t "$(<"$CACHE/state/$RIG_NAME/init.pid")" -m -u -i -n -p -C -r -w -- env -i TERM=dumb HOME=/root \
        LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin "$@"
}

# enter_user CMD… - as the user `ai`, as in a session of its own
enter_user() {
    enter setpriv --reuid=1000 --regid=1000 --init-groups -- env --chdir=/home/ai HOME=/home/ai USER=ai \
        LOGNAME=ai XDG_RUNTIME_DIR=/run/user/1000 DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}
