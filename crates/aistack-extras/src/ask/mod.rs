//! Asks an OpenAI-compatible endpoint, and trusts nothing that it answers: every read has
//! a limit in bytes and in time, and what reaches a terminal is text and nothing else.

pub mod client;
pub mod endpoint;
pub mod nix;
pub mod secrets;
pub mod text;

pub use client::{AskError, Client, Message, Role};
pub use endpoint::{Endpoint, Key, candidates};
