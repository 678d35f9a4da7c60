//! What runs on this machine now: units, listening sockets, containers.
