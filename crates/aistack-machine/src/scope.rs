//! What rootless containers need of the host before anything can start.
//!
//! Formats: subuid(5) and subgid(5) (`name-or-id:start:count`), loginctl(1)
//! (`enable-linger` makes `/var/lib/systemd/linger/<user>`).

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::command::{below, find};

/// The largest `/etc/subuid` that is read, in bytes.
const MAX_IDS: u64 = 16 * 1024 * 1024;

/// How many subordinate ids a container's users need: images use ids up to 65535.
pub const WANTED_IDS: u64 = 65_536;

/// Whom and where to look for.
#[derive(Clone, Debug)]
pub struct UserScope<'a> {
    /// Directory below which everything is read.
    pub root: &'a Path,
    /// The user's name.
    pub user: &'a str,
    /// The user's id.
    pub uid: u32,
    /// Value of `PATH`.
    pub path: Option<&'a OsStr>,
    /// Value of `XDG_RUNTIME_DIR`.
    pub runtime_dir: Option<&'a Path>,
    /// Value of `HOME`.
    pub home: Option<&'a Path>,
}

/// Something that isn't as rootless containers need it.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// The user's services end with the last session.
    #[error("{} is missing, so {user}'s services stop with the last session", path.display())]
    NoLinger {
        /// What was looked for.
        path: PathBuf,
        /// The user.
        user: String,
    },
    /// Too few subordinate ids.
    #[error("{} gives {user} {count} subordinate ids, containers need {WANTED_IDS}", path.display())]
    FewIds {
        /// The file.
        path: PathBuf,
        /// The user.
        user: String,
        /// How many it gives.
        count: u64,
    },
    /// A file of subordinate ids can't be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A helper program is nowhere.
    #[error("{program} was not found in PATH nor in the usual directories")]
    NoProgram {
        /// Its name.
        program: &'static str,
    },
    /// The user's runtime directory isn't there.
    #[error("{} is not there, so {user}'s systemd does not run", path.display())]
    NoRuntimeDir {
        /// What was looked for.
        path: PathBuf,
        /// The user.
        user: String,
    },
}

impl UserScope<'_> {
    /// Whether the user's services run without a session. The path that says so.
    ///
    /// # Errors
    /// When lingering is off.
    pub fn linger(&self) -> Result<PathBuf, ScopeError> {
        let path = Path::new("/var/lib/systemd/linger").join(self.user);
        if below(self.root, &path).exists() {
            Ok(path)
        } else {
            Err(ScopeError::NoLinger {
                path,
                user: self.user.to_owned(),
            })
        }
    }

    /// How many ids `/etc/subuid` (or `subgid`) gives the user.
    ///
    /// # Errors
    /// When they are fewer than [`WANTED_IDS`], or the file can't be read.
    pub fn subordinate_ids(&self, file: &str) -> Result<u64, ScopeError> {
        let path = Path::new("/etc").join(file);
        let text = match crate::file::text(&below(self.root, &path), MAX_IDS) {
            Ok(text) => text,
            Err(error) if error.is_missing() => String::new(),
            Err(error) => {
                return Err(ScopeError::Unreadable {
                    path,
                    cause: error.into(),
                });
            }
        };
        let uid = self.uid.to_string();
        let count = text
            .lines()
            .filter_map(|line| {
                let mut fields = line.trim().split(':');
                let owner = fields.next()?;
                let _start: u32 = fields.next()?.parse().ok()?;
                let count: u64 = fields.next()?.parse().ok()?;
                (owner == self.user || owner == uid).then_some(count)
            })
            .fold(0, u64::saturating_add);
        if count >= WANTED_IDS {
            Ok(count)
        } else {
            Err(ScopeError::FewIds {
                path,
                user: self.user.to_owned(),
                count,
            })
        }
    }

    /// Where a program is that podman calls: in `PATH`, in the usual directories
    /// and those of the user's profiles, or (`pasta`) among podman's own helpers.
    ///
    /// # Errors
    /// When it is nowhere.
    pub fn program(&self, program: &'static str) -> Result<PathBuf, ScopeError> {
        let mut more = vec![
            Path::new("/etc/profiles/per-user")
                .join(self.user)
                .join("bin"),
        ];
        if let Some(home) = self.home {
            more.push(home.join(".nix-profile/bin"));
        }
        // Packages of podman bring helpers along that are not in PATH: nixpkgs'
        // has them in libexec/podman next to its bin.
        more.extend(
            [
                "/run/current-system/sw/libexec/podman",
                "/usr/libexec/podman",
                "/usr/lib/podman",
                "/usr/local/libexec/podman",
            ]
            .map(PathBuf::from),
        );
        let helpers = find(self.root, self.path, &more, "podman")
            .and_then(|podman| podman.canonicalize().ok())
            .and_then(|podman| {
                Some(
                    podman
                        .parent()?
                        .parent()?
                        .join("libexec/podman")
                        .join(program),
                )
            })
            .filter(|helper| helper.exists());
        find(self.root, self.path, &more, program)
            .or(helpers)
            .ok_or(ScopeError::NoProgram { program })
    }

    /// The directory of the user's systemd and its sockets.
    ///
    /// # Errors
    /// When it isn't there.
    pub fn runtime_directory(&self) -> Result<PathBuf, ScopeError> {
        let path = self
            .runtime_dir
            .filter(|path| path.is_absolute())
            .map_or_else(
                || PathBuf::from(format!("/run/user/{}", self.uid)),
                Path::to_owned,
            );
        if below(self.root, &path).is_dir() {
            Ok(path)
        } else {
            Err(ScopeError::NoRuntimeDir {
                path,
                user: self.user.to_owned(),
            })
        }
    }
}
