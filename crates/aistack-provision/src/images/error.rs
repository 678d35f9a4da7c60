//! What can go wrong.

use std::io;
use std::path::PathBuf;

use aistack_machine::command::CommandError;

/// Why a lock can't be used or written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It can't be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It isn't a lock.
    #[error(
        "{} is no lock of images: {}; it maps a name to {{\"name\", \"tag\", \"digest\"}}",
        path.display(), aistack_machine::text::error(cause)
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: serde_json::Error,
    },
    /// It can't be written.
    #[error("{} cannot be written: {cause}; it is as it was", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Why a contract can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// It can't be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It isn't a contract.
    #[error(
        "{} is not an image contract: {}; schemas/image-contract.schema.json has the fields",
        path.display(), aistack_machine::text::error(cause)
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: serde_json::Error,
    },
    /// It is of another version.
    #[error("{} has schema {seen}, and this version reads schema 1", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// Its schema.
        seen: u64,
    },
}

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// skopeo could not be run, or failed.
    #[error(transparent)]
    Skopeo(#[from] CommandError),
    /// What came is no manifest of an image.
    #[error("{at} has no manifest of an image: {why}")]
    Manifest {
        /// What was asked for.
        at: String,
        /// What was wrong with it.
        why: String,
    },
    /// What came has another digest than was asked for.
    #[error("{at} was answered with {seen}")]
    Digest {
        /// What was asked for.
        at: String,
        /// The digest of the answer.
        seen: String,
    },
    /// It isn't there for this processor.
    #[error("{at} is not there for linux/{wanted}, only for {}", seen.join(", "))]
    Architecture {
        /// What was asked for.
        at: String,
        /// The processor that was asked for.
        wanted: String,
        /// The platforms that it is there for.
        seen: Vec<String>,
    },
}

/// Why an archive could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The folder's file system.
    #[error("{} cannot be {what}: {cause}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// skopeo's references end paths at a colon.
    #[error("{} has a colon in its path, which skopeo can't write to: choose another folder", path.display())]
    Colon {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes there.
    #[error("another process writes to {}: wait for it to end", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The list is missing or isn't one.
    #[error("{} is no list of a bundle: {why}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What was wrong with it.
        why: String,
    },
    /// It would not fit.
    #[error(
        "the file system of {} has {free} MiB free, and {needed} MiB are needed for a while (the \
         layers and the archive of them): make room or choose another folder",
        path.display()
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Free, in MiB.
        free: u64,
        /// Needed, in MiB.
        needed: u64,
    },
    /// The service's name can't be a file's.
    #[error("{name:?} can't be the name of a file")]
    Name {
        /// The name.
        name: String,
    },
    /// The archive isn't what the list says.
    #[error(
        "{} has the SHA-256 {seen}, and the list says {expected}: copy it again",
        path.display()
    )]
    Mismatch {
        /// The archive.
        path: PathBuf,
        /// The hash in the list.
        expected: String,
        /// The hash that was seen.
        seen: String,
    },
}
