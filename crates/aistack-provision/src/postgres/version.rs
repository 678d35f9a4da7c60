//! The major version that a data directory was made by.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes of the file that are read: it holds a number and a newline.
const MOST: u64 = 32;

/// Why the version of a data directory is not known.
#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// This user may not look.
    #[error("{} cannot be seen by this user", path.display())]
    Hidden {
        /// The path.
        path: PathBuf,
    },
    /// The system can't say.
    #[error(
        "{} cannot be read: {cause}; it says which PostgreSQL the data is of", path.display()
    )]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// What is in it is no version.
    #[error(
        "{} holds {seen:?}, not the major version of PostgreSQL that its data is of: is the disk \
         damaged, or is it another directory? Nothing was changed", path.display()
    )]
    NoVersion {
        /// The path.
        path: PathBuf,
        /// The beginning of what is in it.
        seen: String,
    },
}

/// The major version that `PG_VERSION` at `path` names (`18`; the 9 of `9.6`); none:
/// there is no such file, so no data yet.
///
/// # Errors
/// When the file can't be read or holds something else.
pub fn major(path: &Path) -> Result<Option<u16>, VersionError> {
    // Without waiting: a pipe in the file's place must not hang the start.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(path);
    let mut bytes = Vec::new();
    let read = file.and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return Err(VersionError::Hidden {
                path: path.to_owned(),
            });
        }
        Err(cause) => {
            return Err(VersionError::Unreadable {
                path: path.to_owned(),
                cause,
            });
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let number = text
        .strip_suffix('\n')
        .filter(|number| {
            number
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
        .and_then(|number| number.split('.').next()?.parse().ok())
        .filter(|&number| number > 0);
    number.map(Some).ok_or_else(|| VersionError::NoVersion {
        path: path.to_owned(),
        seen: text.into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn versions_and_what_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("PG_VERSION");
        assert_eq!(major(&path).unwrap(), None);
        assert_eq!(major(&path.join("below")).unwrap(), None);
        for (text, number) in [("18\n", 18), ("9.6\n", 9), ("17\n", 17)] {
            fs::write(&path, text).unwrap();
            assert_eq!(major(&path).unwrap(), Some(number), "{text:?}");
        }
        for text in [
            "", "\n", "18", "x\n", "0\n", "-1\n", "99999\n", "18\n\0", "1 8\n", ".\n",
        ] {
            fs::write(&path, text).unwrap();
            let error = major(&path);
            assert!(
                matches!(error, Err(VersionError::NoVersion { .. })),
                "{text:?}: {error:?}"
            );
        }
        fs::write(&path, [0xff; 4096]).unwrap();
        assert!(matches!(major(&path), Err(VersionError::NoVersion { .. })));
        assert!(matches!(
            major(folder.path()),
            Err(VersionError::Unreadable { .. })
        ));
    }
}
