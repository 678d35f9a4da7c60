//! Who listens on which port, and how that fits what is declared.
//!
//! [`Socket`]s come from the kernel, their [`Owner`]s from `/proc` and the control
//! groups; no program is asked. [`survey`] holds them against the declared ports.
//!
//! What can't be seen: ports that only firewall rules forward, without a socket
//! of this network namespace (podman keeps one for each port that it publishes).

mod advice;
mod cgroup;
mod diag;
mod holders;
mod owner;
mod socket;
mod survey;

pub use advice::{Advice, Step, describe};
pub use cgroup::{Engine, Manager, UnitState, Units};
pub use holders::Holders;
pub use owner::{Container, Owner, Process, Resolver, Seen};
pub use socket::Socket;
pub use survey::{Claim, Declared, PortsError, Row, Survey, Verdict, holders_of, survey};
