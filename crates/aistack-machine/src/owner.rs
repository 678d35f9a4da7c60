//! Who a socket belongs to: process, user, unit, container.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::command::below;
use crate::file;
use crate::users::{self, User};
use rustix::io::Errno;
use serde::Serialize;

use crate::Protocol;
use crate::cgroup::{self, Engine, Manager, Place};
use crate::holders::{self, Holders};
use crate::sockets::{Socket, SocketsError};

/// How long the files and processes of other accounts are waited for, all together.
const PATIENCE: Duration = Duration::from_secs(6);
/// The largest `/proc/PID/cmdline` that is read, in bytes: more than the kernel takes
/// for a program's arguments (execve(2): 6 MiB).
const MAX_ARGUMENTS: u64 = 8 * 1024 * 1024;
/// The largest of `/proc`'s small files that is read, in bytes.
const MAX_STATUS: u64 = 64 * 1024;
/// The largest `/proc/net/unix` that is read, in bytes.
const MAX_SOCKETS: u64 = 64 * 1024 * 1024;
/// The largest `config.json` of a container that is read, in bytes.
const MAX_CONFIG: u64 = 4 * 1024 * 1024;
/// The largest `containers.json` that is read, in bytes; an entry has about 1 KiB.
const MAX_CONTAINERS: u64 = 16 * 1024 * 1024;

/// Why nothing could be said.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// The sockets can't be read.
    #[error("what listens can't be seen")]
    Sockets(#[from] SocketsError),
    /// The processes can't be listed.
    #[error("{} can't be listed: {cause}; is /proc mounted here?", .path.display())]
    Processes {
        /// The directory.
        path: std::path::PathBuf,
        /// What the system said.
        cause: Errno,
    },
}

/// Who holds a socket, as far as it could be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// User id that made the socket.
    pub uid: u32,
    /// The user's name.
    pub user: Option<String>,
    /// The process, where it could be seen.
    pub process: Option<Process>,
    /// Whose systemd runs the unit.
    pub manager: Option<Manager>,
    /// The systemd unit.
    pub unit: Option<String>,
    /// The container that the socket belongs to or forwards to.
    pub container: Option<Container>,
    /// The user id that the container is proved to belong to: by the control group that
    /// it is in, or by the user ids of both the socket and the process that serves it.
    /// A container's name alone proves nothing, since a process can be given any
    /// arguments.
    #[serde(skip)]
    pub account: Option<u32>,
    /// How much was seen.
    pub seen: Seen,
}

/// How an owner was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Seen {
    /// By the process that holds the socket.
    Process,
    /// By the control group that the socket was made in; the process is hidden.
    ControlGroup,
    /// No process has it: it is the kernel's own, or another PID namespace's.
    NoProcess,
    /// Some process has it that this user may not look at.
    Hidden,
}

/// A process that holds a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Its name, without control characters; none: it has ended meanwhile.
    pub name: Option<String>,
    /// Whether it only forwards to a container.
    pub forwarder: bool,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// podman or docker.
    pub engine: Engine,
    /// Its full id, where known.
    pub id: Option<String>,
    /// Its name, where known.
    pub name: Option<String>,
    /// How it was found, e.g. `cgroup`, `conmon's arguments`.
    pub known_by: String,
}

impl Container {
    /// The name, else the beginning of the id, as podman prints it.
    #[must_use]
    pub fn label(&self) -> String {
        match (&self.name, &self.id) {
            (Some(name), _) => name.clone(),
            (None, Some(id)) => id.chars().take(12).collect(),
            (None, None) => "unknown".to_owned(),
        }
    }
}

/// Programs that hold a port for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forwarder {
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
    fn of(name: &str) -> Option<Self> {
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
struct Monitor {
    /// The user id that it runs as.
    uid: Option<u32>,
    id: String,
    name: Option<String>,
    /// The container's directory with its `config.json`.
    bundle: Option<PathBuf>,
    place: Place,
}

/// Finds owners below one root; remembers what it has read.
#[derive(Debug)]
pub struct Resolver<'a> {
    root: &'a Path,
    holders: &'a Holders,
    /// Whether every process could be looked at.
    complete: bool,
    users: HashMap<u32, Option<String>>,
    processes: HashMap<u32, (Process, Place, Option<Container>)>,
    monitors: OnceCell<Vec<Monitor>>,
    unix_paths: OnceCell<HashMap<u64, String>>,
    groups: OnceCell<HashMap<u64, String>>,
    names: BTreeMap<(PathBuf, u32), HashMap<String, String>>,
    accounts: OnceCell<Vec<User>>,
    /// When other accounts' files and processes have been waited for long enough.
    deadline: OnceCell<Instant>,
}

impl<'a> Resolver<'a> {
    /// For the processes below `root`.
    #[must_use]
    pub fn new(root: &'a Path, holders: &'a Holders) -> Self {
        // Where /proc is mounted with hidepid, others' processes are not even listed.
        let hides = root == Path::new("/") && !holders.all.contains(&1);
        Self {
            root,
            holders,
            complete: holders.hidden == 0 && !hides,
            users: HashMap::new(),
            processes: HashMap::new(),
            monitors: OnceCell::new(),
            unix_paths: OnceCell::new(),
            groups: OnceCell::new(),
            names: BTreeMap::new(),
            accounts: OnceCell::new(),
            deadline: OnceCell::new(),
        }
    }

    /// How long what another account controls may still take.
    fn patience(&self) -> Duration {
        self.deadline
            .get_or_init(|| Instant::now() + PATIENCE)
            .saturating_duration_since(Instant::now())
            .min(PATIENCE / 3)
    }

    /// A file below a folder of the account `uid`, or of root.
    fn foreign(&self, path: &Path, uid: u32, most: u64) -> Option<Vec<u8>> {
        // In a captured tree the files are whoever's who captured it.
        let owner = (self.root == Path::new("/")).then_some(uid);
        file::read_foreign(self.root, path, owner, most, self.patience()).ok()
    }

    /// The owner of a socket.
    pub fn owner(&mut self, socket: &Socket) -> Owner {
        let mut owner = Owner {
            uid: socket.uid,
            user: self.user(socket.uid),
            process: None,
            manager: None,
            unit: None,
            container: None,
            account: None,
            seen: Seen::Hidden,
        };
        let mut serving = None;
        let place = match self.main_process(self.holders.of(socket.inode)) {
            Some(pid) => {
                let (process, place, container) = self.process(pid, socket.local);
                serving = process.forwarder.then(|| self.uid(pid));
                owner.process = Some(process);
                owner.seen = Seen::Process;
                owner.container = container;
                place
            }
            None => match self.group_of(socket) {
                // systemd itself makes the sockets that it hands to others, so its
                // own group says nothing of who has them now.
                Some(place)
                    if place
                        .unit
                        .as_ref()
                        .is_some_and(|(_, unit)| unit != "init.scope") =>
                {
                    owner.seen = Seen::ControlGroup;
                    owner.container = self.container_of(&place);
                    place
                }
                _ => {
                    if self.complete {
                        owner.seen = Seen::NoProcess;
                    }
                    Place::default()
                }
            },
        };
        owner.account = match (serving, &place) {
            (Some(uid), place) => uid.filter(|&uid| uid == socket.uid).filter(|&uid| {
                // Only that account and root can put a process there.
                match place.unit {
                    Some((Manager::User(manager), _)) => uid == manager || uid == 0,
                    _ => true,
                }
            }),
            (None, place) => place.container.as_ref().map(|_| account_of(place)),
        };
        if let Some((manager, unit)) = place.unit {
            owner.manager = Some(manager);
            owner.unit = Some(unit);
        }
        owner
    }

    fn user(&mut self, uid: u32) -> Option<String> {
        let root = self.root;
        self.users
            .entry(uid)
            .or_insert_with(|| users::name_of(root, uid))
            .clone()
    }

    /// Of several holders the one that uses it: not systemd, which keeps the
    /// sockets that it hands out, and the first, since others are its children.
    fn main_process(&self, pids: &[u32]) -> Option<u32> {
        match pids {
            [] => None,
            [only] => Some(*only),
            [first, ..] => pids
                .iter()
                .copied()
                .find(|&pid| self.name(pid).is_none_or(|name| name != "systemd"))
                .or(Some(*first)),
        }
    }

    fn proc(&self, pid: u32, file: &str) -> PathBuf {
        below(self.root, Path::new("/proc")).join(format!("{pid}/{file}"))
    }

    fn name(&self, pid: u32) -> Option<String> {
        let read;
        let bytes = if let Some(told) = self.holders.told(pid) {
            told.comm.as_ref()?
        } else {
            read = file::read(&self.proc(pid, "comm"), MAX_STATUS).ok()?;
            &read
        };
        Some(crate::text::field(
            String::from_utf8_lossy(bytes).trim_end_matches('\n'),
        ))
    }

    /// The process's arguments. The kernel reads them from its memory, which another
    /// account can keep from answering (userfaultfd(2), FUSE).
    fn arguments(&self, pid: u32) -> Vec<String> {
        let path = self.proc(pid, "cmdline");
        let bytes = file::within(self.patience(), move || {
            file::read(&path, MAX_ARGUMENTS).ok()
        })
        .flatten()
        .unwrap_or_default();
        bytes
            .split(|&byte| byte == 0)
            .map(|argument| String::from_utf8_lossy(argument).into_owned())
            .collect()
    }

    /// The effective user id of a process, from `/proc/PID/status` (proc(5)): `Uid:` with
    /// the real, effective, saved and file system's one. The owner of `/proc/PID` is root
    /// also for a process of another account that is not dumpable.
    fn uid(&self, pid: u32) -> Option<u32> {
        let status = file::text(&self.proc(pid, "status"), MAX_STATUS).ok()?;
        let mut ids = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))?
            .split_ascii_whitespace()
            .map(|id| id.parse::<u32>().ok());
        let (real, effective) = (ids.next()??, ids.next()??);
        // A program with the set-user-id bit runs for the account that started it.
        (real == effective).then_some(real)
    }

    fn place(&self, pid: u32) -> Place {
        let read;
        let bytes = if let Some(told) = self.holders.told(pid) {
            told.cgroup.as_deref()
        } else {
            read = file::read(&self.proc(pid, "cgroup"), MAX_STATUS).ok();
            read.as_deref()
        };
        bytes
            .and_then(|bytes| cgroup::path(&String::from_utf8_lossy(bytes)).map(cgroup::place))
            .unwrap_or_default()
    }

    fn process(&mut self, pid: u32, local: SocketAddr) -> (Process, Place, Option<Container>) {
        if let Some(known) = self.processes.get(&pid) {
            return known.clone();
        }
        let name = self.name(pid);
        let forwarder = name.as_deref().and_then(|name| match name {
            // podman runs itself anew under another name.
            "exe" | "podman" => {
                let arguments = self.arguments(pid);
                let first = Path::new(arguments.first()?).file_name()?.to_str()?;
                Forwarder::of(first)
            }
            name => Forwarder::of(name),
        });
        let place = self.place(pid);
        let container = match forwarder {
            Some(forwarder) => self.served(pid, forwarder, &place, local),
            None => self.container_of(&place),
        };
        let process = Process {
            pid,
            name,
            forwarder: forwarder.is_some(),
        };
        let known = (process, place, container);
        self.processes.insert(pid, known.clone());
        known
    }

    /// The container whose own processes are in this place.
    fn container_of(&mut self, place: &Place) -> Option<Container> {
        let (engine, id) = place.container.clone()?;
        let uid = account_of(place);
        Some(self.named(engine, id, None, Some(uid), "its control group"))
    }

    /// The container that a forwarder serves.
    fn served(
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
    fn control_socket(&self, pid: u32) -> Option<String> {
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
    fn by_namespace(
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

    fn monitors(&self) -> &[Monitor] {
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

    /// A container with its name: what is known already, else what its conmon was
    /// told, else what podman's storage has. Only what the account `uid` says of it counts.
    fn named(
        &mut self,
        engine: Engine,
        id: String,
        name: Option<String>,
        uid: Option<u32>,
        known_by: &str,
    ) -> Container {
        let mut known_by = known_by.to_owned();
        let name = name.or_else(|| {
            if engine != Engine::Podman {
                return None;
            }
            let (name, bundle) = self
                .monitors()
                .iter()
                .find(|monitor| monitor.id == id && monitor.uid == uid)
                .map(|monitor| (monitor.name.clone(), monitor.bundle.clone()))
                .unwrap_or_default();
            if name.is_some() {
                known_by.push_str(", conmon's arguments");
                return name;
            }
            let name = self.stored_name(&id, bundle.as_deref(), uid?);
            if name.is_some() {
                known_by.push_str(", podman's containers.json");
            }
            name
        });
        Container {
            engine,
            id: Some(id),
            name: name.map(|name| crate::text::field(&name)),
            known_by,
        }
    }

    /// The name in `<storage>/<driver>-containers/containers.json` of the account's podman.
    fn stored_name(&mut self, id: &str, bundle: Option<&Path>, uid: u32) -> Option<String> {
        let mut lists = Vec::new();
        // <storage>/overlay-containers/<id>/userdata
        lists.extend(
            bundle.and_then(|bundle| Some(bundle.parent()?.parent()?.join("containers.json"))),
        );
        let stores = if uid == 0 {
            vec![PathBuf::from("/var/lib/containers/storage")]
        } else {
            let users = self.accounts.get_or_init(|| users::all(self.root));
            users
                .iter()
                .filter(|user| user.uid == uid && user.home.is_absolute())
                .map(|user| user.home.join(".local/share/containers/storage"))
                .collect()
        };
        for store in stores {
            lists.extend(
                ["overlay", "btrfs", "zfs", "vfs"]
                    .map(|driver| store.join(format!("{driver}-containers/containers.json"))),
            );
        }
        lists.into_iter().find_map(|list| {
            let key = (list, uid);
            if !self.names.contains_key(&key) {
                let text = self.foreign(&key.0, uid, MAX_CONTAINERS);
                let names = text.and_then(|text| names_in(&text)).unwrap_or_default();
                self.names.insert(key.clone(), names);
            }
            self.names.get(&key)?.get(id).cloned()
        })
    }

    fn group_of(&self, socket: &Socket) -> Option<Place> {
        let groups = self.groups.get_or_init(|| cgroup::by_inode(self.root));
        groups.get(&socket.cgroup?).map(|path| cgroup::place(path))
    }
}

/// What follows an option, as the next argument or after `=`.
fn argument<'a>(arguments: &'a [String], options: &[&str]) -> Option<&'a str> {
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
fn monitor(arguments: &[String]) -> Option<(String, Option<String>, Option<PathBuf>)> {
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

/// Names by id, from podman's `containers.json`.
fn names_in(text: &[u8]) -> Option<HashMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Entry {
        id: String,
        #[serde(default)]
        names: Vec<String>,
    }
    let entries: Vec<Entry> = serde_json::from_slice(text).ok()?;
    Some(
        entries
            .into_iter()
            .filter_map(|entry| Some((entry.id, entry.names.into_iter().next()?)))
            .collect(),
    )
}

/// The account that a container's control group belongs to: nobody else, but root, can
/// make groups there.
fn account_of(place: &Place) -> u32 {
    match place.unit {
        Some((Manager::User(uid), _)) => uid,
        _ => 0,
    }
}

/// The processes that hold the sockets.
///
/// # Errors
/// When `/proc` can't be listed.
pub fn holders(root: &Path, sockets: &[Socket]) -> Result<Holders, PortsError> {
    let inodes: Vec<u64> = sockets
        .iter()
        .map(|socket| socket.inode)
        .filter(|&inode| inode != 0)
        .collect();
    Holders::find(root, &inodes).map_err(|cause| PortsError::Processes {
        path: root.join("proc"),
        cause,
    })
}

/// Who listens on one port now, on whatever address.
///
/// # Errors
/// When sockets or processes can't be read.
pub fn holders_of(
    root: &Path,
    protocol: Protocol,
    port: u16,
) -> Result<Vec<(Socket, Owner)>, PortsError> {
    let mut sockets = Socket::all(root)?;
    sockets.retain(|socket| socket.protocol == protocol && socket.local.port() == port);
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    let holders = holders(root, &sockets)?;
    let mut resolver = Resolver::new(root, &holders);
    Ok(sockets
        .into_iter()
        .map(|socket| (socket, resolver.owner(&socket)))
        .collect())
}

/// An owner in a few words: unit, container, process, user, as far as known.
#[must_use]
pub fn describe(owner: &Owner) -> String {
    let user = || match &owner.user {
        Some(user) => format!("user {user}"),
        None => format!("user id {}", owner.uid),
    };
    let mut about = Vec::new();
    let unit = owner.unit.as_ref().map(|unit| match owner.manager {
        Some(Manager::User(_)) => format!("{unit} of {}", user()),
        _ => unit.clone(),
    });
    if let Some(container) = &owner.container {
        about.push(format!(
            "{} container {}",
            container.engine.name(),
            container.label()
        ));
    }
    if let Some(process) = &owner.process {
        about.push(match &process.name {
            Some(name) => format!("{name}[{}]", process.pid),
            None => format!("process {}, which has ended", process.pid),
        });
    }
    let session = owner
        .unit
        .as_ref()
        .is_some_and(|unit| unit.strip_suffix(".scope").is_some());
    if owner.uid != 0 && !matches!(owner.manager, Some(Manager::User(_))) || unit.is_none() {
        about.push(user());
    }
    match (unit, session) {
        (Some(unit), false) => {
            if about.is_empty() {
                unit
            } else {
                format!("{unit} ({})", about.join(", "))
            }
        }
        // A session says less than the program in it.
        _ => match owner.seen {
            Seen::NoProcess => "no process (the kernel, or another PID namespace)".to_owned(),
            Seen::Hidden => format!("hidden ({})", user()),
            Seen::Process | Seen::ControlGroup => {
                let mut parts = about.into_iter();
                let first = parts.next().unwrap_or_default();
                let rest: Vec<String> = parts.collect();
                if rest.is_empty() {
                    first
                } else {
                    format!("{first} ({})", rest.join(", "))
                }
            }
        },
    }
}
