//! The machine: files, processes, sockets, units, containers and devices, read and driven
//! here and nowhere else.
//!
//! Files answer where files can ([`sockets`], [`scope`], [`cdi`], all read below a
//! root). systemctl and podman are the two programs that are driven; each sits
//! behind one module with typed answers ([`systemd`], [`podman`]).

pub mod address;
mod beginning;
pub mod cdi;
pub mod cgroup;
pub mod command;
pub mod contained;
pub mod directory;
mod family;
pub mod file;
pub mod guard;
pub mod handles;
pub mod holders;
pub mod journal;
pub mod lock;
pub mod nodes;
pub mod output;
pub mod owner;
pub mod ownership;
pub mod podman;
pub mod probe;
pub mod runtime;
pub mod scope;
pub mod secret;
pub mod sockets;
pub mod sqlite;
pub mod systemd;
pub mod text;
pub mod trusted;
pub mod users;
mod vocabulary;

pub use vocabulary::{Backend, Protocol, Scope, nullable};
