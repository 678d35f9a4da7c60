#!/bin/sh
# shellcheck disable=SC2119,SC2120 # arguments are whatever a script gives
#
# The functions that scripts around AI-Optimizer use, implemented by `aistack`. Source this
# file: `. aistack.sh`. It is plain sh and changes no option of the shell that sources it.
#
# AISTACK names the program (default: aistack). A missing AI-Optimizer, or a model that does
# not answer, is reported and is not an error, so that scripts continue.

_aistack() {
    command "${AISTACK:-aistack}" "$@"
}

# Prints the state in one word; `not_installed` also when the program is missing.
get_ai_optimizer_status() {
    if command -v "${AISTACK:-aistack}" >/dev/null 2>&1; then
        _aistack prep status "$@"
    else
        echo not_installed
        echo "aistack is not installed, so AI-Optimizer was not looked for" >&2
    fi
}

check_docker_podman_ready() {
    _aistack prep check-runtime "$@"
}

check_nvidia_container_toolkit() {
    _aistack prep check-gpu-toolkit "$@"
}

prepare_shared_data_directories() {
    _aistack prep prepare-directories "$@"
}

detect_port_conflicts() {
    _aistack prep detect-port-conflicts "$@"
}

ensure_docker_network_ready() {
    _aistack prep ensure-network "$@"
}

save_integration_status() {
    _aistack prep save-status "$@"
}

# True when AI-Optimizer is installed; prints the path that was checked.
check_ai_optimizer_installed() {
    _aistack prep check-installed "$@" || return
    case $(get_ai_optimizer_status) in
    running | stopped) return 0 ;;
    *) return 1 ;;
    esac
}

show_ai_optimizer_info() {
    _aistack prep info "$@"
}

# True when a model answers. Prints nothing without -v.
ai_check_availability() {
    if [ "${1:-}" = -v ]; then
        _aistack ask --check
    else
        _aistack ask --check >/dev/null 2>&1
    fi
}

# _aistack_ai COMMAND...: runs the command, or prints one line when no model answers.
_aistack_ai() {
    if ai_check_availability; then
        _aistack "$@"
    else
        echo "no model answers here, so this was skipped" >&2
    fi
}

ai_generate_nix_config() {
    _aistack_ai generate "$@"
}

ai_review_config() {
    _aistack_ai review "$@"
}

ai_chat() {
    _aistack_ai ask "$@"
}

ai_interactive_help() {
    _aistack_ai chat "$@"
}
