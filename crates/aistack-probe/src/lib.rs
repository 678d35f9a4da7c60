//! Health probes over HTTP, TCP and the protocols of the databases.
