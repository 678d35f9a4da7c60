//! Reads a machine's hardware and prints it as facts for the Nix side.
