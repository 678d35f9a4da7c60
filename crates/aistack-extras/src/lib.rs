//! What belongs to the project and not to its core: preparing a machine for the private
//! stack ([`prep`]), asking a model ([`ask`]), writing a new flake ([`init`]), and reading
//! ports out of other people's Nix files ([`portscan`]).

pub mod ask;
pub mod init;
pub mod portscan;
pub mod prep;
