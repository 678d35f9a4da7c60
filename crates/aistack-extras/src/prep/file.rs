//! Small files, written whole or not at all.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aistack_machine::file;
use aistack_machine::trusted::{self, TrustError};
use tempfile::NamedTempFile;

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {doing}: {cause}", path.display())]
pub struct FileError {
    doing: &'static str,
    path: PathBuf,
    cause: io::Error,
}

impl FileError {
    /// What was tried with which path, and what the system said.
    #[must_use]
    pub fn new(doing: &'static str, path: &Path, cause: io::Error) -> Self {
        Self {
            doing,
            path: path.to_owned(),
            cause,
        }
    }
}

/// Refuses, for root, a folder that another account could lead elsewhere: root must not
/// make, write or close anything through a link of somebody else. Other accounts can harm
/// themselves alone.
///
/// # Errors
/// When root runs this, and a component of the path belongs to another account or can be
/// written to by one.
pub fn check_path(folder: &Path) -> Result<(), FileError> {
    match trusted::check(folder) {
        // The one who needs a folder there says more of it.
        Ok(()) | Err(TrustError::NoDirectory { .. }) => Ok(()),
        Err(error) => Err(FileError::new(
            "used by root",
            folder,
            io::Error::other(error),
        )),
    }
}

/// Puts `text` in the place of what is at `path`, for its owner alone (mode 600), by a
/// file beside it that is then renamed. The folder is made for its owner alone (mode 700)
/// where there is none.
///
/// # Errors
/// When it can't be written; everything is then as it was.
pub fn write(path: &Path, text: &[u8]) -> Result<(), FileError> {
    let (parent, made) = parent(path)?;
    let failed = |cause| FileError::new("written", path, cause);
    draft(&parent, text)
        .and_then(|draft| draft.persist(path).map_err(|error| error.error))
        .map_err(|cause| {
            remove(&made);
            failed(cause)
        })?;
    File::open(&parent)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

/// Likewise where nothing is; whether it was made. What is there is left alone, also
/// when it comes at the same moment.
///
/// # Errors
/// When it can't be written; everything is then as it was.
pub fn write_new(path: &Path, text: &[u8]) -> Result<bool, FileError> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let (parent, made) = parent(path)?;
    let put = draft(&parent, text)
        .and_then(|draft| draft.persist_noclobber(path).map_err(|error| error.error));
    match put {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => {
            remove(&made);
            Err(FileError::new("made", path, error))
        }
    }
}

/// Makes a folder and those above it, for their owner alone; what was made, the
/// outermost first.
///
/// # Errors
/// When it can't be made; everything is then as it was.
pub fn make_folder(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    check_path(path)?;
    let mut missing: Vec<PathBuf> = path
        .ancestors()
        .take_while(|folder| {
            folder
                .symlink_metadata()
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
        .map(Path::to_owned)
        .collect();
    missing.reverse();
    match DirBuilder::new().recursive(true).mode(0o700).create(path) {
        Ok(()) => Ok(missing),
        Err(cause) => {
            remove(&missing);
            Err(FileError::new("made", path, cause))
        }
    }
}

/// Takes back what was made, the last first. A folder that something is in stays.
pub fn remove(made: &[PathBuf]) {
    for path in made.iter().rev() {
        drop(if path.is_dir() {
            fs::remove_dir(path)
        } else {
            fs::remove_file(path)
        });
    }
}

fn draft(folder: &Path, text: &[u8]) -> io::Result<NamedTempFile> {
    let mut draft = tempfile::Builder::new()
        .prefix(".aistack-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(folder)?;
    draft.write_all(text)?;
    draft.as_file().sync_all()?;
    Ok(draft)
}

/// The folder of a file, and what was made of it.
fn parent(path: &Path) -> Result<(PathBuf, Vec<PathBuf>), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    Ok((parent.to_owned(), make_folder(parent)?))
}

/// A small regular file's bytes; none where there is none.
///
/// # Errors
/// When it can't be read, is no regular file, or has more than `most` bytes.
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, FileError> {
    match file::read(path, most) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(FileError::new("read", path, error.into())),
    }
}
