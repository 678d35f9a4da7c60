//! Small files, written whole or not at all.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

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

/// Puts `text` in the place of what is at `path`, for its owner alone (mode 600), by a
/// file beside it that is then renamed. The folder is made for its owner alone (mode 700)
/// where there is none.
///
/// # Errors
/// When it can't be written; what was there is then still there.
pub fn write(path: &Path, text: &[u8]) -> Result<(), FileError> {
    let parent = parent(path)?;
    let failed = |cause| FileError::new("written", path, cause);
    let mut draft = tempfile::Builder::new()
        .prefix(".aistack-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(&parent)
        .map_err(failed)?;
    draft
        .write_all(text)
        .and_then(|()| draft.as_file().sync_all())
        .map_err(failed)?;
    draft.persist(path).map_err(|error| failed(error.error))?;
    File::open(&parent)
        .and_then(|folder| folder.sync_all())
        .map_err(failed)
}

/// Likewise where nothing is; whether it was made. What is there is left alone, also
/// when it comes at the same moment.
///
/// # Errors
/// When it can't be written.
pub fn write_new(path: &Path, text: &[u8]) -> Result<bool, FileError> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let parent = parent(path)?;
    let failed = |cause| FileError::new("made", path, cause);
    let mut draft = tempfile::Builder::new()
        .prefix(".aistack-")
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(&parent)
        .map_err(failed)?;
    draft
        .write_all(text)
        .and_then(|()| draft.as_file().sync_all())
        .map_err(failed)?;
    match draft.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error.error)),
    }
}

fn parent(path: &Path) -> Result<PathBuf, FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent)
        .map_err(|cause| FileError::new("made", parent, cause))?;
    Ok(parent.to_owned())
}

/// A small regular file's bytes; none where there is none.
///
/// # Errors
/// When it can't be read, is no regular file, or has more than `most` bytes.
pub fn read(path: &Path, most: u64) -> Result<Option<Vec<u8>>, FileError> {
    let failed = |cause| FileError::new("read", path, cause);
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        // A pipe in its place would hang the program.
        Ok(data) if !data.is_file() => {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(failed(io::Error::other(format!(
            "it has more than {} KiB",
            most / 1024
        ))));
    }
    Ok(Some(bytes))
}
