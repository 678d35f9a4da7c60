//! A process and those that it started: what they do, and their end.
//!
//! Formats: `proc_pid_stat(5)`, `proc_pid_io(5)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal};

use crate::file;

/// What an idle program still reads and writes between two looks, in bytes: wake-ups of
/// its threads, answers that keep a connection open.
pub const NOTHING: u64 = 1024;

/// A clock tick of processor time, in bytes, where the bytes of a process are hidden.
const TICK: u64 = NOTHING;

/// How much the process and its descendants have read and written so far, in bytes. It is
/// for comparing: it falls when one of them ends.
pub fn activity(root: u32) -> u64 {
    let table = table();
    members(root, &table)
        .into_iter()
        .filter_map(|pid| bytes(pid).or_else(|| Some(table.get(&pid)?.ticks.saturating_mul(TICK))))
        .fold(0, u64::saturating_add)
}

/// Kills the descendants of a process that was started by this program; the process itself
/// is its parent's to kill.
pub fn kill(root: u32) {
    for pid in members(root, &table()) {
        if pid != root
            && let Ok(pid) = i32::try_from(pid)
            && let Some(pid) = Pid::from_raw(pid)
        {
            // Gone by itself is as good.
            rustix::process::kill_process(pid, Signal::KILL).ok();
        }
    }
}

/// A small file of a process; none: of another user, or gone.
fn proc_file(pid: u32, name: &str) -> Option<String> {
    file::text(Path::new(&format!("/proc/{pid}/{name}")), 64 * 1024).ok()
}

struct Process {
    parent: u32,
    ticks: u64,
}

/// Every process that can be seen, by its id.
fn table() -> BTreeMap<u32, Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = proc_file(pid, "stat")?;
            Some((pid, parse(&stat)?))
        })
        .collect()
}

/// The name in parentheses may hold anything, so the fields are counted from its end.
fn parse(stat: &str) -> Option<Process> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Process {
        parent: fields.get(1)?.parse().ok()?,
        ticks: number(11)?.saturating_add(number(12)?),
    })
}

fn members(root: u32, table: &BTreeMap<u32, Process>) -> BTreeSet<u32> {
    let mut members = BTreeSet::from([root]);
    loop {
        let more: Vec<u32> = table
            .iter()
            .filter(|(pid, process)| !members.contains(pid) && members.contains(&process.parent))
            .map(|(&pid, _)| pid)
            .collect();
        if more.is_empty() {
            return members;
        }
        members.extend(more);
    }
}

/// None: of another user, or gone.
fn bytes(pid: u32) -> Option<u64> {
    let text = proc_file(pid, "io")?;
    let value = |key: &str| -> Option<u64> {
        text.lines()
            .find_map(|line| line.strip_prefix(key))?
            .trim()
            .parse()
            .ok()
    };
    Some(value("rchar:")?.saturating_add(value("wchar:")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_no_field() {
        let stat = "42 (a) b) S 7 1 1 0 -1 4194560 1 0 0 0 30 4 0 0 20 0 1 0 9 1 1 1";
        let process = parse(stat).unwrap();
        assert_eq!((process.parent, process.ticks), (7, 34));
        assert!(parse("42 (a").is_none());
        assert!(parse("42 (a) S").is_none());
    }

    #[test]
    fn grandchildren_belong_to_the_family_and_strangers_do_not() {
        let process = |parent| Process { parent, ticks: 0 };
        let table = BTreeMap::from([
            (1, process(0)),
            (5, process(1)),
            (6, process(5)),
            (7, process(6)),
            (8, process(1)),
        ]);
        assert_eq!(members(5, &table), BTreeSet::from([5, 6, 7]));
    }
}
