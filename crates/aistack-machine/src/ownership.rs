//! Gives the files of a data folder to a container's range of user and group ids.
//!
//! Runs as root on folders that a container, and before this release also another account,
//! could write to. So no link is followed, below the folder or on the way to it, and a file
//! that has a further name outside of the folder is not touched (a hard link could lead to
//! any file of the same file system).
//!
//! Each file is moved by its own id, so the work can be interrupted at any point and run
//! again: an id that already lies in the range stays.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};

use crate::trusted::{self, TrustError};

/// Ids below this number are the host's own accounts; a container without a range of its
/// own writes with those.
const HOST_IDS: u32 = 65_536;

/// Folders within folders; more are refused, since each takes a file descriptor.
const MAX_DEPTH: usize = 400;

/// A range of user and group ids of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// The first id.
    pub start: u32,
    /// How many.
    pub size: u32,
}

impl IdRange {
    fn position(self, id: u32) -> Option<u32> {
        id.checked_sub(self.start).filter(|at| *at < self.size)
    }
}

/// The range that a container's data was given to last. It stands in a folder of root's next
/// to the data.
#[derive(Clone, Debug)]
pub struct Record {
    data_root: PathBuf,
    container: String,
}

/// The folder of the records, below the root of the data.
const RECORDS: &str = ".ids";

/// A record has some 20 bytes.
const MAX_RECORD: u64 = 64;

impl Record {
    /// The record of a container whose stack keeps its data below `data_root`.
    #[must_use]
    pub fn of(data_root: &Path, container: &str) -> Self {
        Self {
            data_root: data_root.to_owned(),
            container: container.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.data_root.join(RECORDS).join(&self.container)
    }

    /// The range; none: the data has ids of the host.
    ///
    /// # Errors
    /// When it can't be read, or is something else: the path, and what to do.
    pub fn read(&self) -> Result<Option<IdRange>, OwnershipError> {
        let path = self.path();
        let folder = match trusted::directory(&self.data_root.join(RECORDS)) {
            Ok(folder) => folder,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder, &self.container, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(failed(&path)(error)),
        };
        let mut text = String::new();
        file.take(MAX_RECORD)
            .read_to_string(&mut text)
            .map_err(|cause| OwnershipError::System {
                path: path.clone(),
                cause,
            })?;
        if text.trim() == "host" {
            return Ok(None);
        }
        let range = text.trim().split_once('+').and_then(|(start, size)| {
            let (start, size) = (start.parse().ok()?, size.parse().ok()?);
            Some(IdRange { start, size })
        });
        range.map(Some).ok_or(OwnershipError::Record { path })
    }

    /// Writes the range, so that it is there whole or not at all.
    ///
    /// # Errors
    /// When the file or its folder can't be made.
    pub fn write(&self, range: Option<IdRange>) -> Result<(), OwnershipError> {
        let path = self.path();
        let text = range.map_or_else(
            || "host\n".to_owned(),
            |range| format!("{}+{}\n", range.start, range.size),
        );
        let folder = trusted::make_directory(&self.data_root.join(RECORDS))?.directory;
        let new = format!("{}.new", self.container);
        let flags = OFlags::WRONLY
            | OFlags::CREATE
            | OFlags::TRUNC
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let mut file =
            File::from(rustix::fs::openat(&folder, &new, flags, mode).map_err(failed(&path))?);
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|cause| OwnershipError::System {
                path: path.clone(),
                cause,
            })?;
        rustix::fs::renameat(&folder, &new, &folder, &self.container).map_err(failed(&path))
    }
}

/// Where ids move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The range that the files had; none: ids of the host.
    pub from: Option<IdRange>,
    /// The range that they get; none: ids of the host.
    pub to: Option<IdRange>,
}

impl Move {
    /// The id that takes the place of `id`. An id that belongs to neither range stays.
    #[must_use]
    pub fn id(self, id: u32) -> u32 {
        if self.to.is_some_and(|to| to.position(id).is_some()) {
            return id;
        }
        let inside = match self.from.and_then(|from| from.position(id)) {
            Some(inside) => Some(inside),
            None => Some(id).filter(|id| *id < HOST_IDS),
        };
        match (inside, self.to) {
            (Some(inside), Some(to)) if inside < to.size => to.start + inside,
            (Some(inside), None) => inside,
            _ => id,
        }
    }

    fn owner(self, stat: &Stat) -> Option<(u32, u32)> {
        let owner = (self.id(stat.st_uid), self.id(stat.st_gid));
        (owner != (stat.st_uid, stat.st_gid)).then_some(owner)
    }
}

/// Why a folder keeps the owner that it has.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// Somebody else could lead root elsewhere.
    #[error(transparent)]
    Untrusted(#[from] TrustError),
    /// A file of the folder is known by another name outside of it.
    #[error(
        "{} has {links} names, of which {seen} are in this folder: its owner is left as it is, \
         because it may be a file of somebody else. Copy it in place (cp FILE FILE.new && mv FILE.new \
         FILE), or remove it",
        path.display()
    )]
    Linked {
        /// The file.
        path: PathBuf,
        /// Its names, by the file system.
        links: u64,
        /// Those that were found.
        seen: u64,
    },
    /// A record of another kind.
    #[error(
        "{} should hold START+SIZE, or host: remove it, and the data is looked through once",
        path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
    },
    /// Folders within folders without an end.
    #[error("{} lies more than {MAX_DEPTH} folders deep", path.display())]
    Deep {
        /// The folder.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{}: {cause}", path.display())]
    System {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

fn failed(path: &Path) -> impl FnOnce(rustix::io::Errno) -> OwnershipError + use<> {
    let path = path.to_owned();
    move |cause| OwnershipError::System {
        path,
        cause: cause.into(),
    }
}

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens a data folder. Every folder on the way to it must be one that only root can change;
/// it is itself the container's.
///
/// # Errors
/// When a folder on the way can be changed by somebody else, or something is missing.
fn open(path: &Path) -> Result<OwnedFd, OwnershipError> {
    let folder = trusted::directory(path.parent().unwrap_or(path))?;
    let name = path.file_name().unwrap_or_default();
    rustix::fs::openat(&folder, name, FOLDER, Mode::empty()).map_err(failed(path))
}

/// Whether the folder itself, or what lies directly in it, has ids that should move. A look
/// that costs one folder, for each start of a container.
///
/// # Errors
/// When the folder can't be read.
pub fn differs(path: &Path, by: Move) -> Result<bool, OwnershipError> {
    let folder = open(path)?;
    let stat = rustix::fs::fstat(&folder).map_err(failed(path))?;
    if by.owner(&stat).is_some() {
        return Ok(true);
    }
    for entry in Dir::read_from(&folder).map_err(failed(path))? {
        let entry = entry.map_err(failed(path))?;
        if let Some(stat) = look(folder.as_fd(), entry.file_name(), path)?
            && by.owner(&stat).is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What lies at `name`; none: it is gone, or it is the folder itself or the one above.
fn look(folder: BorrowedFd<'_>, name: &CStr, at: &Path) -> Result<Option<Stat>, OwnershipError> {
    if name == c"." || name == c".." {
        return Ok(None);
    }
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(failed(&at.join(OsStr::from_bytes(name.to_bytes())))(error)),
    }
}

/// A file with several names: how many of them were seen, and one of them.
struct Names {
    links: u64,
    seen: u64,
    path: PathBuf,
}

/// Moves the ids of everything in a folder, and of the folder itself at the end.
///
/// Returns how many files and folders got another owner.
///
/// # Errors
/// At the first that can't be moved; what was moved before it stays moved.
pub fn move_ids(path: &Path, by: Move) -> Result<u64, OwnershipError> {
    let folder = open(path)?;
    let mut names = HashMap::new();
    let mut moved = walk(&folder, path, by, &mut |stat, at| {
        if stat.st_nlink > 1 {
            let names = names
                .entry((stat.st_dev, stat.st_ino))
                .or_insert_with(|| Names {
                    #[allow(clippy::useless_conversion)] // another type on other architectures
                    links: stat.st_nlink.into(),
                    seen: 0,
                    path: at.to_owned(),
                });
            names.seen += 1;
            return false;
        }
        true
    })?;
    if let Some(outside) = names.values().find(|names| names.seen < names.links) {
        return Err(OwnershipError::Linked {
            path: outside.path.clone(),
            links: outside.links,
            seen: outside.seen,
        });
    }
    if !names.is_empty() {
        moved += walk(&folder, path, by, &mut |stat, _| {
            names.contains_key(&(stat.st_dev, stat.st_ino))
        })?;
    }
    let stat = rustix::fs::fstat(&folder).map_err(failed(path))?;
    if let Some((uid, gid)) = by.owner(&stat) {
        rustix::fs::fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(failed(path))?;
        moved += 1;
    }
    Ok(moved)
}

/// Visits everything below `top`. Folders get their new owner at once; files and links only
/// where `take` returns true.
fn walk(
    top: &OwnedFd,
    path: &Path,
    by: Move,
    take: &mut dyn FnMut(&Stat, &Path) -> bool,
) -> Result<u64, OwnershipError> {
    let mut moved = 0;
    let mut open = vec![(Dir::read_from(top).map_err(failed(path))?, path.to_owned())];
    while let Some((folder, at)) = open.last_mut() {
        let Some(entry) = folder.next() else {
            open.pop();
            continue;
        };
        let entry = entry.map_err(failed(at))?;
        let name = entry.file_name();
        let here = at.join(OsStr::from_bytes(name.to_bytes()));
        let fd = folder.fd().map_err(failed(at))?;
        let Some(stat) = look(fd, name, at)? else {
            continue;
        };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if let Some((uid, gid)) = by.owner(&stat)
            && (is_folder || take(&stat, &here))
        {
            rustix::fs::chownat(
                fd,
                name,
                Some(Uid::from_raw(uid)),
                Some(Gid::from_raw(gid)),
                AtFlags::SYMLINK_NOFOLLOW,
            )
            .map_err(failed(&here))?;
            moved += 1;
        }
        if is_folder {
            if open.len() >= MAX_DEPTH {
                return Err(OwnershipError::Deep { path: here });
            }
            let Some((folder, _)) = open.last() else {
                break;
            };
            let fd = folder.fd().map_err(failed(&here))?;
            let inner =
                rustix::fs::openat(fd, name, FOLDER, Mode::empty()).map_err(failed(&here))?;
            open.push((Dir::new(inner).map_err(failed(&here))?, here));
        }
    }
    Ok(moved)
}

#[cfg(test)]
#[path = "../tests/unit/ownership.rs"]
mod tests;
