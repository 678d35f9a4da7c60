//! Device nodes that the processes of a unit hold open (`proc_pid_fd(5)`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use crate::cgroup::{self, Manager};
use crate::{file, holders};

/// How many processes are looked at, and how many files of each: more than any
/// engine has.
const MAX_PROCESSES: usize = 65_536;
const MAX_FILES: usize = 65_536;

/// What the processes of a unit hold open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handles {
    /// How many processes it has.
    pub processes: usize,
    /// Of how many of them the open files can't be seen.
    pub hidden: usize,
    /// Nodes of GPUs, by path.
    pub nodes: BTreeSet<String>,
}

impl Handles {
    /// The nodes that a process has open which computes. `nvidiactl` and
    /// `nvidia0` alone belong to one that only asked how the card is.
    #[must_use]
    pub fn computing(&self) -> Vec<&str> {
        self.nodes
            .iter()
            .map(String::as_str)
            .filter(|node| {
                matches!(*node, "/dev/nvidia-uvm" | "/dev/kfd" | "/dev/dxg")
                    || node.starts_with("/dev/dri/renderD")
            })
            .collect()
    }
}

/// The handles of all units below `/proc`, in one walk.
#[derive(Clone, Debug, Default)]
pub struct Units(BTreeMap<(Manager, String), Handles>);

impl Units {
    /// Looks at every process below `root`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let mut units = Self::default();
        let Ok((_, processes)) = holders::processes(root) else {
            return units;
        };
        for pid in processes.into_iter().take(MAX_PROCESSES) {
            let process = root.join("proc").join(pid.to_string());
            // One that has ended meanwhile is none of the unit's.
            let Some(unit) = unit_of(&process) else {
                continue;
            };
            let handles = units.0.entry(unit).or_default();
            handles.processes += 1;
            if look(&process, handles).is_err() {
                handles.hidden += 1;
            }
        }
        units
    }

    /// What is known of a unit.
    #[must_use]
    pub fn of(&self, owner: Manager, unit: &str) -> Handles {
        self.0
            .get(&(owner, unit.to_owned()))
            .cloned()
            .unwrap_or_default()
    }
}

/// The unit of a process by its control group.
fn unit_of(process: &Path) -> Option<(Manager, String)> {
    let text = file::text(&process.join("cgroup"), 64 * 1024).ok()?;
    cgroup::place(cgroup::path(&text)?).unit
}

fn look(process: &Path, handles: &mut Handles) -> io::Result<()> {
    for entry in fs::read_dir(process.join("fd"))?.take(MAX_FILES) {
        // Files come and go.
        let Ok(target) = entry.and_then(|entry| fs::read_link(entry.path())) else {
            continue;
        };
        let Some(path) = target.to_str() else {
            continue;
        };
        if path == "/dev/kfd"
            || path == "/dev/dxg"
            || path.starts_with("/dev/nvidia")
            || path.starts_with("/dev/dri/")
        {
            handles.nodes.insert(path.to_owned());
        }
    }
    Ok(())
}
