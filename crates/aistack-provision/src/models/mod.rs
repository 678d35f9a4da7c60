//! Model files by their hash, and models in ollama.
//!
//! [`fetch`] brings one file to its place with the real `curl`, resumes what was
//! interrupted, and puts nothing there whose SHA-256 is another than declared.
//! [`state`] says what is there without reading it, by a stamp beside the file;
//! [`verify`] reads it. [`Ollama`] asks a running ollama for its library and has
//! it pull models.

mod curl;
mod error;
mod fetch;
mod hash;
mod ollama;
mod partial;
mod stamp;
mod state;

pub use error::FetchError;
pub use fetch::{Fetched, Settings, fetch};
pub use ollama::{Ollama, OllamaError, with_tag};
pub use state::{State, state, verify};

/// Bytes in a MiB.
pub const MIB: u64 = 1024 * 1024;

/// Bytes as whole MiB, rounded to the nearest, for messages.
#[must_use]
pub fn mib(bytes: u64) -> u64 {
    bytes.saturating_add(MIB / 2) / MIB
}
