//! What is there of a model.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use aistack_machine::file::{self, ReadError};
use aistack_schema::Model;
use sha2::{Digest, Sha256};

use crate::models::error::FetchError;
use crate::models::hash;
use crate::models::stamp::Stamp;

/// What is there of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The file is there.
    Present {
        /// Whether its hash is known to be the declared one; else nobody has read it yet.
        verified: bool,
    },
    /// A part of it was fetched.
    Partial {
        /// How much, in bytes.
        bytes: u64,
    },
    /// Nothing is there.
    Missing,
    /// A file is there, but its hash is another.
    Wrong {
        /// The hash that was seen, 64 hexadecimal digits.
        seen: String,
    },
    /// What is there is no file, or this user may not read it.
    Unusable {
        /// Why, in words for people.
        why: String,
    },
}

/// What is there of the model, by its stamp alone: nothing large is read.
#[must_use]
pub fn state(name: &str, model: &Model) -> State {
    match look(&model.path) {
        Ok(Some(file)) => match Stamp::of(&model.path, &file) {
            Some(stamp) => judge(stamp.sha256, &model.sha256),
            None => State::Present { verified: false },
        },
        other => without_file(name, model, other.map(|_| ())),
    }
}

/// What is there of the model, after reading it whole.
#[must_use]
pub fn verify(name: &str, model: &Model) -> State {
    match look(&model.path) {
        Ok(Some(file)) => match read(&model.path, file) {
            Ok(seen) => judge(seen, &model.sha256),
            Err(error) => State::Unusable {
                why: error.to_string(),
            },
        },
        other => without_file(name, model, other.map(|_| ())),
    }
}

fn judge(seen: String, declared: &str) -> State {
    if seen == declared {
        State::Present { verified: true }
    } else {
        State::Wrong { seen }
    }
}

fn without_file(name: &str, model: &Model, looked: Result<(), FetchError>) -> State {
    if let Err(error) = looked {
        return State::Unusable {
            why: error.to_string(),
        };
    }
    match partial_path(name, model).symlink_metadata() {
        Ok(data) if data.is_file() && data.len() > 0 => State::Partial { bytes: data.len() },
        _ => State::Missing,
    }
}

/// Where what was fetched so far lies: `.NAME.partial` beside the target.
pub fn partial_path(name: &str, model: &Model) -> PathBuf {
    model.path.with_file_name(format!(".{name}.partial"))
}

/// The file at `path`, opened; none when nothing is there.
pub fn look(path: &Path) -> Result<Option<File>, FetchError> {
    let unreadable = |cause| FetchError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    match file::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(ReadError::NoFile(_)) => Err(FetchError::NoFile {
            path: path.to_owned(),
        }),
        Err(error) => match io::Error::from(error) {
            error if error.kind() == io::ErrorKind::NotFound => match std::fs::read_link(path) {
                Ok(target) => Err(FetchError::Dangling {
                    path: path.to_owned(),
                    target,
                }),
                Err(_) => Ok(None),
            },
            // A file in the place of the folder: the folder's error says it better.
            error if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            // A socket can't be opened.
            error if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                Err(FetchError::NoFile {
                    path: path.to_owned(),
                })
            }
            error => Err(unreadable(error)),
        },
    }
}

/// The file's hash, by reading it; remembered where that is possible.
pub fn read(path: &Path, mut file: File) -> Result<String, FetchError> {
    let unreadable = |cause| FetchError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let before = Stamp::new("", &file);
    let mut digest = Sha256::new();
    hash::feed(&mut digest, &mut file).map_err(unreadable)?;
    let seen = hash::text(digest);
    // Not when it changed while it was read. Who may not write there (a folder of
    // another user's) has it read again next time.
    if let (Some(before), Some(stamp)) = (before, Stamp::new(&seen, &file))
        && stamp.is_of_same(&before)
    {
        drop(stamp.write(path));
    }
    Ok(seen)
}
