//! Paths that no other account can change.
//!
//! When root creates or opens a file by its path, an account that can replace a part of
//! that path with a link can redirect root to another file. [`directory`] walks a path
//! component by component, each relative to the open one above it, and refuses a component
//! that another account owns or may write to. It returns an open directory, so that nothing
//! is looked up a second time.
//!
//! This holds for root. What another account does by a path can harm that account alone,
//! so there the path is only walked.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

use crate::users;

/// As many links as Linux follows in one path (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// Why a path is not used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A component belongs to another account.
    #[error(
        "{} belongs to user id {owner}, who could lead root to any other place by a link: choose \
         a path whose folders belong to root, or give it to root with chown",
        path.display()
    )]
    Owner {
        /// The component.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Other accounts may write to a component.
    #[error(
        "{} has mode {mode:04o}, so other accounts could replace what is in it by a link: run \
         `chmod go-w {}`, or choose another path",
        path.display(), path.display()
    )]
    Writable {
        /// The component.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A link where none may be.
    #[error("{} is a link, which is not followed here", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// The path is relative or leads upwards.
    #[error("{} is not an absolute path without `..`", path.display())]
    Odd {
        /// The path.
        path: PathBuf,
    },
    /// Something else than a folder.
    #[error("{} is not a directory", path.display())]
    NoDirectory {
        /// The component.
        path: PathBuf,
    },
    /// The system refused.
    #[error("{} cannot be opened: {cause}", path.display())]
    System {
        /// The component.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl TrustError {
    /// Whether a component does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::System { cause, .. } if cause.kind() == io::ErrorKind::NotFound)
    }

    fn system(path: &Path) -> impl FnOnce(Errno) -> Self {
        let path = path.to_owned();
        |errno| Self::System {
            path,
            cause: errno.into(),
        }
    }
}

/// An open directory whose path no other account can change.
#[derive(Debug)]
pub struct Trusted {
    /// The directory.
    pub directory: OwnedFd,
    /// Those that were made for it, the outermost first.
    pub made: Vec<PathBuf>,
}

/// Opens the directory at the absolute `path`. Where root runs this, each component must
/// belong to root, and others must not be able to write to it (in a folder with the
/// sticky bit, as `/tmp`, they may, since they cannot replace what is not theirs). Links
/// are followed where the same holds for them.
///
/// # Errors
/// When a component is another account's, or can't be opened.
pub fn directory(path: &Path) -> Result<OwnedFd, TrustError> {
    Ok(walk(path, false)?.directory)
}

/// The same, where missing folders are made for their owner alone (mode 0700).
///
/// # Errors
/// When a component is another account's, or can't be opened or made. Folders that
/// were made stay.
pub fn make_directory(path: &Path) -> Result<Trusted, TrustError> {
    walk(path, true)
}

/// What of the path exists must be so; the rest may be missing.
///
/// # Errors
/// When a component is another account's, or can't be opened.
pub fn check(path: &Path) -> Result<(), TrustError> {
    match walk(path, false) {
        Err(error) if error.is_missing() => Ok(()),
        other => other.map(drop),
    }
}

/// Whether no account but root and the one that runs this can change the existing
/// directory at `path` or what leads to it, whoever runs this.
#[must_use]
pub fn is_own(path: &Path) -> bool {
    step_by_step(path, false, true).is_ok()
}

fn walk(path: &Path, make: bool) -> Result<Trusted, TrustError> {
    step_by_step(path, make, users::effective_uid() == 0)
}

/// `strict`: whether other accounts' components are refused.
fn step_by_step(path: &Path, make: bool, strict: bool) -> Result<Trusted, TrustError> {
    if !path.is_absolute() {
        return Err(TrustError::Odd {
            path: path.to_owned(),
        });
    }
    let me = users::effective_uid();
    let slash = PathBuf::from("/");
    let top = || openat(CWD, "/", LOOK, Mode::empty()).map_err(TrustError::system(Path::new("/")));
    let mut left: VecDeque<OsString> = names(path);
    let mut open = vec![(top()?, slash.clone())];
    let (mut created, mut links) = (Vec::new(), 0);
    while let Some(name) = left.pop_front() {
        if name == ".." {
            if open.len() > 1 {
                open.pop();
            }
            continue;
        }
        let Some((above, above_path)) = open.last() else {
            return Err(TrustError::Odd {
                path: path.to_owned(),
            });
        };
        let here = above_path.join(&name);
        let found = match openat(above, &name, LOOK, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match mkdirat(above, &name, Mode::RWXU) {
                    Ok(()) => created.push(here.clone()),
                    // Another process was faster.
                    Err(Errno::EXIST) => {}
                    Err(errno) => return Err(TrustError::system(&here)(errno)),
                }
                openat(above, &name, LOOK, Mode::empty())
            }
            other => other,
        }
        .map_err(TrustError::system(&here))?;
        let data = fstat(&found).map_err(TrustError::system(&here))?;
        if strict && data.st_uid != 0 && data.st_uid != me {
            return Err(TrustError::Owner {
                path: here,
                owner: data.st_uid,
            });
        }
        match FileType::from_raw_mode(data.st_mode) {
            FileType::Directory => {
                if strict {
                    check_mode(&data, &here)?;
                }
                open.push((found, here));
            }
            FileType::Symlink => {
                links += 1;
                let parent = fstat(above).map_err(TrustError::system(above_path))?;
                // In a folder of everybody's a link is never ours by intention.
                if links > MAX_LINKS || (strict && parent.st_mode & 0o022 != 0) {
                    return Err(TrustError::Link { path: here });
                }
                let target =
                    readlinkat(&found, "", Vec::new()).map_err(TrustError::system(&here))?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.is_absolute() {
                    open = vec![(top()?, slash.clone())];
                }
                for name in names(&target).into_iter().rev() {
                    left.push_front(name);
                }
            }
            _ => return Err(TrustError::NoDirectory { path: here }),
        }
    }
    let Some((found, found_path)) = open.pop() else {
        return Err(TrustError::Odd {
            path: path.to_owned(),
        });
    };
    // From the descriptor that was looked at, so that it is the same directory.
    let directory =
        openat(&found, ".", DIRECTORY, Mode::empty()).map_err(TrustError::system(&found_path))?;
    Ok(Trusted {
        directory,
        made: created,
    })
}

fn check_mode(data: &Stat, path: &Path) -> Result<(), TrustError> {
    let mode = data.st_mode & 0o7777;
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        return Err(TrustError::Writable {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(())
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

/// Opens what is at `path` below `base` with the flags. No component below `base` may
/// be a link or `..`, whoever owns it.
///
/// # Errors
/// When one is, or something can't be opened.
pub fn open_without_links(base: &Path, path: &Path, flags: OFlags) -> Result<OwnedFd, TrustError> {
    let mut names = names(path);
    let odd = || TrustError::Odd {
        path: path.to_owned(),
    };
    if names.iter().any(|name| name == "..") {
        return Err(odd());
    }
    let last = names.pop_back().ok_or_else(odd)?;
    let mut here = base.to_owned();
    let mut folder = openat(
        CWD,
        base,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(TrustError::system(base))?;
    for name in names {
        here.push(&name);
        folder = step(&folder, &name, OFlags::PATH | OFlags::DIRECTORY, &here)?;
    }
    here.push(&last);
    step(&folder, &last, flags, &here)
}

fn step(folder: &OwnedFd, name: &OsStr, flags: OFlags, path: &Path) -> Result<OwnedFd, TrustError> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::LOOP => TrustError::Link {
            path: path.to_owned(),
        },
        errno => TrustError::system(path)(errno),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn folders_are_made_private_and_own_links_are_followed() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let made = make_directory(&at("a/b")).unwrap().made;
        assert_eq!(made, [at("a"), at("a/b")]);
        assert_eq!(
            at("a/b").metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        symlink("a", at("link")).unwrap();
        symlink(at("a/b"), at("absolute")).unwrap();
        symlink("../a/./b", at("a/up")).unwrap();
        for path in ["link/b", "absolute", "a/up"] {
            directory(&at(path)).unwrap();
        }
        symlink("loop", at("loop")).unwrap();
        assert!(matches!(
            directory(&at("loop")),
            Err(TrustError::Link { .. })
        ));
        assert!(directory(&at("none")).unwrap_err().is_missing());
        check(&at("none/below")).unwrap();
        fs::write(at("file"), "").unwrap();
        assert!(matches!(
            directory(&at("file/x")),
            Err(TrustError::NoDirectory { .. })
        ));
        assert!(directory(Path::new("relative")).is_err());
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_refused_unless_it_is_sticky() {
        if users::effective_uid() != 0 {
            eprintln!("\nSKIP the rule is for root");
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let open = root.path().join("open");
        fs::create_dir_all(open.join("below")).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let error = directory(&open.join("below")).unwrap_err();
        assert!(matches!(error, TrustError::Writable { .. }), "{error}");
        fs::set_permissions(&open, Permissions::from_mode(0o1777)).unwrap();
        directory(&open.join("below")).unwrap();
        // A link in such a folder may be anybody's.
        symlink("below", open.join("link")).unwrap();
        assert!(matches!(
            directory(&open.join("link")),
            Err(TrustError::Link { .. })
        ));
    }

    #[test]
    fn a_component_of_another_account_is_refused_wherever_it_is() {
        if users::effective_uid() != 0 {
            eprintln!("\nSKIP only root can give folders away");
            return;
        }
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("eve/root")).unwrap();
        chown(at("eve"), Some(2001), Some(2001)).unwrap();
        for path in ["eve", "eve/root", "eve/none"] {
            let error = directory(&at(path)).unwrap_err();
            assert!(
                matches!(error, TrustError::Owner { owner: 2001, .. }),
                "{path}: {error}"
            );
        }
        // Eve's link in a folder of root's.
        symlink("/etc", at("link")).unwrap();
        rustix::fs::chownat(
            CWD,
            at("link"),
            Some(rustix::fs::Uid::from_raw(2001)),
            None,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        assert!(matches!(
            directory(&at("link")),
            Err(TrustError::Owner { .. })
        ));
        // The way in is trusted, and then a link leads into eve's folder.
        symlink(at("eve"), at("into")).unwrap();
        assert!(directory(&at("into/root")).is_err());
    }
}
