# The machine that the README's reader has already.
import ../../../hosts/workstation/machine.nix
