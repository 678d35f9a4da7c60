//! Files that are read whole, within bounds.
//!
//! Every reader of the project that takes a file into memory goes through here. A
//! pipe, a device or a folder in the place of a file is refused instead of waited for,
//! and a file that is longer than its format ever is gives an error instead of filling
//! the memory.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};

use crate::trusted::{self, TrustError};

/// How a file is opened: a pipe without a writer must not block, and a terminal must
/// not become the controlling one.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused, for instance because the file does not exist.
    #[error(transparent)]
    System(#[from] io::Error),
    /// Something else is at the path.
    #[error("it is {0}, not a regular file")]
    NoFile(&'static str),
    /// The file is longer than the limit, in bytes.
    #[error("it is longer than {0} bytes")]
    TooLong(u64),
    /// The file belongs to another account than it must.
    #[error("it belongs to user id {seen}, but only files of user id {wanted} are read here")]
    Owner {
        /// The owner.
        seen: u32,
        /// The expected owner.
        wanted: u32,
    },
    /// A folder above the file can be changed by another account.
    #[error(transparent)]
    Path(#[from] TrustError),
    /// The file system did not answer in time, in seconds.
    #[error("its file system did not answer within {0} s")]
    TooSlow(u64),
}

impl ReadError {
    /// Whether the file does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System(error) if error.kind() == io::ErrorKind::NotFound)
            || matches!(self, Self::Path(error) if error.is_missing())
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::System(error) => error,
            ReadError::TooLong(_) => Self::new(io::ErrorKind::FileTooLarge, error.to_string()),
            ReadError::Owner { .. } => {
                Self::new(io::ErrorKind::PermissionDenied, error.to_string())
            }
            other => Self::other(other.to_string()),
        }
    }
}

/// Opens a regular file for reading, without waiting. Links are followed.
///
/// # Errors
/// When it can't be opened or is not a regular file.
pub fn open(path: &Path) -> Result<File, ReadError> {
    regular(openat(CWD, path, FLAGS, Mode::empty()).map_err(io::Error::from)?)
}

/// The open file, when it is a regular one.
fn regular(file: OwnedFd) -> Result<File, ReadError> {
    let kind = FileType::from_raw_mode(fstat(&file).map_err(io::Error::from)?.st_mode);
    if kind == FileType::RegularFile {
        Ok(File::from(file))
    } else {
        Err(ReadError::NoFile(name_of(kind)))
    }
}

/// A kind of file, with its article.
#[must_use]
pub fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a link",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::Unknown => "something unknown",
    }
}

/// The bytes of the regular file at `path`, at most `most`. Links are followed: for
/// paths that the caller's own account or root chose.
///
/// # Errors
/// When it can't be read, is not a regular file, or is longer.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
    rest(&open(path)?, most)
}

/// The same as text; bytes that are not UTF-8 become U+FFFD.
///
/// # Errors
/// As [`read`].
pub fn text(path: &Path, most: u64) -> Result<String, ReadError> {
    Ok(String::from_utf8_lossy(&read(path, most)?).into_owned())
}

/// What is left to read of an open file, at most `most` bytes.
///
/// # Errors
/// When it can't be read or is longer.
pub fn rest(file: &File, most: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(ReadError::TooLong(most));
    }
    Ok(bytes)
}

/// The bytes of a file in a folder of the account `owner`: the path is walked from
/// `base` without following a link, and `owner` (or root) must own the file. Without
/// an owner (a captured tree) nobody's ownership is looked at, and the rest holds.
///
/// The file system may be the other account's own (FUSE) and never answer: after
/// `limit` the file counts as unreadable.
///
/// # Errors
/// When a component is a link, the file is missing, not regular, another's or longer
/// than `most` bytes, or the limit is over.
pub fn read_foreign(
    base: &Path,
    path: &Path,
    owner: Option<u32>,
    most: u64,
    limit: Duration,
) -> Result<Vec<u8>, ReadError> {
    let (base, path) = (base.to_owned(), path.to_owned());
    within(limit, move || foreign(&base, &path, owner, most))
        .unwrap_or(Err(ReadError::TooSlow(limit.as_secs())))
}

/// What `work` returns, when it does so in time; else it goes on in its thread, and its
/// answer is dropped. For calls that another account can keep from coming back.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        // Nobody listens any more once the limit is over.
        let _ = sender.send(work());
    });
    receiver.recv_timeout(limit).ok()
}

fn foreign(base: &Path, path: &Path, owner: Option<u32>, most: u64) -> Result<Vec<u8>, ReadError> {
    let file = regular(trusted::open_without_links(base, path, FLAGS)?)?;
    if let Some(wanted) = owner {
        let seen = fstat(&file).map_err(io::Error::from)?.st_uid;
        if seen != wanted && seen != 0 {
            return Err(ReadError::Owner { seen, wanted });
        }
    }
    rest(&file, most)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Instant;

    use super::*;

    fn pipe(path: &Path) {
        rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }

    #[test]
    fn pipes_devices_and_long_files_are_errors_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        pipe(&at("pipe"));
        fs::write(at("file"), "12345").unwrap();
        let start = Instant::now();
        assert!(matches!(
            read(&at("pipe"), 9),
            Err(ReadError::NoFile("a pipe"))
        ));
        assert!(matches!(
            read(Path::new("/dev/zero"), 9),
            Err(ReadError::NoFile("a device"))
        ));
        assert!(matches!(
            read(folder.path(), 9),
            Err(ReadError::NoFile("a directory"))
        ));
        assert!(matches!(read(&at("file"), 4), Err(ReadError::TooLong(4))));
        assert_eq!(read(&at("file"), 5).unwrap(), b"12345");
        assert!(read(&at("no"), 5).unwrap_err().is_missing());
        // Files of the kernel have no size and are regular.
        assert!(
            !read(Path::new("/proc/self/status"), 1 << 20)
                .unwrap()
                .is_empty()
        );
        assert!(start.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn in_another_accounts_folder_no_link_is_followed() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("home/eve/store")).unwrap();
        fs::write(at("home/eve/store/list"), "{}").unwrap();
        symlink("/dev/zero", at("home/eve/zero")).unwrap();
        symlink("store", at("home/eve/link")).unwrap();
        pipe(&at("home/eve/pipe"));
        let look = |path: &str| {
            read_foreign(
                root.path(),
                Path::new(path),
                None,
                100,
                Duration::from_secs(5),
            )
        };
        assert_eq!(look("/home/eve/store/list").unwrap(), b"{}");
        for path in [
            "/home/eve/zero",
            "/home/eve/link/list",
            "/home/eve/pipe",
            "/home/eve/../eve/store/list",
        ] {
            assert!(look(path).is_err(), "{path}");
        }
        assert!(look("/home/eve/none").unwrap_err().is_missing());
    }

    #[test]
    fn a_file_of_a_third_account_is_not_read() {
        if crate::users::effective_uid() != 0 {
            eprintln!("\nSKIP only root can give files away");
            return;
        }
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("list"), "{}").unwrap();
        std::os::unix::fs::chown(root.path().join("list"), Some(2001), None).unwrap();
        let look = |owner| {
            read_foreign(
                root.path(),
                Path::new("/list"),
                Some(owner),
                100,
                Duration::from_secs(5),
            )
        };
        assert!(look(2001).is_ok());
        assert!(matches!(
            look(2002),
            Err(ReadError::Owner { seen: 2001, .. })
        ));
    }
}
