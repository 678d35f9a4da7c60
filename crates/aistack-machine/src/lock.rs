//! Locks between processes of one account, by flock(2) on a file.
//!
//! flock(2) needs no right to write, so a file that others may open for reading can be
//! locked by them for ever. A lock's file is therefore readable by its owner alone, and
//! waiting for it ends: with an error that names the process that has it.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{
    FileType, FlockOperation, Mode, OFlags, fchmod, flock, fstat, major, makedev, minor, openat,
};
use rustix::io::Errno;

use crate::trusted::{self, TrustError};
use crate::{file, users};

/// How often a held lock is tried again.
const PAUSE: Duration = Duration::from_millis(100);
/// The largest `/proc/locks` that is read, in bytes.
const MAX_LOCKS: u64 = 4 * 1024 * 1024;

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it, and kept it.
    #[error(
        "{} is locked by {holder}, and was not released within {} s: look at that process, and \
         end it if it hangs",
        path.display(), waited.as_secs()
    )]
    Held {
        /// The file.
        path: PathBuf,
        /// The process.
        holder: String,
        /// How long this one waited.
        waited: Duration,
    },
    /// The file is another account's, so its lock means nothing.
    #[error(
        "{} belongs to user id {owner}, and a lock of user id {me} must not be in another \
         account's hands: remove the file",
        path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The account that runs this.
        me: u32,
    },
    /// Something else is at the path.
    #[error("{} is {what}, not a regular file: remove it", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What is there.
        what: &'static str,
    },
    /// The folder can be changed by another account.
    #[error("no lock can be kept in {}: {cause}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        cause: TrustError,
    },
    /// The system refused.
    #[error("{} cannot be locked: {cause}", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// Takes the lock at `path`, for as long as the returned file is open. Its folder is
/// made when it is missing (0700), and the file is closed to other accounts (0600).
///
/// While another process has it, `waiting` is told its name once, and this waits at
/// most `limit`.
///
/// # Errors
/// When the lock is held until the limit is over, or folder or file are not this
/// account's own.
pub fn take(
    path: &Path,
    limit: Duration,
    waiting: &mut dyn FnMut(&str),
) -> Result<File, LockError> {
    let system = |cause: Errno| LockError::System {
        path: path.to_owned(),
        cause: cause.into(),
    };
    let above = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().ok_or_else(|| system(Errno::ISDIR))?;
    let folder = trusted::make_directory(above)
        .map_err(|cause| LockError::Folder {
            path: above.to_owned(),
            cause,
        })?
        .directory;
    let me = users::effective_uid();
    let file = openat(
        &folder,
        name,
        OFlags::RDWR
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::NOCTTY
            | OFlags::CLOEXEC,
        Mode::RUSR | Mode::WUSR,
    )
    .map_err(system)?;
    claim(&file, path, me)?;
    let file = File::from(file);
    wait(&file, path, &mut Patience::Limit(limit), waiting)?;
    Ok(file)
}

/// Makes a folder that this program alone uses, and closes it to other accounts (0700),
/// also when an older version left it open.
///
/// # Errors
/// When it can't be made or closed, or another account can change its path.
pub fn private_folder(path: &Path) -> Result<(), LockError> {
    let folder = trusted::make_directory(path)
        .map_err(|cause| LockError::Folder {
            path: path.to_owned(),
            cause,
        })?
        .directory;
    fchmod(&folder, Mode::RWXU).map_err(|cause| LockError::System {
        path: path.to_owned(),
        cause: cause.into(),
    })
}

/// Refuses a lock's file that is another account's, and closes it to others.
///
/// # Errors
/// When it is another's or no regular file.
pub fn claim(file: impl AsFd, path: &Path, me: u32) -> Result<(), LockError> {
    let system = |cause: Errno| LockError::System {
        path: path.to_owned(),
        cause: cause.into(),
    };
    let data = fstat(&file).map_err(system)?;
    let kind = FileType::from_raw_mode(data.st_mode);
    if kind != FileType::RegularFile {
        return Err(LockError::NoFile {
            path: path.to_owned(),
            what: file::name_of(kind),
        });
    }
    if data.st_uid != me {
        return Err(LockError::Owner {
            path: path.to_owned(),
            owner: data.st_uid,
            me,
        });
    }
    if data.st_mode & 0o077 != 0 {
        fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(system)?;
    }
    Ok(())
}

/// How long a lock is waited for.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// At most so long.
    Limit(Duration),
    /// As long as the locked file grows at least once in so long: its holder is at work.
    Growing(Duration),
}

/// Locks an open file, and waits for another process as `patience` says.
///
/// # Errors
/// When the lock is not released in time, or the system refuses.
pub fn wait(
    file: &File,
    path: &Path,
    patience: &mut Patience,
    waiting: &mut dyn FnMut(&str),
) -> Result<(), LockError> {
    let start = Instant::now();
    let (mut told, mut since, mut length) = (false, start, None);
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(cause) => {
                return Err(LockError::System {
                    path: path.to_owned(),
                    cause: cause.into(),
                });
            }
        }
        if !told {
            waiting(&holder(file));
            told = true;
        }
        let limit = match *patience {
            Patience::Limit(limit) => limit,
            Patience::Growing(limit) => {
                let now = file.metadata().map(|data| data.len()).ok();
                if now != length {
                    (length, since) = (now, Instant::now());
                }
                limit
            }
        };
        if since.elapsed() >= limit {
            return Err(LockError::Held {
                path: path.to_owned(),
                holder: holder(file),
                waited: start.elapsed(),
            });
        }
        thread::sleep(PAUSE.min(limit));
    }
}

/// The process that has a lock on the file, in words for people.
///
/// Format of `/proc/locks`: proc(5), `1: FLOCK  ADVISORY  WRITE 708 08:03:131 0 EOF`:
/// kind, mode, access, process id, and major and minor number of the device (in
/// hexadecimal) with the inode.
#[must_use]
pub fn holder(file: &File) -> String {
    let unknown = || "another process".to_owned();
    let Ok(data) = file.metadata() else {
        return unknown();
    };
    let Ok(locks) = file::text(Path::new("/proc/locks"), MAX_LOCKS) else {
        return unknown();
    };
    let pids = holders(&locks, data.dev(), data.ino());
    // 0 or less: a process of another PID namespace.
    let Some(pid) = pids.into_iter().find(|&pid| pid > 0) else {
        return unknown();
    };
    let process = Path::new("/proc").join(pid.to_string());
    let name: String = file::text(&process.join("comm"), 4096)
        .unwrap_or_default()
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let uid = process.metadata().map(|data| data.uid());
    match (name.is_empty(), uid) {
        (false, Ok(uid)) => format!("process {pid} ({name}, user id {uid})"),
        _ => format!("process {pid}"),
    }
}

/// The processes with a flock(2) lock on an inode. Some file systems (btrfs, overlay)
/// show another device there than in stat(2): then the inode alone has to tell.
fn holders(locks: &str, device: u64, inode: u64) -> Vec<i64> {
    let mut exact = Vec::new();
    let mut by_inode = Vec::new();
    for line in locks.lines() {
        let mut fields = line.split_ascii_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            continue;
        }
        let (Some(pid), Some(place)) = (
            fields.nth(2).and_then(|pid| pid.parse().ok()),
            fields.next(),
        ) else {
            continue;
        };
        let mut parts = place.split(':');
        let mut number = |radix| {
            parts
                .next()
                .and_then(|part| u64::from_str_radix(part, radix).ok())
        };
        let (Some(high), Some(low), Some(node)) = (number(16), number(16), number(10)) else {
            continue;
        };
        if node != inode {
            continue;
        }
        by_inode.push(pid);
        let same = u32::try_from(high)
            .ok()
            .zip(u32::try_from(low).ok())
            .is_some_and(|(high, low)| {
                let seen = makedev(high, low);
                (major(seen), minor(seen)) == (major(device), minor(device))
            });
        if same {
            exact.push(pid);
        }
    }
    if exact.is_empty() { by_inode } else { exact }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn folder_and_file_are_closed_also_where_an_older_version_left_them_open() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run/x.lock");
        drop(take(&path, Duration::ZERO, &mut |_| {}).unwrap());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        fs::set_permissions(path.parent().unwrap(), PermissionsExt::from_mode(0o755)).unwrap();
        private_folder(path.parent().unwrap()).unwrap();
        drop(take(&path, Duration::ZERO, &mut |_| {}).unwrap());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
    }

    #[test]
    fn waiting_ends_and_names_the_holder() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.lock");
        let held = take(&path, Duration::ZERO, &mut |_| {}).unwrap();
        let mut told = Vec::new();
        let limit = Duration::from_millis(300);
        let error = take(&path, limit, &mut |holder| told.push(holder.to_owned())).unwrap_err();
        let me = format!("process {} (", std::process::id());
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with(&me), "{told:?}");
        assert!(error.to_string().contains(&me), "{error}");
        drop(held);
        take(&path, limit, &mut |_| {}).unwrap();
    }

    #[test]
    fn while_the_file_grows_its_holder_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.partial");
        let held = take(&path, Duration::ZERO, &mut |_| {}).unwrap();
        let growing = thread::spawn(move || {
            for round in 1..=6 {
                thread::sleep(Duration::from_millis(300));
                held.set_len(round).unwrap();
            }
        });
        let file = fs::File::open(&path).unwrap();
        let start = Instant::now();
        wait(
            &file,
            &path,
            &mut Patience::Growing(Duration::from_millis(900)),
            &mut |_| {},
        )
        .unwrap();
        assert!(start.elapsed() > Duration::from_millis(1500));
        growing.join().unwrap();
    }

    #[test]
    fn links_and_pipes_in_its_place_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::os::unix::fs::symlink(at("target"), at("link")).unwrap();
        take(&at("link"), Duration::ZERO, &mut |_| {}).unwrap_err();
        assert!(!at("target").exists());
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(matches!(
            take(&at("pipe"), Duration::ZERO, &mut |_| {}),
            Err(LockError::NoFile { .. })
        ));
    }

    #[test]
    fn another_account_can_neither_hold_it_nor_lay_it_down() {
        if users::effective_uid() != 0 {
            eprintln!("\nSKIP only root can act as another account");
            return;
        }
        let root = tempfile::tempdir().unwrap();
        fs::set_permissions(root.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let path = root.path().join("run/x.lock");
        drop(take(&path, Duration::ZERO, &mut |_| {}).unwrap());
        let mut attack = Command::new("flock");
        attack.arg(&path).args(["sleep", "5"]).uid(2001).gid(2001);
        let done = attack.output().unwrap();
        assert!(!done.status.success(), "eve took root's lock: {done:?}");

        let laid = root.path().join("run/eve.lock");
        fs::write(&laid, "").unwrap();
        std::os::unix::fs::chown(&laid, Some(2001), None).unwrap();
        assert!(matches!(
            take(&laid, Duration::ZERO, &mut |_| {}),
            Err(LockError::Owner { owner: 2001, .. })
        ));
    }

    #[test]
    fn holders_are_read_from_the_kernels_table() {
        let locks = "1: POSIX  ADVISORY  WRITE 1 08:03:7 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 708 08:03:7 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 08:03:7 0 EOF\n\
                     3: FLOCK  ADVISORY  READ 709 00:2a:7 0 EOF\n\
                     garbage\n";
        assert_eq!(holders(locks, makedev(8, 3), 7), [708]);
        assert_eq!(holders(locks, makedev(0, 0x2a), 7), [709]);
        assert_eq!(holders(locks, makedev(9, 9), 7), [708, 709]);
        assert!(holders(locks, makedev(8, 3), 8).is_empty());
    }
}
