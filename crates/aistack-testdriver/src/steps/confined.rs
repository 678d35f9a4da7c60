//! `confined`: whether the kernel has a container under the user, the capabilities and the
//! root file system that its quadlet declares.
//!
//! Read from `/proc/PID/{status,mountinfo,uid_map}` (proc(5)): not from podman, which
//! would say what it was asked for.

use std::path::Path;

use aistack_machine::command::{Bounds, below};
use aistack_machine::{file, users};
use aistack_schema::Scope;
use procfs_core::FromRead;
use procfs_core::process::{MountInfos, Status};
use rustix::thread::CapabilitySet;
use serde::Deserialize;

use super::Action;
use crate::fields::Services;
use crate::machine::{MAX_BYTES, Machine, StepResult, failed, none_of};
use crate::plan::{NamedService, Planned, PlannedParts, Planner};

/// The services whose containers are compared.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Confined(Services);

impl Action for Confined {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        planner.each(self.0.service.as_ref(), |service| {
            let name = format!("{} is confined as declared", service.name);
            Planned::new(name, move |machine, bounds| {
                compare(machine, &service, bounds)
            })
        })
    }

    fn changes(&self) -> bool {
        false
    }
}

fn compare(machine: &Machine, service: &NamedService, bounds: &Bounds) -> StepResult {
    let (unit, name) = (&service.unit, &service.container);
    let quadlet = machine
        .systemctl(bounds)?
        .source(unit)
        .map_err(failed)?
        .ok_or_else(|| failed(format!("systemd knows no file that {unit} is made from")))?;
    let text = file::text(&below(&machine.root, &quadlet), MAX_BYTES as u64)
        .map_err(|error| failed(format!("{} cannot be read: {error}", quadlet.display())))?;
    let pid = machine
        .containers(bounds)?
        .get(name)
        .and_then(|container| container.pid)
        .ok_or_else(|| failed(format!("{name} has no process")))?;
    let ours = match machine.scope {
        Scope::System => None,
        Scope::User => {
            let uid = users::effective_uid();
            let name = users::name_of(&machine.root, uid);
            Some(ids_of(&machine.root, uid, name.as_deref()))
        }
    };
    let declared = Declared::parse(&text);
    let wrong = differences(&machine.root, pid, &declared, ours.as_deref()).map_err(failed)?;
    none_of(&wrong)
}

/// The largest of the small files that is read, in bytes.
const MAX_TEXT: u64 = 16 * 1024 * 1024;

/// What a quadlet declares of rights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Declared {
    /// Capabilities that are added to none, by their names without `CAP_`.
    capabilities: Vec<String>,
    /// User id inside the container; none: the image's.
    user: Option<u32>,
    /// Whether the root file system may only be read.
    read_only: bool,
}

impl Declared {
    /// Reads the `[Container]` section of a quadlet (podman-systemd.unit(5)).
    fn parse(quadlet: &str) -> Self {
        let mut declared = Self::default();
        let mut section = "";
        for line in quadlet.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| section == "[Container]")
            else {
                continue;
            };
            match key.trim() {
                "AddCapability" => declared
                    .capabilities
                    .extend(value.split_whitespace().map(str::to_owned)),
                "User" => declared.user = value.split(':').next().and_then(|id| id.parse().ok()),
                "ReadOnly" => declared.read_only = value.trim() == "true",
                _ => {}
            }
        }
        declared
    }
}

/// A range of ids: first inside, first outside, how many.
type Range = (u32, u32, u32);

/// What is otherwise than declared; empty: nothing.
///
/// `ours`: where the stack is a user's, the id ranges that belong to them (first, count).
///
/// # Errors
/// When `/proc` can't be read: what was tried, and why.
fn differences(
    root: &Path,
    pid: u32,
    declared: &Declared,
    ours: Option<&[(u32, u32)]>,
) -> Result<Vec<String>, String> {
    let process = root.join("proc").join(pid.to_string());
    let at = |name: &str| process.join(name).display().to_string();
    let status = Status::from_file(process.join("status"))
        .map_err(|error| format!("{}: {error}", at("status")))?;
    let mounts = MountInfos::from_file(process.join("mountinfo"))
        .map_err(|error| format!("{}: {error}", at("mountinfo")))?;
    let map = file::text(&process.join("uid_map"), MAX_TEXT)
        .map_err(|error| format!("{}: {error}", at("uid_map")))?;
    let map: Vec<Range> = map.lines().filter_map(range).collect();

    let mut wrong = Vec::new();
    let mut wanted = CapabilitySet::empty();
    for name in &declared.capabilities {
        match CapabilitySet::from_name(name.trim_start_matches("CAP_")) {
            Some(capability) => wanted |= capability,
            None => wrong.push(format!("it declares {name}, which no capability is called")),
        }
    }
    let has = CapabilitySet::from_bits_retain(status.capbnd.unwrap_or(u64::MAX));
    if has != wanted {
        let names = |set: CapabilitySet| {
            let names: Vec<&str> = set.iter_names().map(|(name, _)| name).collect();
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        wrong.push(format!(
            "its capabilities can be {}, declared are {}",
            names(has),
            names(wanted)
        ));
    }
    if status.nonewprivs != Some(1) {
        wrong.push("it may gain rights".to_owned());
    }
    let inside = map
        .iter()
        .find(|(_, outside, count)| {
            (*outside..outside.saturating_add(*count)).contains(&status.ruid)
        })
        .map(|(inside, outside, _)| inside + (status.ruid - outside));
    if let Some(user) = declared.user
        && inside != Some(user)
    {
        let seen = inside.map_or_else(
            || "an id without a name there".to_owned(),
            |id| id.to_string(),
        );
        wrong.push(format!("it runs as user {seen}, declared is {user}"));
    }
    if let Some(ours) = ours {
        let theirs = |(_, outside, count): &Range| {
            ours.iter().any(|(first, many)| {
                outside >= first && outside.saturating_add(*count) <= first.saturating_add(*many)
            })
        };
        if let Some((_, outside, count)) = map.iter().find(|range| !theirs(range)) {
            wrong.push(format!(
                "its processes can have the ids {outside} to {}, which are not this user's",
                outside.saturating_add(*count) - 1
            ));
        }
    }
    // The last mount at a place is the one that is seen.
    let seen = mounts
        .0
        .iter()
        .rev()
        .find(|mount| mount.mount_point == Path::new("/"));
    let read_only = seen.is_some_and(|mount| mount.mount_options.contains_key("ro"));
    if read_only != declared.read_only {
        let word = |read_only| if read_only { "read-only" } else { "writable" };
        wrong.push(format!(
            "its root is {}, declared {}",
            word(read_only),
            word(declared.read_only)
        ));
    }
    Ok(wrong)
}

fn range(line: &str) -> Option<Range> {
    let mut words = line.split_whitespace().map(str::parse);
    match (words.next()?, words.next()?, words.next()?) {
        (Ok(inside), Ok(outside), Ok(count)) => Some((inside, outside, count)),
        _ => None,
    }
}

/// The ids that belong to a user: their own, and what `/etc/subuid` gives them (subuid(5)).
fn ids_of(root: &Path, uid: u32, user: Option<&str>) -> Vec<(u32, u32)> {
    let text = file::text(&root.join("etc/subuid"), MAX_TEXT).unwrap_or_default();
    let number = uid.to_string();
    let given = text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (Some(name) == user || name == number)
            .then(|| Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?)))?
    });
    std::iter::once((uid, 1)).chain(given).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    const STATUS: &str = "Name:\tx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nNgid:\t0\n\
Pid:\t7\nPPid:\t1\nTracerPid:\t0\nUid:\t100998\t100998\t100998\t100998\nGid:\t0\t0\t0\t0\n\
FDSize:\t64\nGroups:\t\nNStgid:\t7\nNSpid:\t7\nNSpgid:\t7\nNSsid:\t7\nThreads:\t1\nSigQ:\t0/1\n\
SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\nSigBlk:\t0000000000000000\n\
SigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\nCapInh:\t0000000000000000\n\
CapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000400\n\
CapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    const MOUNTS: &str = "20 1 0:1 / / rw,relatime - overlay overlay rw\n\
30 20 0:2 / / ro,relatime - overlay overlay rw\n31 30 0:3 / /proc rw - proc proc rw\n";
    const MAP: &str = "         0       1000          1\n         1     100000      65536\n";

    fn machine(status: &str, mounts: &str, map: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let process = root.path().join("proc/7");
        fs::create_dir_all(&process).unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(process.join("status"), status).unwrap();
        fs::write(process.join("mountinfo"), mounts).unwrap();
        fs::write(process.join("uid_map"), map).unwrap();
        fs::write(root.path().join("etc/subuid"), "bob:1:5\nai:100000:65536\n").unwrap();
        root
    }

    const QUADLET: &str = "[Unit]\nUser=1\n[Container]\nAddCapability=NET_BIND_SERVICE\n\
DropCapability=all\nReadOnly=true\nUser=999:999\n[Service]\nReadOnly=false\n";

    #[test]
    fn a_process_that_is_as_declared() {
        let root = machine(STATUS, MOUNTS, MAP);
        let declared = Declared::parse(QUADLET);
        let ours = ids_of(root.path(), 1000, Some("ai"));
        assert_eq!(ours, [(1000, 1), (100_000, 65536)]);
        assert_eq!(
            differences(root.path(), 7, &declared, Some(&ours)).unwrap(),
            [""; 0]
        );
    }

    #[test]
    fn each_difference_is_said() {
        let ours = [(1000, 1), (100_000, 65536)];
        for (status, mounts, map, words) in [
            (
                STATUS.replace("CapBnd:\t0000000000000400", "CapBnd:\t0000000000200400"),
                MOUNTS,
                MAP,
                "its capabilities can be NET_BIND_SERVICE, SYS_ADMIN, declared are NET_BIND_SERVICE",
            ),
            (
                STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
                MOUNTS,
                MAP,
                "it may gain rights",
            ),
            (
                STATUS.replace("Uid:\t100998", "Uid:\t1000"),
                MOUNTS,
                MAP,
                "it runs as user 0, declared is 999",
            ),
            (
                STATUS.to_owned(),
                "20 1 0:1 / / rw,relatime - overlay overlay ro\n",
                MAP,
                "its root is writable, declared read-only",
            ),
            (
                STATUS.to_owned(),
                MOUNTS,
                "0 0 1\n1 100000 65536\n",
                "its processes can have the ids 0 to 0, which are not this user's",
            ),
        ] {
            let root = machine(&status, mounts, map);
            let seen = differences(root.path(), 7, &Declared::parse(QUADLET), Some(&ours)).unwrap();
            assert_eq!(seen, [words]);
        }
    }
}
