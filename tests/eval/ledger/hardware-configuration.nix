# The machine that the reader of docs/ledger.md has already.
import ../../../hosts/workstation/machine.nix
