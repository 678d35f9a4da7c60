//! Programs that hold a port for a container, and the container that each serves.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::{Container, Resolver};
use crate::cgroup::{self, Engine, Place};
use crate::command::below;
use crate::file;
use crate::holders;

/// The largest `/proc/net/unix` that is read, in bytes.
const MAX_SOCKETS: u64 = 64 * 1024 * 1024;
/// The largest `config.json` of a container that is read, in bytes.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;

/// Programs that hold a port for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forwarder {
    /// podman's monitor: it keeps the ports of rootful containers.
    Conmon,
    /// podman's forwarder for rootless containers on a bridge.
    RootlessPort,
    /// passt's forwarder for rootless containers with a network of their own.
    Pasta,
    /// Its predecessor.
    Slirp,
    /// docker's.
    DockerProxy,
}

impl Forwarder {
    pub(super) fn of(name: &str) -> Option<Self> {
        // nixpkgs' wrappers are called `.pasta-wrapped`, cut at 15 characters.
        let name = name.trim_start_matches('.');
        [
            ("conmon", Self::Conmon),
            ("rootlessport", Self::RootlessPort),
            ("pasta", Self::Pasta),
            ("passt", Self::Pasta),
            ("slirp4netns", Self::Slirp),
            ("docker-proxy", Self::DockerProxy),
        ]
        .into_iter()
        .find(|(prefix, _)| {
            name.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-']))
        })
        .map(|(_, forwarder)| forwarder)
    }
}

/// One running conmon and the container that it keeps.
#[derive(Debug)]
pub(super) struct Monitor {
    /// The user id that it runs as.
    pub(super) uid: Option<u32>,
    pub(super) id: String,
    pub(super) name: Option<String>,
    /// The container's directory with its `config.json`.
    pub(super) bundle: Option<PathBuf>,
    pub(super) place: Place,
}

impl Resolver<'_> {
    /// The container that a forwarder serves.
    pub(super) fn served(
        &mut self,
        pid: u32,
        forwarder: Forwarder,
        place: &Place,
        local: SocketAddr,
    ) -> Option<Container> {
        let arguments = self.arguments(pid);
        let uid = self.uid(pid);
        let by_itself = match forwarder {
            Forwarder::Conmon => {
                return match monitor(&arguments) {
                    Some((id, name, _)) => {
                        Some(self.named(Engine::Podman, id, name, uid, "conmon's arguments"))
                    }
                    None => self.container_of(place),
                };
            }
            Forwarder::DockerProxy => {
                let at = argument(&arguments, &["-container-ip"])?;
                return Some(Container {
                    engine: Engine::Docker,
                    id: None,
                    name: None,
                    known_by: format!(
                        "docker-proxy's arguments: it forwards {local} to {}",
                        crate::text::field(at)
                    ),
                });
            }
            Forwarder::RootlessPort => self
                .control_socket(pid)
                .map(|id| (id, None, "rootlessport's control socket")),
            Forwarder::Pasta | Forwarder::Slirp => self.by_namespace(&arguments, uid),
        };
        let by_unit = || {
            let mut mates = self
                .monitors()
                .iter()
                .filter(|monitor| monitor.uid == uid)
                .filter(|monitor| place.unit.is_some() && monitor.place.unit == place.unit);
            // With more than one the unit doesn't tell.
            match (mates.next(), mates.next()) {
                (Some(monitor), None) => Some((
                    monitor.id.clone(),
                    monitor.name.clone(),
                    "conmon in the same unit",
                )),
                _ => None,
            }
        };
        let (id, name, known_by) = by_itself.or_else(by_unit)?;
        Some(self.named(Engine::Podman, id, name, uid, known_by))
    }

    /// rootlessport listens for its container's networks at `…/rp/<container id>`; podman
    /// from 5.8 on names that folder by a descriptor (`/proc/self/fd/12`).
    pub(super) fn control_socket(&self, pid: u32) -> Option<String> {
        let paths = self.unix_paths.get_or_init(|| {
            let table = below(self.root, Path::new("/proc/net/unix"));
            let text = file::read(&table, MAX_SOCKETS).unwrap_or_default();
            String::from_utf8_lossy(&text)
                .lines()
                .skip(1)
                .filter_map(|line| {
                    // Num RefCount Protocol Flags Type St Inode Path
                    let mut fields = line.split_ascii_whitespace().skip(6);
                    let inode = fields.next()?.parse().ok()?;
                    Some((inode, fields.next()?.to_owned()))
                })
                .collect()
        });
        holders::sockets(self.root, pid).iter().find_map(|inode| {
            let (directory, id) = paths.get(inode)?.rsplit_once('/')?;
            let its = directory.ends_with("/rp") || directory.starts_with("/proc/self/fd/");
            (its && cgroup::is_id(id)).then(|| id.to_owned())
        })
    }

    /// pasta and slirp4netns are told the network namespace that they serve, and
    /// the container's `config.json` names the same.
    pub(super) fn by_namespace(
        &self,
        arguments: &[String],
        uid: Option<u32>,
    ) -> Option<(String, Option<String>, &'static str)> {
        let namespace = argument(arguments, &["--netns"])
            .or_else(|| {
                arguments
                    .iter()
                    .map(String::as_str)
                    .find(|argument| argument.contains("/netns/"))
            })
            .filter(|path| path.starts_with('/'))?;
        // Those of the same account alone: what the others' say is not theirs to say.
        let mut mates = self.monitors().iter().filter(|monitor| monitor.uid == uid);
        let monitor = mates.find(|monitor| {
            monitor
                .bundle
                .as_deref()
                .zip(monitor.uid)
                .and_then(|(bundle, uid)| {
                    let config = self.foreign(&bundle.join("config.json"), uid, MAX_CONFIG)?;
                    serde_json::from_slice::<serde_json::Value>(&config).ok()
                })
                .is_some_and(|config| {
                    config
                        .pointer("/linux/namespaces")
                        .and_then(serde_json::Value::as_array)
                        .into_iter()
                        .flatten()
                        .any(|entry| {
                            entry.get("type").and_then(|kind| kind.as_str()) == Some("network")
                                && entry.get("path").and_then(|path| path.as_str())
                                    == Some(namespace)
                        })
                })
        })?;
        Some((
            monitor.id.clone(),
            monitor.name.clone(),
            "the network namespace that the forwarder was told",
        ))
    }

    pub(super) fn monitors(&self) -> &[Monitor] {
        self.monitors.get_or_init(|| {
            self.holders
                .all
                .iter()
                .filter(|&&pid| {
                    self.name(pid)
                        .is_some_and(|name| Forwarder::of(&name) == Some(Forwarder::Conmon))
                })
                .filter_map(|&pid| {
                    let (id, name, bundle) = monitor(&self.arguments(pid))?;
                    Some(Monitor {
                        uid: self.uid(pid),
                        id,
                        name,
                        bundle,
                        place: self.place(pid),
                    })
                })
                .collect()
        })
    }
}

/// What follows an option, as the next argument or after `=`.
pub(super) fn argument<'a>(arguments: &'a [String], options: &[&str]) -> Option<&'a str> {
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        for option in options {
            if argument == option {
                return left.next().map(String::as_str);
            }
            if let Some(value) = argument
                .strip_prefix(option)
                .and_then(|rest| rest.strip_prefix('='))
            {
                return Some(value);
            }
        }
    }
    None
}

/// Id, name and bundle from conmon's command line (conmon(8)): `-c`, `-n`, `-b`.
pub(super) fn monitor(arguments: &[String]) -> Option<(String, Option<String>, Option<PathBuf>)> {
    // What follows are podman's own arguments, to be run at the end.
    let end = arguments
        .iter()
        .position(|argument| argument.starts_with("--exit-command"))
        .unwrap_or(arguments.len());
    let own = arguments.get(..end)?;
    // The last of the exit command's arguments is the id as well.
    let id = argument(own, &["-c", "--cid"])
        .or_else(|| {
            arguments
                .iter()
                .rev()
                .map(String::as_str)
                .find(|a| !a.is_empty())
        })
        .filter(|id| cgroup::is_id(id))?;
    Some((
        id.to_owned(),
        argument(own, &["-n", "--name"])
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
        argument(own, &["-b", "--bundle"]).map(PathBuf::from),
    ))
}
