#!/bin/sh
set -eu
# A user's systemd has another PATH on each distribution.
PATH=$PATH:/run/current-system/sw/bin:/usr/bin:/bin
state=${XDG_STATE_HOME:-$HOME/.local/state}
profile=$state/nix/profiles/home-manager
# What was activated last: Home Manager, home-environment.nix, `current-home`.
running=$state/home-manager/gcroots/current-home
# An activation that ended before it set the profile leaves the generation before there.
if [ ! -e "$running" ] || [ "$(readlink -f "$profile")" = "$(readlink -f "$running")" ]; then
  /nix/store/nix/bin/nix-env --profile "$profile" --rollback
else
  echo "the profile is not what runs: back to the profile"
fi
# In a unit of its own: the activation stops and starts the one that found the fault.
exec systemd-run --user --collect --unit=local-ai-rollback-switch "$profile/activate"
