//! Files, directories and links below a root directory.
//!
//! A root other than `/` is another machine's: an absolute link in it
//! (`/etc/subuid -> /etc/static/subuid` on NixOS) means a path on that machine.
//! So paths are resolved with `openat2(2)` and `RESOLVE_IN_ROOT`, as in a chroot.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Take};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::error::Error;

/// No file that is read here is longer; `/proc/cpuinfo` of 1024 threads has 1.5 MiB.
const MAX_LEN: usize = 16 * 1024 * 1024;

/// How often a lookup is tried again that the kernel broke off (`EAGAIN`)
/// because something on the machine was renamed or mounted meanwhile.
const MAX_TRIES: usize = 64;

/// Something that could not be read, and what that means for the facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file, with its root.
    pub path: PathBuf,
    /// What was seen.
    pub seen: String,
    /// What it means for the facts.
    pub meaning: &'static str,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}; {}",
            self.path.display(),
            self.seen,
            self.meaning
        )
    }
}

/// How much of a file is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All of it.
    Whole,
    /// Up to the first empty line: the kernel makes `/proc/cpuinfo` up as it is
    /// read, which takes milliseconds on a server with hundreds of threads.
    FirstParagraph,
}

/// Reads below one root and keeps notes of what it could not read.
pub(crate) struct Reader {
    dir: OwnedFd,
    path: PathBuf,
    /// Whether links must be kept below the root: not for `/` itself.
    confined: bool,
    notes: Vec<Note>,
}

impl Reader {
    /// Opens the root directory.
    pub(crate) fn open(root: &Path) -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(root, flags, Mode::empty()).map_err(|errno| Error::Root {
            root: root.to_path_buf(),
            seen: errno.into(),
        })?;
        let confined = root
            .canonicalize()
            .map_or(true, |path| path != Path::new("/"));
        Ok(Self {
            dir,
            path: root.to_path_buf(),
            confined,
            notes: Vec::new(),
        })
    }

    /// The notes so far.
    pub(crate) fn into_notes(self) -> Vec<Note> {
        self.notes
    }

    /// How many notes there are so far.
    pub(crate) fn note_count(&self) -> usize {
        self.notes.len()
    }

    /// Keeps a note; `path` is relative to the root.
    pub(crate) fn note(&mut self, path: &str, seen: impl fmt::Display, meaning: &'static str) {
        self.notes.push(Note {
            path: self.full(path),
            seen: seen.to_string(),
            meaning,
        });
    }

    /// Keeps a note of a file that isn't the machine's.
    pub(crate) fn note_of(&mut self, path: &Path, seen: &str, meaning: &'static str) {
        self.notes.push(Note {
            path: path.to_path_buf(),
            seen: seen.to_owned(),
            meaning,
        });
    }

    /// Whether this is the running machine, not a captured tree.
    pub(crate) fn is_live(&self) -> bool {
        !self.confined
    }

    /// The path as people know it.
    pub(crate) fn full(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    fn open_at(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        if self.confined {
            for _ in 0..MAX_TRIES {
                match rustix::fs::openat2(
                    &self.dir,
                    path,
                    flags,
                    Mode::empty(),
                    ResolveFlags::IN_ROOT,
                ) {
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    // Kernels before 5.6, and sandboxes that don't know the call.
                    Err(Errno::NOSYS | Errno::PERM) => break,
                    answer => return answer,
                }
            }
        }
        rustix::fs::openat(&self.dir, path, flags, Mode::empty())
    }

    /// A file's bytes.
    pub(crate) fn read(&self, path: &str, extent: Extent) -> io::Result<Vec<u8>> {
        // Non-blocking, so that a pipe in an odd tree can't hang the program.
        let file = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::Error::other(format!("is {}", name_of(kind))));
        }
        let mut bytes = Vec::new();
        let mut chunk = [0_u8; 16 * 1024];
        // The kernel makes a file up as far as it is asked for.
        let wanted = match extent {
            Extent::Whole => chunk.len(),
            Extent::FirstParagraph => 4096,
        };
        loop {
            let count = match rustix::io::read(&file, chunk.get_mut(..wanted).unwrap_or_default()) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
            };
            let Some(new) = chunk.get(..count).filter(|new| !new.is_empty()) else {
                return Ok(bytes);
            };
            bytes.extend_from_slice(new);
            if bytes.len() > MAX_LEN {
                return Err(io::Error::other(format!("is longer than {MAX_LEN} bytes")));
            }
            if extent == Extent::FirstParagraph && bytes.windows(2).any(|pair| pair == b"\n\n") {
                return Ok(bytes);
            }
        }
    }

    /// A regular file, to be read line by line and not to its end.
    pub(crate) fn lines(&self, path: &str) -> io::Result<BufReader<Take<File>>> {
        let file = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind != FileType::RegularFile {
            return Err(io::Error::other(format!("is {}", name_of(kind))));
        }
        let file = File::from(file).take(MAX_LEN as u64);
        Ok(BufReader::with_capacity(64 * 1024, file))
    }

    /// A text file that a machine need not have: `None` when it is missing,
    /// and with a note when it can't be read. Bytes that are no UTF-8 become U+FFFD.
    pub(crate) fn lines_of(&mut self, path: &str, meaning: &'static str) -> Option<String> {
        match self.read(path, Extent::Whole) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if is_missing(&error) => None,
            Err(error) => {
                self.note(path, aistack_machine::text::io(&error), meaning);
                None
            }
        }
    }

    /// The one value that a sysfs file holds, without white space around it:
    /// `None` when the file is missing or empty, and with a note when it can't
    /// be read or is no text.
    pub(crate) fn value(&mut self, path: &str, meaning: &'static str) -> Option<String> {
        let text = self.lines_of(path, meaning)?;
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
        if text.is_empty() {
            return None;
        }
        let text = printable(text);
        if text.is_none() {
            self.note(path, "is no text", meaning);
        }
        text
    }

    /// Names in a directory, sorted; a note for each that is no text.
    pub(crate) fn list(&mut self, path: &str, meaning: &'static str) -> io::Result<Vec<String>> {
        let (names, odd) = self.names(path)?;
        for seen in odd {
            self.note(path, seen, meaning);
        }
        Ok(names)
    }

    /// Names in a directory, sorted, and what is to be said of those that are no text.
    pub(crate) fn names(&self, path: &str) -> io::Result<(Vec<String>, Vec<String>)> {
        let dir = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK)?;
        let mut names = Vec::new();
        let mut odd = Vec::new();
        for entry in Dir::new(dir)? {
            let entry = entry?;
            match entry.file_name().to_str() {
                Ok("." | "..") => {}
                Ok(name) => names.push(name.to_owned()),
                Err(_) => odd.push(format!("the entry {:?} is no text", entry.file_name())),
            }
        }
        names.sort_unstable();
        Ok((names, odd))
    }

    /// The last component of a symbolic link's target; the target need not exist.
    pub(crate) fn link_name(&self, path: &str) -> io::Result<String> {
        let link = self.open_at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let target = match rustix::fs::readlinkat(&link, "", Vec::new()) {
            // The kernel's word for an open file that is no link.
            Err(Errno::NOENT | Errno::INVAL) => {
                return Err(io::Error::other("is no symbolic link"));
            }
            target => target?,
        };
        target
            .to_str()
            .ok()
            .and_then(|target| target.rsplit('/').next())
            .filter(|name| !name.is_empty())
            .and_then(printable)
            .ok_or_else(|| io::Error::other(format!("points to {target:?}")))
    }

    /// Whether there is something at that path.
    pub(crate) fn exists(&self, path: &str) -> bool {
        self.open_at(path, OFlags::PATH)
            .and_then(|file| rustix::fs::statat(&file, "", AtFlags::EMPTY_PATH))
            .is_ok()
    }
}

/// Whether an error says that the file isn't there (nor can be).
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Text with runs of white space made one space; `None` when it holds bytes
/// that were no UTF-8 or control characters, which no honest entry has.
pub(crate) fn printable(text: &str) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let odd = |c: char| aistack_machine::text::is_hidden(c) || c == char::REPLACEMENT_CHARACTER;
    (!text.is_empty() && !text.contains(odd)).then_some(text)
}

fn name_of(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "no regular file",
    }
}
