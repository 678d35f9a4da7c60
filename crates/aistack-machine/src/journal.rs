//! The journal, as far as somebody waits for a line in it.
//!
//! Places in it are cursors (journalctl(1), `--show-cursor`), not times of day: a
//! clock that is set meanwhile changes nothing.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Scope;
use crate::command::{self, Bounds, CommandError, Finished, find};

/// What `--show-cursor` puts before the cursor, on the last line.
const CURSOR: &str = "-- cursor: ";

/// journalctl.
#[derive(Clone, Debug)]
pub struct Journal {
    program: PathBuf,
    scope: Scope,
}

/// A place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Option<String>);

impl Journal {
    /// Finds the program in `path` (the value of `PATH`), then in the usual places.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(scope: Scope, path: Option<&OsStr>) -> Result<Self, CommandError> {
        let program =
            find(Path::new("/"), path, &[], "journalctl").ok_or(CommandError::NotFound {
                program: "journalctl",
            })?;
        Ok(Self { program, scope })
    }

    fn ask(&self, arguments: &[&str], bounds: &Bounds) -> Result<Finished, CommandError> {
        let mut command = Command::new(&self.program);
        command
            .env("LC_ALL", "C")
            .args(["--no-pager", "--quiet", "--output=cat"])
            .args(arguments);
        let done = command::run_bounded(command, None, bounds)?;
        if done.status.success() {
            Ok(done)
        } else {
            Err(done.into_error())
        }
    }

    /// The end of the journal as it is now; of an empty one its beginning.
    ///
    /// # Errors
    /// When journalctl can't be run, or this user may not read the journal.
    pub fn end(&self, bounds: &Bounds) -> Result<Cursor, CommandError> {
        let done = self.ask(&["--lines=1", "--show-cursor"], bounds)?;
        let text = String::from_utf8_lossy(&done.stdout);
        let cursor = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix(CURSOR))
            .map(str::to_owned);
        Ok(Cursor(cursor))
    }

    /// Which of the byte strings stand in a message of this boot that this user may read.
    ///
    /// # Errors
    /// When journalctl can't be run, or this user may not read the journal.
    pub fn search(&self, strings: &[Vec<u8>], bounds: &Bounds) -> Result<Vec<bool>, CommandError> {
        let mut command = Command::new(&self.program);
        command
            .env("LC_ALL", "C")
            .args(["--no-pager", "--quiet", "--output=cat", "--boot"]);
        command::search(command, strings, bounds)
    }

    /// What a unit, and systemd of it, said after a place; none: everybody. This boot's
    /// alone.
    ///
    /// # Errors
    /// When journalctl can't be run, or this user may not read the journal.
    pub fn after(
        &self,
        cursor: &Cursor,
        unit: Option<&str>,
        bounds: &Bounds,
    ) -> Result<String, CommandError> {
        let unit = unit.map(|unit| match self.scope {
            Scope::System => format!("--unit={unit}"),
            Scope::User => format!("--user-unit={unit}"),
        });
        let after = cursor
            .0
            .as_ref()
            .map(|cursor| format!("--after-cursor={cursor}"));
        let mut arguments = vec!["--boot"];
        arguments.extend(unit.as_deref());
        arguments.extend(after.as_deref());
        let done = self.ask(&arguments, bounds)?;
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }
}
