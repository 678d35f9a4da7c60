//! From a control group to the unit and the container in it.
//!
//! Formats: cgroups(7) for `/proc/PID/cgroup`; systemd's "Control Group APIs"
//! for which directory is which unit's; podman names the groups of containers
//! `libpod-<id>.scope`, `libpod-payload-<id>` or `libpod-conmon-<id>.scope`,
//! docker `docker-<id>.scope` or `docker/<id>`.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::command::below;
use crate::file;

/// Whose systemd runs a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Manager {
    /// The machine's.
    System,
    /// That of the user with this id.
    User(u32),
}

/// Which engine made a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// podman.
    Podman,
    /// docker.
    Docker,
}

impl Engine {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Podman => "podman",
            Self::Docker => "docker",
        }
    }
}

/// What a control group's path says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The unit and whose it is.
    pub unit: Option<(Manager, String)>,
    /// The container's id.
    pub container: Option<(Engine, String)>,
}

/// The path of a process's group, from the text of `/proc/PID/cgroup`.
///
/// systemd's own hierarchy where there are several and it is in use, else the unified one.
#[must_use]
pub fn path(text: &str) -> Option<&str> {
    let (mut unified, mut systemd) = (None, None);
    for line in text.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if controllers == "name=systemd" {
            systemd = Some(path);
        }
        if number == "0" {
            unified = Some(path);
        }
    }
    systemd.filter(|path| *path != "/").or(unified).or(systemd)
}

/// Reads unit and container out of a group's path.
#[must_use]
pub fn place(path: &str) -> Place {
    Place {
        unit: unit(path),
        container: container(path),
    }
}

/// systemd's rule: slices are passed over, the next component is the unit; below
/// `user@UID.service` the same again, for the user's manager.
fn unit(path: &str) -> Option<(Manager, String)> {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let system = parts.by_ref().find(|part| !is_slice(part)).map(unescape)?;
    if !is_unit(system) {
        return None;
    }
    let user = system
        .strip_prefix("user@")
        .and_then(|rest| rest.strip_suffix(".service"))
        .and_then(|uid| uid.parse().ok());
    let Some(uid) = user else {
        return Some((Manager::System, system.to_owned()));
    };
    match parts.find(|part| !is_slice(part)).map(unescape) {
        Some(unit) if is_unit(unit) => Some((Manager::User(uid), unit.to_owned())),
        _ => Some((Manager::System, system.to_owned())),
    }
}

/// Names that the kernel would take for its own files begin with `_`.
fn unescape(part: &str) -> &str {
    part.strip_prefix('_').unwrap_or(part)
}

fn is_slice(part: &str) -> bool {
    part.strip_suffix(".slice").is_some()
}

fn is_unit(part: &str) -> bool {
    [
        ".service", ".scope", ".socket", ".mount", ".swap", ".timer", ".path",
    ]
    .iter()
    .any(|suffix| part.len() > suffix.len() && part.ends_with(suffix))
}

fn container(path: &str) -> Option<(Engine, String)> {
    let mut previous = "";
    let mut found = None;
    for part in path.split('/') {
        let bare = part.strip_suffix(".scope").unwrap_or(part);
        let named = bare
            .rsplit_once('-')
            .filter(|(_, id)| is_id(id))
            .and_then(|(prefix, id)| match prefix {
                "libpod" | "libpod-payload" | "libpod-conmon" => Some((Engine::Podman, id)),
                "docker" => Some((Engine::Docker, id)),
                _ => None,
            })
            .or_else(|| (is_id(bare) && previous == "docker").then_some((Engine::Docker, bare)));
        // The innermost: a container may run others.
        if let Some((engine, id)) = named {
            found = Some((engine, id.to_owned()));
        }
        previous = part;
    }
    found
}

/// Whether it is a container's full id.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What a unit's control group says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitState {
    /// It has a container, or processes and no container's unit name.
    Running,
    /// It has processes, and no container yet.
    Starting,
    /// It has none.
    Stopped,
    /// The control groups can't be read.
    Unknown,
}

/// The hierarchy that systemd keeps its units in.
fn hierarchy(root: &Path) -> Option<PathBuf> {
    let base = below(root, Path::new("/sys/fs/cgroup"));
    if base.join("cgroup.controllers").exists() {
        return Some(base);
    }
    ["systemd", "unified"]
        .map(|name| base.join(name))
        .into_iter()
        .find(|path| path.is_dir())
}

/// The largest file of a control group that is read, in bytes: a million processes.
const MAX_LIST: u64 = 16 * 1024 * 1024;

/// How deep slices may lie in slices; real ones have two or three levels.
const DEPTH: usize = 6;

/// What the machine's control groups say of units, without asking systemd.
#[derive(Debug)]
pub struct Units {
    hierarchy: Option<PathBuf>,
}

impl Units {
    /// Those below `root`.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self {
            hierarchy: hierarchy(root),
        }
    }

    /// The state of a unit.
    #[must_use]
    pub fn state(&self, manager: Manager, unit: &str) -> UnitState {
        let Some(hierarchy) = &self.hierarchy else {
            return UnitState::Unknown;
        };
        let top = match manager {
            Manager::System => hierarchy.clone(),
            Manager::User(uid) => {
                hierarchy.join(format!("user.slice/user-{uid}.slice/user@{uid}.service"))
            }
        };
        match find(&top, unit, DEPTH) {
            Some(group) if !has_processes(&group, DEPTH) => UnitState::Stopped,
            Some(group) if has_container(&group) => UnitState::Running,
            Some(_) => UnitState::Starting,
            None => UnitState::Stopped,
        }
    }
}

fn directories(path: &Path) -> impl Iterator<Item = (String, PathBuf)> {
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
}

fn find(top: &Path, unit: &str, depth: usize) -> Option<PathBuf> {
    let direct = top.join(unit);
    if direct.is_dir() {
        return Some(direct);
    }
    if depth == 0 {
        return None;
    }
    directories(top)
        .filter(|(name, _)| is_slice(name))
        .find_map(|(_, path)| find(&path, unit, depth - 1))
}

fn has_processes(group: &Path, depth: usize) -> bool {
    let lines = |name: &str| file::text(&group.join(name), MAX_LIST).unwrap_or_default();
    if let Some(populated) = lines("cgroup.events")
        .lines()
        .find_map(|line| line.strip_prefix("populated "))
    {
        return populated.trim() != "0";
    }
    !lines("cgroup.procs").trim().is_empty()
        || (depth > 0 && directories(group).any(|(_, path)| has_processes(&path, depth - 1)))
}

fn has_container(group: &Path) -> bool {
    directories(group).any(|(name, path)| {
        (container(&name).is_some() && has_processes(&path, DEPTH)) || has_container(&path)
    })
}

/// Paths of control groups by the inodes of their directories, which is how the
/// kernel numbers them on the unified hierarchy.
#[must_use]
pub fn by_inode(root: &Path) -> HashMap<u64, String> {
    let base = below(root, Path::new("/sys/fs/cgroup"));
    let unified = if base.join("cgroup.controllers").exists() {
        base
    } else {
        base.join("unified")
    };
    let mut found = HashMap::new();
    let mut left = vec![(unified.clone(), String::new())];
    while let Some((directory, path)) = left.pop() {
        // Bounded: a machine has hundreds, a broken one may loop.
        if found.len() > 100_000 {
            break;
        }
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let path = format!("{path}/{}", entry.file_name().to_string_lossy());
                found.insert(entry.ino(), path.clone());
                left.push((entry.path(), path));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "5a1f8a8d7c7c0f3b1f2e3d4c5b6a79880123456789abcdef0123456789abcdef";

    #[test]
    fn units_as_systemd_counts_them() {
        let system = |unit: &str| Some((Manager::System, unit.to_owned()));
        let user = |unit: &str| Some((Manager::User(1000), unit.to_owned()));
        for (path, expected) in [
            ("/", None),
            ("/system.slice/nginx.service", system("nginx.service")),
            (
                "/system.slice/system-getty.slice/getty@tty1.service",
                system("getty@tty1.service"),
            ),
            ("/init.scope", system("init.scope")),
            (
                "/user.slice/user-1000.slice/session-3.scope",
                system("session-3.scope"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/local-ai-a.service/supervisor",
                user("local-ai-a.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/init.scope",
                user("init.scope"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service",
                system("user@1000.service"),
            ),
            ("/system.slice/_cpu.service", system("cpu.service")),
            ("/libpod_parent/conmon", None),
            ("", None),
        ] {
            assert_eq!(place(path).unit, expected, "{path}");
        }
    }

    #[test]
    fn containers() {
        for path in [
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/system.slice/local-ai-a.service/libpod-payload-{ID}"),
            format!("/machine.slice/libpod-conmon-{ID}.scope"),
            format!("/libpod_parent/libpod-{ID}"),
        ] {
            assert_eq!(
                place(&path).container,
                Some((Engine::Podman, ID.to_owned())),
                "{path}"
            );
        }
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
        ] {
            assert_eq!(
                place(&path).container,
                Some((Engine::Docker, ID.to_owned())),
                "{path}"
            );
        }
        assert_eq!(place("/machine.slice/libpod-abc.scope").container, None);
    }

    #[test]
    fn hierarchies() {
        assert_eq!(path("0::/a/b\n"), Some("/a/b"));
        assert_eq!(
            path("4:memory:/x\n1:name=systemd:/system.slice/a.service\n0::/\n"),
            Some("/system.slice/a.service")
        );
        assert_eq!(
            path("1:name=systemd:/\n0::/system.slice/a.service\n"),
            Some("/system.slice/a.service")
        );
        assert_eq!(path("1:name=systemd:/\n"), Some("/"));
        assert_eq!(path("garbage\n"), None);
    }
}
