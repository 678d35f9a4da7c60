#!/bin/sh
set -eu
profile=/nix/var/nix/profiles/system
# A switch holds this lock until it has ended, and one that finds it held gives up:
# nixpkgs, switch-to-configuration-ng, do_user_switch and main.
mkdir -p /run/nixos
/nix/store/util-linux/bin/flock --timeout 600 /run/nixos/switch-to-configuration.lock true
running=$(/nix/store/coreutils/bin/readlink -f /run/current-system)
# After a boot there was no switch that could be taken back.
if [ "$(/nix/store/coreutils/bin/readlink -f /run/booted-system)" = "$running" ]; then
  echo "this generation was booted, not switched to: it stays"
  exit 0
fi
# `nixos-rebuild test` leaves the profile alone: it still names the generation before.
if [ "$(/nix/store/coreutils/bin/readlink -f "$profile")" = "$running" ]; then
  /nix/store/nix/bin/nix-env --profile "$profile" --rollback
else
  echo "the profile is not what runs: back to the profile"
fi
# In a unit of its own: the switch stops and starts the one that found the fault.
exec /nix/store/systemd/bin/systemd-run --collect --unit=local-ai-rollback-switch \
  "$profile/bin/switch-to-configuration" switch
