//! What a file's hash was when it was read last.
//!
//! A model of 40 GB takes a minute to read, and units look for it at each boot. A stamp
//! next to it holds the hash that was seen, and what the kernel says of the file: its
//! file system, inode, size and both times of change. The time of the last change of
//! status (ctime) can't be set by any program, so neither a copy that keeps its times
//! (`cp -a`, `rsync -a`) nor a file changed in place has a stamp that fits. A stamp
//! counts only when root or the account that asks has written it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aistack_machine::{file, trusted, users};
use rustix::fs::{CWD, Mode, OFlags, openat};

/// The largest stamp that is read, in bytes; a real one has about 170.
const MAX_BYTES: u64 = 4096;

/// A file's hash, and what the kernel says of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The hash that was seen, which need not be the declared one.
    pub sha256: String,
    file: Identity,
}

/// What is another for each file and each change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Seconds and nanoseconds.
    changed: (i64, i64),
    inode: u64,
    /// The file system's id (statvfs(3)): unlike the number of the device it is the same
    /// after a reboot on btrfs as well.
    file_system: u64,
}

/// Where the stamp of the file at `path` lies: `.NAME.sha256` next to it.
fn place(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.sha256"))
}

impl Stamp {
    /// The stamp of an open file with that hash; none when the system says nothing of it.
    pub fn new(sha256: &str, file: &File) -> Option<Self> {
        let data = file.metadata().ok()?;
        Some(Self {
            sha256: sha256.to_owned(),
            file: Identity {
                size: data.size(),
                modified: (data.mtime(), data.mtime_nsec()),
                changed: (data.ctime(), data.ctime_nsec()),
                inode: data.ino(),
                file_system: rustix::fs::fstatvfs(file).ok()?.f_fsid,
            },
        })
    }

    /// Whether both are of the same file, unchanged.
    pub fn is_of_same(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// The stamp of the open file at `path`, when it still fits. An unusable stamp is as
    /// good as none: the file is then read again.
    pub fn of(path: &Path, file: &File) -> Option<Self> {
        let stamp = Self::parse(&Self::text(&place(path))?)?;
        stamp
            .is_of_same(&Self::new(&stamp.sha256, file)?)
            .then_some(stamp)
    }

    /// The text of a stamp that root or this account wrote.
    fn text(place: &Path) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let stamp = File::from(openat(CWD, place, flags, Mode::empty()).ok()?);
        let data = stamp.metadata().ok()?;
        let ours = data.uid() == 0 || data.uid() == users::effective_uid();
        if !data.is_file() || !ours || data.mode() & 0o022 != 0 {
            return None;
        }
        String::from_utf8(file::rest(&stamp, MAX_BYTES).ok()?).ok()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let sha256 = words.next()?.to_owned();
        let numbers: Vec<i64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
        let &[
            size,
            modified,
            modified_ns,
            changed,
            changed_ns,
            inode,
            file_system,
        ] = numbers.as_slice()
        else {
            return None;
        };
        (sha256.len() == 64).then_some(Self {
            sha256,
            file: Identity {
                size: u64::try_from(size).ok()?,
                modified: (modified, modified_ns),
                changed: (changed, changed_ns),
                // Written as signed numbers, of which these are the bits.
                inode: inode.cast_unsigned(),
                file_system: file_system.cast_unsigned(),
            },
        })
    }

    /// Writes it next to the file at `path`, whole or not at all.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let place = place(path);
        let directory = place.parent().unwrap_or(Path::new("/"));
        trusted::check(directory).map_err(io::Error::other)?;
        let mut draft = tempfile::Builder::new()
            .prefix(".aistack-stamp-")
            // Other users may ask for the state as well.
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(directory)?;
        let of = &self.file;
        writeln!(
            draft,
            "{} {} {} {} {} {} {} {}",
            self.sha256,
            of.size,
            of.modified.0,
            of.modified.1,
            of.changed.0,
            of.changed.1,
            of.inode.cast_signed(),
            of.file_system.cast_signed()
        )?;
        draft.persist(&place).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamped() -> (tempfile::TempDir, PathBuf, Stamp) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("m.gguf");
        fs::write(&path, "model").unwrap();
        let stamp = Stamp::new(&"a".repeat(64), &File::open(&path).unwrap()).unwrap();
        stamp.write(&path).unwrap();
        assert_eq!(read(&path), Some(stamp.clone()));
        (directory, path, stamp)
    }

    fn read(path: &Path) -> Option<Stamp> {
        Stamp::of(path, &File::open(path).unwrap())
    }

    #[test]
    fn a_stamp_holds_while_the_file_is_the_same() {
        let (directory, path, _) = stamped();
        assert!(directory.path().join(".m.gguf.sha256").exists());
        // Of the same size and with its old time of change, but written to.
        let file = File::options().write(true).open(&path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(&path, "other").unwrap();
        file.set_modified(before).unwrap();
        assert_eq!(file.metadata().unwrap().modified().unwrap(), before);
        assert_eq!(read(&path), None);
    }

    #[test]
    fn a_copy_with_its_stamp_is_read_again() {
        let (directory, path, _) = stamped();
        let elsewhere = tempfile::tempdir().unwrap();
        let copy = elsewhere.path().join("stick");
        let done = std::process::Command::new("cp")
            .arg("-a")
            .arg("--")
            .args([directory.path(), &copy])
            .status();
        assert!(done.unwrap().success());
        let copied = copy.join("m.gguf");
        assert!(copy.join(".m.gguf.sha256").exists());
        assert_eq!(
            copied.metadata().unwrap().modified().unwrap(),
            path.metadata().unwrap().modified().unwrap()
        );
        assert_eq!(read(&copied), None);
        // Moved over the old file, with the old one's stamp.
        fs::rename(&copied, &path).unwrap();
        assert_eq!(read(&path), None);
    }

    #[test]
    fn a_stamp_of_another_account_a_link_and_an_open_one_do_not_count() {
        let (directory, path, stamp) = stamped();
        let place = directory.path().join(".m.gguf.sha256");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(read(&path), None);
        stamp.write(&path).unwrap();
        let away = directory.path().join("away");
        fs::rename(&place, &away).unwrap();
        std::os::unix::fs::symlink(&away, &place).unwrap();
        assert_eq!(read(&path), None);
        stamp.write(&path).unwrap();
        assert!(read(&path).is_some());
        if users::effective_uid() != 0 {
            eprintln!("\nSKIP only root can give files away");
            return;
        }
        std::os::unix::fs::chown(&place, Some(2001), None).unwrap();
        assert_eq!(read(&path), None);
    }

    #[test]
    fn what_is_no_stamp_is_none() {
        let hash = "a".repeat(64);
        assert!(Stamp::parse(&format!("{hash} 1 2 3 4 5 -6 7\n")).is_some());
        for text in [
            String::new(),
            "a 1 2 3 4 5 6 7".to_owned(),
            // As an earlier version wrote it.
            format!("{hash} 1 2 3"),
            format!("{hash} 1 2 3 4 5 6 7 8"),
            format!("{hash} -1 2 3 4 5 6 7"),
            format!("{hash} x 2 3 4 5 6 7"),
        ] {
            assert_eq!(Stamp::parse(&text), None, "{text:?}");
        }
    }
}
