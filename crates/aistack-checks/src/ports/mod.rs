//! Which process listens on which port, and how that fits what is declared.
//!
//! What can't be seen: ports that only firewall rules forward, without a socket
//! of this network namespace (podman keeps one for each port that it publishes).

mod advice;
mod survey;

pub use advice::{Advice, Step};
pub use survey::{Claim, Declared, Row, Survey, Verdict, survey};
