//! Runs scenarios of typed steps against a machine's stack.
//!
//! A scenario ([`scenario`]), filled with what it takes from a `stack.json`
//! ([`values`]), is planned on a `stack.json` ([`plan`]), with what the
//! services' own test data asks ([`services`]), and run ([`run`]): each step within
//! its time, with its tries, and with cleanups that run whatever happens.

pub mod act;
pub mod builtin;
pub mod cli;
pub mod confined;
pub mod exposed;
pub mod json_path;
pub mod plan;
pub mod report;
pub mod run;
pub mod scenario;
pub mod services;
pub mod values;
pub mod view;
