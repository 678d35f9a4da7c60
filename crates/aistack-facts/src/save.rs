//! Writes facts to a file: all of them or nothing, and never over something else.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use aistack_machine::file;
use serde_json::Value;

use crate::drift::looks_like_facts;
use crate::error::SaveError;
use crate::nix;

/// What became of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It was made or replaced.
    Written,
    /// It held the same text already and was left alone.
    Unchanged,
}

/// Writes `text` (facts as JSON or Nix text) to a file, through a temporary
/// file beside it that is then renamed.
///
/// A file that exists is replaced when it is empty or holds facts, of whatever
/// schema; else only with `force`. Its permissions are kept; of a symbolic link
/// the target is replaced.
///
/// # Errors
///
/// A [`SaveError`]; the file is then as it was before.
pub fn save(path: &Path, text: &str, force: bool) -> Result<Saved, SaveError> {
    let refuse = |seen| {
        Err(SaveError::NotAFile {
            path: path.to_path_buf(),
            seen,
        })
    };
    let fail = |doing, path: &Path| {
        let path = path.to_path_buf();
        move |seen: io::Error| SaveError::Io { doing, path, seen }
    };

    let found = match fs::symlink_metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(fail("look at", path)(error)),
    };
    let (target, old) = match found {
        None => (path.to_path_buf(), None),
        Some(found) => {
            let target = if found.is_symlink() {
                match fs::canonicalize(path) {
                    Ok(target) => target,
                    Err(_) => return refuse("a symbolic link that leads nowhere"),
                }
            } else {
                path.to_path_buf()
            };
            let old = fs::metadata(&target).map_err(fail("look at", &target))?;
            if old.is_dir() {
                return refuse("a directory");
            }
            if !old.is_file() {
                return refuse("no regular file");
            }
            let bytes = file::read(&target, crate::drift::MAX_BYTES)
                .map_err(|error| fail("read", &target)(error.into()))?;
            if bytes == text.as_bytes() {
                return Ok(Saved::Unchanged);
            }
            if !force && !holds_facts(&bytes) {
                return Err(SaveError::NotFacts {
                    path: path.to_path_buf(),
                });
            }
            (target, Some(old))
        }
    };

    // What the umask leaves of it, as for any new file.
    let mode = old.as_ref().map_or(0o666, |old| old.mode() & 0o777);
    let directory = directory_of(&target);
    let mut file = tempfile::Builder::new()
        .prefix(".aistack-facts-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(&directory)
        .map_err(fail("make a file in", &directory))?;
    let write = fail("write a file in", &directory);
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .map_err(write)?;
    if let Some(old) = &old {
        // Only root may give files away: of others' files a replacement is one's own.
        let _ = fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
        file.as_file()
            .set_permissions(fs::Permissions::from_mode(mode))
            .map_err(fail("set the permissions of a file in", &directory))?;
        file.persist(&target)
            .map_err(|error| fail("replace", &target)(error.error))?;
    } else {
        // Not over a file that has come meanwhile.
        file.persist_noclobber(&target)
            .map_err(|error| fail("make", &target)(error.error))?;
    }
    Ok(Saved::Written)
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// Whether nothing is lost when these bytes are replaced by new facts.
fn holds_facts(bytes: &[u8]) -> bool {
    if bytes.trim_ascii().is_empty() || bytes.starts_with(nix::HEADER.as_bytes()) {
        return true;
    }
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => looks_like_facts(&object),
        _ => false,
    }
}
