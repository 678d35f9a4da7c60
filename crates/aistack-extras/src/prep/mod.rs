//! Makes a machine ready for a docker-compose stack that its owner installs by hand
//! (AI-Optimizer), and reports how ready it is.
//!
//! Nothing is installed, fetched or started here. Folders and a few small files are made
//! ([`directories`], [`env`]); the rest is looked at ([`runtime`], [`toolkit`], [`ports`],
//! [`network`], [`glove`]) and written down ([`record`]). The one thing that is made
//! outside of the folders is a network, and only by [`network::ensure`].

pub mod check;
pub mod claim;
pub mod directories;
pub mod env;
pub mod file;
pub mod glove;
pub mod model;
pub mod network;
pub mod plan;
pub mod ports;
pub mod record;
pub mod runtime;
pub mod toolkit;

pub use check::{Check, Finding};
pub use plan::{Plan, PlanError};
