//! Why a model is not there.

use std::io;
use std::path::PathBuf;

use aistack_machine::command::CommandError;
use aistack_machine::directory::DirectoryError;
use aistack_machine::lock::LockError;
use aistack_machine::secret::SecretError;
use aistack_machine::trusted::TrustError;

/// Why a model could not be brought to its place.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The target is a link to nowhere.
    #[error(
        "{} is a link to {}, which does not exist: mount its disk or remove the link",
        path.display(), target.display()
    )]
    Dangling {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The target is something else than a file.
    #[error("{} is there, but is no regular file: move it away or change the path", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// What is there can't be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file with another hash lies at the target.
    #[error(
        "{} is there, but its SHA-256 is {seen}, and {expected} is declared ({option}): it is left \
         as it is; move it away to have the declared one fetched, or declare the one that is there",
        path.display()
    )]
    Wrong {
        /// The path.
        path: PathBuf,
        /// The declared hash.
        expected: String,
        /// The hash that was seen.
        seen: String,
        /// The model's option.
        option: String,
    },
    /// The folder of the target can't serve.
    #[error("the folder of the model can't be used: {0} (create it, or change {1}.path)")]
    Folder(DirectoryError, String),
    /// The folder of the target can be changed by another account.
    #[error(
        "the folder of the model is not safe for root to write to: {0} (or change {1}.path, or \
         fetch the model in the scope of that account)"
    )]
    Unsafe(TrustError, String),
    /// Another process has the lock, or the lock's file is another account's.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// This user can't write there.
    #[error(
        "{} cannot be written: {cause}; it must be writable by the user id {uid}, which runs this",
        path.display()
    )]
    Unwritable {
        /// The path that was tried.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
        /// Who tried.
        uid: u32,
    },
    /// It would not fit.
    #[error(
        "the file system of {} has {free} MiB free, and {needed} MiB are still needed: make room, \
         or give {option}.path another disk; nothing was fetched",
        path.display()
    )]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// Free, in MiB.
        free: u64,
        /// Needed beyond what was fetched already, in MiB.
        needed: u64,
        /// The model's option.
        option: String,
    },
    /// The disk became full.
    #[error(
        "the file system of {} became full ({cause}) after {fetched} MiB, which are kept: make \
         room and start this again, it goes on from there",
        path.display()
    )]
    DiskFull {
        /// What was written.
        path: PathBuf,
        /// What is kept, in MiB.
        fetched: u64,
        /// What the system said.
        cause: io::Error,
    },
    /// curl can't be run.
    #[error(transparent)]
    Curl(#[from] CommandError),
    /// The token's file can't be used.
    #[error("the token ({option}.tokenFile): {cause}")]
    Token {
        /// The model's option.
        option: String,
        /// What is wrong.
        cause: SecretError,
    },
    /// What the token's file holds is no token.
    #[error(
        "{} ({option}.tokenFile) does not hold a token alone: it must be one line of visible \
         characters, without quotes",
        path.display()
    )]
    NoToken {
        /// The file.
        path: PathBuf,
        /// The model's option.
        option: String,
    },
    /// The server said no, and will say no again.
    #[error("{url} cannot be fetched: {seen}{}", hint(*status, option))]
    Refused {
        /// The URL, without its query.
        url: String,
        /// What curl said.
        seen: String,
        /// The HTTP status; 0: none came.
        status: u16,
        /// The model's option.
        option: String,
    },
    /// Nothing more came, however often it was tried.
    #[error(
        "{url} could not be fetched: {attempts} attempts in a row brought nothing new, the last \
         with: {seen}; {kept} MiB are kept, and the next start goes on from there"
    )]
    GaveUp {
        /// The URL, without its query.
        url: String,
        /// How often it was tried.
        attempts: u32,
        /// What curl said.
        seen: String,
        /// What is kept, in MiB.
        kept: u64,
    },
    /// What came isn't what was declared.
    #[error(
        "{url} gave {bytes} bytes with the SHA-256 {seen}, and {expected} is declared \
         ({option}.sha256): they were removed; correct the hash if the file was replaced there"
    )]
    Mismatch {
        /// The URL, without its query.
        url: String,
        /// How many bytes came.
        bytes: u64,
        /// The declared hash.
        expected: String,
        /// The hash that was seen.
        seen: String,
        /// The model's option.
        option: String,
    },
    /// More came than was declared.
    #[error(
        "{url} gives more than the {size} MiB that are declared ({option}.sizeMiB), so it is \
         another file, and what came of it was removed: correct the URL or the size"
    )]
    TooLarge {
        /// The URL, without its query.
        url: String,
        /// The declared size in MiB.
        size: u64,
        /// The model's option.
        option: String,
    },
    /// Somebody else put something at the target meanwhile.
    #[error(
        "something came to {} while the model was fetched, and is left as it is; what was fetched \
         is {}: start this again to have what is there checked",
        path.display(), partial.display()
    )]
    Arrived {
        /// The target.
        path: PathBuf,
        /// What was fetched.
        partial: PathBuf,
    },
}

fn hint(status: u16, option: &str) -> String {
    match status {
        401 | 403 => format!(
            "; it wants a token ({option}.tokenFile) of somebody who has accepted the model's terms"
        ),
        404 | 410 => format!("; correct {option}.url"),
        _ => String::new(),
    }
}
