//! Who a socket belongs to: process, user, unit, container.

mod describe;
mod forwarder;
mod names;

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde::Serialize;

use crate::cgroup::{self, Engine, Manager, Place};
use crate::command::below;
use crate::holders::Holders;
use crate::sockets::{Socket, SocketsError};
use crate::users::{self, User};
use crate::{Protocol, file};
use forwarder::{Forwarder, Monitor};

pub use describe::describe;

/// How long the files and processes of other accounts are waited for, all together.
const PATIENCE: Duration = Duration::from_secs(6);
/// The largest `/proc/PID/cmdline` that is read, in bytes: more than the kernel takes
/// for a program's arguments (execve(2): 6 MiB).
const MAX_ARGUMENTS: u64 = 8 * 1024 * 1024;
/// The largest of `/proc`'s small files that is read, in bytes.
const MAX_STATUS: u64 = 64 * 1024;

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

    fn group_of(&self, socket: &Socket) -> Option<Place> {
        let groups = self.groups.get_or_init(|| cgroup::by_inode(self.root));
        groups.get(&socket.cgroup?).map(|path| cgroup::place(path))
    }
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
