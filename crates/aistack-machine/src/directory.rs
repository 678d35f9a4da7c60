//! Directories that hold data: there, and whose.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why a directory can't serve.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// It isn't there.
    #[error("{} is missing: is its disk mounted?", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("{} is not a directory", path.display())]
    NoDirectory {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error(
        "{} belongs to {}:{}, but {}:{} is declared",
        path.display(), seen.0, seen.1, wanted.0, wanted.1
    )]
    Owner {
        /// The path.
        path: PathBuf,
        /// User and group id that were seen.
        seen: (u32, u32),
        /// User and group id that were declared.
        wanted: (u32, u32),
    },
    /// This user may not look.
    #[error("{} cannot be seen by this user", path.display())]
    Hidden {
        /// The path.
        path: PathBuf,
    },
    /// The system can't say.
    #[error("{} cannot be examined: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Whether `path` is a directory (or a link to one) that belongs to `owner`,
/// user and group id; none: to anybody. It is never made: an empty directory in
/// the place of a disk that isn't mounted looks like lost data.
///
/// # Errors
/// When it is missing, something else, or another's.
pub fn examine(path: &Path, owner: Option<(u32, u32)>) -> Result<(), DirectoryError> {
    let data = path.metadata().map_err(|cause| {
        let path = path.to_owned();
        match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                DirectoryError::Missing { path }
            }
            io::ErrorKind::PermissionDenied => DirectoryError::Hidden { path },
            _ => DirectoryError::Unreadable { path, cause },
        }
    })?;
    if !data.is_dir() {
        return Err(DirectoryError::NoDirectory {
            path: path.to_owned(),
        });
    }
    match owner {
        Some(wanted) if wanted != (data.uid(), data.gid()) => Err(DirectoryError::Owner {
            path: path.to_owned(),
            seen: (data.uid(), data.gid()),
            wanted,
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_other_and_foreign_are_told_apart_and_nothing_is_made() {
        let root = tempfile::tempdir().unwrap();
        let absent = root.path().join("absent/deep");
        assert!(matches!(
            examine(&absent, None),
            Err(DirectoryError::Missing { .. })
        ));
        assert!(!root.path().join("absent").exists());

        let file = root.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(
            examine(&file, None),
            Err(DirectoryError::NoDirectory { .. })
        ));
        assert!(matches!(
            examine(&file.join("below"), None),
            Err(DirectoryError::Missing { .. })
        ));

        let data = root.path().metadata().unwrap();
        assert!(examine(root.path(), Some((data.uid(), data.gid()))).is_ok());
        let error = examine(root.path(), Some((data.uid() + 1, data.gid())));
        assert!(
            matches!(error, Err(DirectoryError::Owner { .. })),
            "{error:?}"
        );
        std::os::unix::fs::symlink(&absent, root.path().join("link")).unwrap();
        assert!(matches!(
            examine(&root.path().join("link"), None),
            Err(DirectoryError::Missing { .. })
        ));
    }
}
