//! Where the values of secrets show: in what podman and systemd tell whoever asks, in the
//! journal, and in the command lines of processes.
//!
//! The environment of a process is not looked at: that is where a container is meant to
//! have its value, and only its own user can read it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aistack_machine::command::{Bounds, CommandError};
use aistack_machine::file;
use aistack_machine::journal::Journal;
use aistack_machine::podman::Podman;
use aistack_machine::systemd::Systemctl;
use memchr::memmem;

/// How long one process's command line is waited for.
const LIMIT: Duration = Duration::from_secs(1);
/// The longest command line that is read, in bytes: more than the kernel takes (execve(2)).
const MAX_LINE: u64 = 8 * 1024 * 1024;

/// Of each value, the places that show it.
///
/// # Errors
/// When one of the places can't be looked at.
pub fn places(
    root: &Path,
    (podman, containers): (&Podman, &[&str]),
    systemctl: &Systemctl,
    journal: &Journal,
    values: &[Vec<u8>],
    bounds: &Bounds,
) -> Result<Vec<Vec<&'static str>>, CommandError> {
    let seen = [
        ("podman inspect", podman.search(containers, values, bounds)?),
        ("systemctl show", systemctl.search(values, bounds)?),
        ("the journal", journal.search(values, bounds)?),
        ("the list of processes", in_processes(root, values)),
    ];
    let of = |at: usize| {
        let there = seen
            .iter()
            .filter(|(_, found)| found.get(at) == Some(&true));
        there.map(|(place, _)| *place).collect()
    };
    Ok((0..values.len()).map(of).collect())
}

/// Which of the values are in a command line, as far as this user sees them.
fn in_processes(root: &Path, values: &[Vec<u8>]) -> Vec<bool> {
    let mut found = vec![false; values.len()];
    // A process may end meanwhile; what is gone shows nothing.
    for entry in fs::read_dir(root.join("proc"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path().join("cmdline");
        // The kernel reads it from the process's memory, which another account can keep
        // from answering.
        let line = file::within(LIMIT, move || file::read(&path, MAX_LINE))
            .and_then(Result::ok)
            .unwrap_or_default();
        for (value, found) in values.iter().zip(&mut found) {
            *found = *found || (!value.is_empty() && memmem::find(&line, value).is_some());
        }
    }
    found
}
