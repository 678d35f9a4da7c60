//! Runs scenarios of typed steps against a machine's stack.
//!
//! A scenario ([`scenario`], its kinds of step in [`steps`]), filled with values of a
//! `stack.json` ([`values`]), is planned on a `stack.json` ([`plan`]), with the services'
//! own checks ([`checks`]), and run ([`run`]) on a [`machine`]: each step within its time,
//! with its tries, and with cleanups that run whatever happens.

pub mod builtin;
pub mod checks;
pub mod cli;
pub mod fields;
pub mod json_path;
pub mod machine;
pub mod matchers;
pub mod plan;
pub mod report;
pub mod request;
pub mod run;
pub mod scenario;
#[cfg(feature = "schema")]
mod schema;
pub mod states;
pub mod steps;
pub mod values;
