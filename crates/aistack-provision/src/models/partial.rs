//! The file beside the target that holds what was fetched so far.
//!
//! It is also the lock: who holds it (flock(2)) may write it, remove it or move
//! it to the target. A lock that was waited for may be on a file that is no
//! longer at its path, so that is looked at again each time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aistack_machine::lock::{self, Patience};
use aistack_machine::users;
use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::models::error::FetchError;
use crate::models::hash;

/// How often a lock may turn out to be on a file that is gone; each one is another
/// process that came to its end.
const ROUNDS: usize = 1000;

/// A file that is being fetched, its length and the hash of what it holds.
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    file: File,
    digest: Sha256,
    length: u64,
}

impl Partial {
    /// Opens or makes the file and locks it; `waiting` is called once, with the name of
    /// the process that has the lock. That one is waited for as long as the file grows
    /// at least once within `patience`.
    ///
    /// The file is for its owner alone (0600): whoever may open it may lock it.
    pub fn lock(
        path: &Path,
        patience: Duration,
        waiting: &mut dyn FnMut(&str),
    ) -> Result<Self, FetchError> {
        let failed = |cause| unwritable(path, cause);
        let mut waited = false;
        for _ in 0..ROUNDS {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                // A link that somebody laid there must not lead the download elsewhere,
                // and a pipe must not block.
                .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
                .open(path)
                .map_err(failed)?;
            lock::claim(&file, path, users::effective_uid())?;
            lock::wait(
                &file,
                path,
                &mut Patience::Growing(patience),
                &mut |holder| {
                    if !waited {
                        waiting(holder);
                    }
                    waited = true;
                },
            )?;
            let held = file.metadata().map_err(failed)?;
            let at_path = path.symlink_metadata();
            if at_path.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
                return Ok(Self {
                    path: path.to_owned(),
                    file,
                    digest: Sha256::new(),
                    length: 0,
                });
            }
        }
        // A file system that numbers an open file otherwise than the same one at its path.
        Err(failed(io::Error::other(
            "it is another file each time it is looked at",
        )))
    }

    /// Reads what is there, so that the hash goes on from its end.
    pub fn take_up(&mut self) -> Result<(), FetchError> {
        self.length = hash::feed(&mut self.digest, &mut self.file)
            .map_err(|cause| unwritable(&self.path, cause))?;
        Ok(())
    }

    /// How much it holds, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The hash of what it holds.
    pub fn sha256(&self) -> String {
        hash::text(self.digest.clone())
    }

    /// Its open file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Forgets what it holds.
    pub fn start_anew(&mut self) -> Result<(), FetchError> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|cause| unwritable(&self.path, cause))?;
        self.digest = Sha256::new();
        self.length = 0;
        Ok(())
    }

    /// Appends. What was written before an error counts, and its hash with it.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<(), FetchError> {
        while !bytes.is_empty() {
            let count = match self.file.write(bytes) {
                Ok(0) => return Err(self.failed(io::ErrorKind::WriteZero.into())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.failed(error)),
            };
            let (written, rest) = bytes.split_at(count.min(bytes.len()));
            self.digest.update(written);
            self.length += count as u64;
            bytes = rest;
        }
        Ok(())
    }

    fn failed(&self, cause: io::Error) -> FetchError {
        match cause.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => FetchError::DiskFull {
                path: self.path.clone(),
                fetched: crate::models::mib(self.length),
                cause,
            },
            _ => unwritable(&self.path, cause),
        }
    }

    /// Copies everything from `source` to the end, calling `after` with the
    /// length after each piece; `after` may end it with an error.
    pub fn take(
        &mut self,
        source: &mut impl Read,
        mut after: impl FnMut(u64) -> Result<(), FetchError>,
    ) -> Result<(), FetchError> {
        let mut buffer = vec![0; hash::BUFFER];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.append(buffer.get(..count).unwrap_or_default())?;
                    after(self.length)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The other end of the pipe is curl, whose exit code says why.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Puts it at `target`, on the disk before it is there, and never over anything.
    pub fn place(self, target: &Path) -> Result<File, FetchError> {
        self.file
            .set_permissions(fs::Permissions::from_mode(0o644))
            .and_then(|()| self.file.sync_all())
            .map_err(|cause| self.failed(cause))?;
        let moved = match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            // File systems that can't do both at once.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                if target.symlink_metadata().is_ok() {
                    Err(io::ErrorKind::AlreadyExists.into())
                } else {
                    fs::rename(&self.path, target)
                }
            }
            other => other.map_err(Into::into),
        };
        moved
            .and_then(|()| File::open(target.parent().unwrap_or(Path::new("/")))?.sync_all())
            .map_err(|cause| match cause.kind() {
                io::ErrorKind::AlreadyExists => FetchError::Arrived {
                    path: target.to_owned(),
                    partial: self.path.clone(),
                },
                _ => unwritable(target, cause),
            })?;
        Ok(self.file)
    }

    /// Removes it.
    pub fn remove(self) {
        // One that stays is taken up or found wrong next time.
        drop(fs::remove_file(&self.path));
    }

    /// Removes it when it holds nothing worth keeping.
    pub fn remove_if_empty(self) {
        if self.length == 0 {
            self.remove();
        }
    }
}

fn unwritable(path: &Path, cause: io::Error) -> FetchError {
    FetchError::Unwritable {
        path: path.to_owned(),
        cause,
        uid: users::effective_uid(),
    }
}
