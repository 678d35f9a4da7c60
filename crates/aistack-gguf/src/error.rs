//! Why a model could not be read or estimated.

use std::io;
use std::path::PathBuf;

use crate::types::CacheType;

/// Why a model's files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system refused.
    #[error("cannot read {}: {}", path.display(), said(seen))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        seen: io::Error,
    },
    /// The path names a directory, a pipe …
    #[error("{} is not a file: give a model in the GGUF format", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// The file's header is not one that llama.cpp would read.
    #[error("{}: {problem}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: HeaderError,
    },
    /// The weights go on after the file's end.
    #[error(
        "{} is cut off: its tensors need {needed} bytes, it has {has}; download it again",
        path.display()
    )]
    CutOff {
        /// The file.
        path: PathBuf,
        /// Bytes that header and tensors need.
        needed: u128,
        /// Bytes that the file has.
        has: u64,
    },
    /// A key without which there is no shape.
    #[error("{}: the header has no usable {key} ({seen}): not a language model, or an incomplete one", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The metadata key.
        key: String,
        /// What was seen instead.
        seen: String,
    },
    /// One part of a split model that is not its first.
    #[error(
        "{} is part {part} of {parts} of a split model: give the first, {first}",
        path.display()
    )]
    NotTheFirst {
        /// The file.
        path: PathBuf,
        /// Which part it is, from 1.
        part: u64,
        /// How many there are.
        parts: u64,
        /// How the first is called.
        first: String,
    },
    /// The parts of a split model don't belong together.
    #[error("{}: {seen}; all parts of a split model must lie in one folder, under the names they were made with", path.display())]
    Split {
        /// The file.
        path: PathBuf,
        /// What was seen.
        seen: String,
    },
}

/// What is wrong with a header. Positions are bytes from the file's start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Another format.
    #[error("not a GGUF file: it begins with {seen:?}")]
    Magic {
        /// The first four bytes, escaped.
        seen: String,
    },
    /// A version that nobody writes, or of the other byte order.
    #[error("GGUF version {seen} is not supported, only 2 and 3, little-endian")]
    Version {
        /// The version number.
        seen: u32,
    },
    /// The file ends too early.
    #[error(
        "the file ends within its header, at byte {at}, in {what}: it is cut off; download it again"
    )]
    Truncated {
        /// Where the file ends.
        at: u64,
        /// What was being read.
        what: &'static str,
    },
    /// The system refused within the header.
    #[error("reading {what} at byte {at}: {seen}")]
    Io {
        /// Where.
        at: u64,
        /// What was being read.
        what: &'static str,
        /// What the system said.
        seen: String,
    },
    /// More of something than a model has.
    #[error(
        "{what} at byte {at} is {seen}, more than the {limit} that are read: not a sound model"
    )]
    TooMuch {
        /// Where.
        at: u64,
        /// Of what.
        what: &'static str,
        /// How much the header says.
        seen: u64,
        /// How much is accepted.
        limit: u64,
    },
    /// A value that llama.cpp doesn't accept either.
    #[error("{what} at byte {at} is {seen}")]
    Odd {
        /// Where.
        at: u64,
        /// What.
        what: &'static str,
        /// What was seen.
        seen: String,
    },
    /// A tensor of an impossible size or type.
    #[error("tensor {name:?}: {seen}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        seen: String,
    },
}

/// Why no estimate could be made: llama.cpp would not start so either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EstimateError {
    /// A cache type whose blocks don't divide the heads.
    #[error(
        "llama.cpp packs {values} values of {kind} in a block, and this model's heads are {length} wide for the {which}: use f16"
    )]
    Block {
        /// The cache type.
        kind: CacheType,
        /// Its block's values.
        values: u64,
        /// `keys` or `values`.
        which: &'static str,
        /// The head's width.
        length: u64,
    },
    /// A quantised cache of values without flash attention.
    #[error("a KV cache of type {kind} needs flash attention: use f16 or leave flash attention on")]
    FlashAttention {
        /// The cache type of the values.
        kind: CacheType,
    },
    /// More context than a number of 32 bits counts.
    #[error("a context of {context} tokens in {parallel} slots is more than llama.cpp counts")]
    Context {
        /// Tokens asked for.
        context: u64,
        /// Slots asked for.
        parallel: u64,
    },
}

/// The system's message, without the number that Rust appends (`(os error 13)`).
pub(crate) fn said(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}
