//! Finding programs and running them within a bounded time.

mod run;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::trusted;
use run::MOST_OUTPUT;

pub use run::{run, run_bounded, run_shown, run_watched, search};

/// Where programs are when `PATH` doesn't say so: units and activation scripts
/// run with a short `PATH`. NixOS's set-uid wrappers first, since only they can
/// map ranges of user ids.
pub const USUAL_DIRECTORIES: [&str; 6] = [
    "/run/wrappers/bin",
    "/run/current-system/sw/bin",
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/sbin",
];

/// The longest command line in a message, in characters.
const LONGEST_LINE: usize = 120;

/// Why a program gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is in none of the directories.
    #[error(
        "{program} was not found in PATH nor in {}: install it or add its directory to PATH",
        USUAL_DIRECTORIES.join(", ")
    )]
    NotFound {
        /// Name of the program.
        program: &'static str,
    },
    /// It could not be started.
    #[error("{} could not be started: {cause}", program.display())]
    Start {
        /// Path of the program.
        program: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It ran for too long and was killed.
    #[error("`{command}` gave no answer within {} s and was stopped", limit.as_secs())]
    TimedOut {
        /// The command line.
        command: String,
        /// The limit.
        limit: Duration,
    },
    /// It wrote more than any answer has, and was stopped.
    #[error("`{command}` wrote more than {} MiB and was stopped", MOST_OUTPUT / 1024 / 1024)]
    TooMuch {
        /// The command line.
        command: String,
    },
    /// It did nothing for too long and was stopped.
    #[error("`{command}` neither read nor wrote anything for {} s and was stopped", silence.as_secs_f64())]
    Silent {
        /// The command line.
        command: String,
        /// How long it did nothing.
        silence: Duration,
    },
    /// It was stopped because this program was asked to end.
    #[error("`{command}` was stopped before its end")]
    Interrupted {
        /// The command line.
        command: String,
    },
    /// It ended with an error.
    #[error("`{command}` failed ({status}): {}", said(stderr))]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote to its standard error.
        stderr: String,
    },
    /// It ended well, but what it wrote is something else.
    #[error("`{command}` did not answer {wanted}: is another program in its place?")]
    Unexpected {
        /// The command line.
        command: String,
        /// What was wanted, in words.
        wanted: &'static str,
    },
}

/// How long a program may run, and who can stop it earlier.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The longest time that it may take.
    pub limit: Duration,
    /// It is killed, and what it started with it, as soon as this is not 0.
    pub stop: Arc<AtomicUsize>,
}

fn said(stderr: &str) -> &str {
    if stderr.is_empty() {
        "it said nothing"
    } else {
        stderr
    }
}

/// What a program wrote and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The command line, for messages.
    pub command: String,
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, on one line.
    pub stderr: String,
}

impl Finished {
    /// The error that says how this ended.
    #[must_use]
    pub fn into_error(self) -> CommandError {
        CommandError::Failed {
            command: self.command,
            status: self.status,
            stderr: self.stderr,
        }
    }
}

/// Where a program is: in `path` (the value of `PATH`) first, then in `more`
/// and the [`USUAL_DIRECTORIES`], all below `root`.
#[must_use]
pub fn find(root: &Path, path: Option<&OsStr>, more: &[PathBuf], program: &str) -> Option<PathBuf> {
    let listed = path.map(std::env::split_paths).into_iter().flatten();
    listed
        .filter(|directory| directory.is_absolute())
        .chain(more.iter().cloned())
        .chain(USUAL_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| below(root, &directory))
        // root runs no program that another account can replace (`sudo -E` keeps its PATH).
        .filter(|directory| trusted::check(directory).is_ok())
        .map(|directory| directory.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

/// `path` as it lies below `root`.
#[must_use]
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// `PATH`.
#[must_use]
pub fn search_path() -> Option<OsString> {
    std::env::var_os("PATH")
}

/// `PATH` with the usual directories after what it has, for programs that look
/// for helpers of their own (podman for newuidmap).
#[must_use]
pub fn extended_path(path: Option<&OsStr>) -> OsString {
    let mut directories: Vec<PathBuf> = path
        .map(std::env::split_paths)
        .into_iter()
        .flatten()
        .filter(|directory| !directory.is_absolute() || trusted::check(directory).is_ok())
        .collect();
    for usual in USUAL_DIRECTORIES.iter().map(PathBuf::from) {
        if !directories.contains(&usual) {
            directories.push(usual);
        }
    }
    std::env::join_paths(directories)
        .unwrap_or_else(|_| path.map(OsStr::to_owned).unwrap_or_default())
}

/// The command line as a person would type it, for messages.
#[must_use]
pub fn line(command: &Command) -> String {
    let name = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words: Vec<_> = std::iter::once(name)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect();
    let line = words.join(" ");
    if line.chars().count() <= LONGEST_LINE {
        return line;
    }
    line.chars().take(LONGEST_LINE).chain(['…']).collect()
}
