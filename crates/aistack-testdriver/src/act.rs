//! What each kind of step does, once.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aistack_machine::command::{self, Bounds, CommandError, Finished, below};
use aistack_machine::contained;
use aistack_machine::file::{self, ReadError};
use aistack_machine::journal::{Cursor, Journal};
use aistack_machine::podman::{Container, Held, Podman};
use aistack_machine::probe::Answer;
use aistack_machine::sockets::{Exposure, Listening};
use aistack_machine::systemd::Systemctl;
use aistack_machine::{secret, users};
use aistack_schema::{Protocol, Scope, Service, Stack};

use crate::confined::{self, Declared};
use crate::exposed;
use crate::plan::{Deed, Expected, Named, Purpose, Request, Verb, all_of, state_name};
use crate::scenario::{Exec, FileMatch, JournalLine, JsonMatch, Method, Presence, Text, UnitState};
use crate::services::{self, Way};
use crate::view::Watch;

/// The most that is read of an answer or a file, in bytes.
const MOST: usize = 1024 * 1024;
/// How much of an answer a message shows, in characters.
const SHOWN: usize = 160;
/// How long a connection that should be refused is waited for.
const REFUSED: Duration = Duration::from_secs(1);
/// The file that `write-marker` puts into each folder of data, and what is in it.
const FILE: &str = "aistack-marker";
const KEPT: &str = "kept";

/// Why a step is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What was seen instead.
    Failed(String),
    /// Nothing can be said: why.
    Skipped(String),
}

fn failed(why: impl Display) -> Trouble {
    Trouble::Failed(format!("{why}"))
}

type Seen = Result<(), Trouble>;

/// The machine that the steps run on, and what they leave for each other.
#[derive(Debug)]
pub struct Machine {
    root: PathBuf,
    path: Option<OsString>,
    scope: Scope,
    watch: Watch,
    /// The services, for the values of their secrets.
    services: BTreeMap<String, Service>,
    /// Of each secret's file, where its value shows; looked at once.
    exposed: Mutex<Option<BTreeMap<PathBuf, Vec<&'static str>>>>,
    /// Ids of the containers at the beginning, or that were killed, stopped, re-created
    /// or reset since.
    old: Mutex<BTreeMap<String, String>>,
    /// Ports that steps hold.
    held: Mutex<BTreeMap<(Protocol, SocketAddr), Taken>>,
    /// The end of the journal when the scenario began.
    begin: Mutex<Option<Result<Cursor, String>>>,
}

/// Kept only to be dropped.
#[derive(Debug)]
enum Taken {
    Tcp { _listener: TcpListener },
    Udp { _socket: UdpSocket },
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A socket that listens where this machine's containers would.
fn bind(protocol: Protocol, at: SocketAddr) -> io::Result<Taken> {
    match protocol {
        Protocol::Tcp => TcpListener::bind(at).map(|listener| Taken::Tcp {
            _listener: listener,
        }),
        Protocol::Udp => UdpSocket::bind(at).map(|socket| Taken::Udp { _socket: socket }),
    }
}

impl Machine {
    /// The machine below `root` with its stack, and programs from `path` (the value of
    /// `PATH`). `units`: those beside the stack's that will be asked for.
    #[must_use]
    pub fn new<'a>(
        root: &Path,
        path: Option<OsString>,
        stack: &'a Stack,
        units: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            root: root.to_owned(),
            path,
            scope: stack.scope,
            watch: Watch::new(stack, units),
            services: stack.services.clone(),
            exposed: Mutex::default(),
            old: Mutex::default(),
            held: Mutex::default(),
            begin: Mutex::default(),
        }
    }

    fn podman(&self, bounds: &Bounds) -> Result<Podman, Trouble> {
        Podman::new(self.path.as_deref())
            .map(|podman| podman.bounded(bounds))
            .map_err(failed)
    }

    fn systemctl(&self, bounds: &Bounds) -> Result<Systemctl, Trouble> {
        Systemctl::new(self.scope, self.path.as_deref())
            .map(|systemctl| systemctl.bounded(bounds))
            .map_err(failed)
    }

    /// Marks the place in the journal after which lines count.
    pub fn begin_journal(&self, bounds: &Bounds) {
        let cursor = Journal::new(self.scope, self.path.as_deref())
            .and_then(|journal| journal.end(bounds))
            .map_err(|error| error.to_string());
        *lock(&self.begin) = Some(cursor);
    }

    /// Lets go of every port that is still held.
    pub fn release_all(&self) {
        lock(&self.held).clear();
    }

    /// Does it once, within the bounds.
    ///
    /// # Errors
    /// What was seen instead, or why nothing can be said.
    pub fn act(&self, deed: &Deed, bounds: &Bounds) -> Seen {
        match deed {
            Deed::Skip(why) => Err(Trouble::Skipped(why.clone())),
            Deed::Healthy { of, new } => self.healthy(of, *new, bounds),
            Deed::Container(of, state) => self.container(of, *state, bounds),
            Deed::Ports(of, closed_on) => self.ports(of, *closed_on),
            Deed::NoFailedUnits => self.no_failed_units(bounds),
            Deed::Secrets(of) => self.secrets(of, bounds),
            Deed::Confined(of) => self.confined(of, bounds),
            Deed::Files(of, folders, purpose) => self.files(of, folders, *purpose, bounds),
            Deed::Ask {
                of,
                ways,
                expect,
                purpose,
            } => ways
                .iter()
                .try_for_each(|way| self.ask(of, way, expect, *purpose, bounds)),
            Deed::Http(request) => http(request, bounds),
            Deed::Tcp(at, open) => tcp(*at, *open, bounds.limit),
            Deed::NothingListens(protocol, at) => self.nothing_listens(*protocol, *at),
            Deed::Unit(unit, state) => self.unit(unit, *state, bounds),
            Deed::File(file) => self.file(file),
            Deed::Exec(container, exec) => self.exec(container.as_deref(), exec, bounds),
            Deed::Journal(unit, line) => self.journal(unit.as_deref(), line, bounds),
            Deed::Signal(of, signal) => {
                let podman = self.podman(bounds)?;
                self.remember(&podman, of)?;
                podman.kill(&of.service.container, signal).map_err(failed)
            }
            Deed::Continue(of) => self.go_on(of, bounds),
            Deed::Recreate(of) => self.recreate(of, bounds),
            Deed::Reset(services) => self.reset(services, bounds),
            Deed::Verb(verb, unit) => {
                let systemctl = self.systemctl(bounds)?;
                let units = [unit.as_str()];
                match verb {
                    Verb::Start => systemctl.start(&units),
                    Verb::Stop => systemctl.stop(&units),
                    Verb::Restart => systemctl.restart(&units),
                    Verb::RestartNoWait => systemctl.restart_no_block(&units),
                }
                .map_err(failed)
            }
            Deed::TakePort(protocol, at) => {
                let socket = bind(*protocol, *at)
                    .map_err(|error| failed(format!("{at}/{protocol}: {error}")))?;
                lock(&self.held).insert((*protocol, *at), socket);
                Ok(())
            }
            Deed::ReleasePort(protocol, at) => match lock(&self.held).remove(&(*protocol, *at)) {
                Some(_) => Ok(()),
                None => Err(failed("no step holds it")),
            },
        }
    }

    /// Keeps the id of a container that is about to go; none is no error.
    fn remember(&self, podman: &Podman, of: &Named) -> Result<Option<String>, Trouble> {
        let container = podman.container(&of.service.container).map_err(failed)?;
        let id = container.map(|container| container.id);
        if let Some(id) = &id {
            lock(&self.old).insert(of.name.clone(), id.clone());
        }
        Ok(id)
    }

    /// Keeps the ids of all containers. What can't be asked now fails in the steps.
    pub fn remember_all(&self, bounds: &Bounds) {
        let Ok(podman) = self.podman(bounds) else {
            return;
        };
        let there = podman
            .containers(&self.watch.container_names())
            .unwrap_or_default();
        let mut old = lock(&self.old);
        for (name, service) in &self.services {
            if let Some(container) = there.get(&service.container) {
                old.insert(name.clone(), container.id.clone());
            }
        }
    }

    fn containers(&self, bounds: &Bounds) -> Result<Arc<BTreeMap<String, Container>>, Trouble> {
        self.watch.containers(&self.podman(bounds)?).map_err(failed)
    }

    fn healthy(&self, of: &Named, new: bool, bounds: &Bounds) -> Seen {
        let begun = Instant::now();
        self.unit(&of.service.unit, UnitState::Active, bounds)?;
        let name = &of.service.container;
        let containers = self.containers(bounds)?;
        let container = containers
            .get(name)
            .ok_or_else(|| failed(format!("podman has no container {name}")))?;
        if new && lock(&self.old).get(&of.name) == Some(&container.id) {
            return Err(failed(format!("{name} is still the same container")));
        }
        if container.status != "running" {
            return Err(failed(format!("{name} is {}", container.status)));
        }
        match container.health.as_deref() {
            None | Some("healthy") => {}
            Some(other) => return Err(failed(format!("podman says that {name} is {other}"))),
        }
        let Some(probe) = &of.service.health else {
            return Ok(());
        };
        let left = bounds.limit.saturating_sub(begun.elapsed());
        let outcome = aistack_checks::probe::run(probe, left.max(Duration::from_millis(1)));
        outcome
            .result
            .map(drop)
            .map_err(|error| failed(format!("{}: {error}", aistack_checks::probe::target(probe))))
    }

    fn container(&self, of: &Named, wanted: Presence, bounds: &Bounds) -> Seen {
        let containers = self.containers(bounds)?;
        let name = &of.service.container;
        let container = containers.get(name);
        let runs = container.filter(|container| container.status == "running");
        let old = lock(&self.old).get(&of.name).cloned();
        let seen = match (container, &old) {
            (None, _) => "is not there".to_owned(),
            (Some(container), _) if runs.is_none() => format!("is {}", container.status),
            (Some(container), Some(old)) if container.id == *old => "is the old one".to_owned(),
            (Some(_), Some(_)) => "is another one".to_owned(),
            (Some(_), None) => "runs".to_owned(),
        };
        let good = match wanted {
            Presence::Running => runs.is_some(),
            Presence::Same => runs.is_some_and(|runs| Some(&runs.id) == old.as_ref()),
            Presence::New => runs.is_some_and(|runs| Some(&runs.id) != old.as_ref()),
            Presence::Gone => runs.is_none(),
        };
        if good {
            Ok(())
        } else {
            Err(failed(format!("{name} {seen}")))
        }
    }

    fn no_failed_units(&self, bounds: &Bounds) -> Seen {
        let units = self.systemctl(bounds)?.failed().map_err(failed)?;
        if units.is_empty() {
            Ok(())
        } else {
            Err(failed(units.join(", ")))
        }
    }

    /// Where the values of all secrets show; a file that can't be read shows nothing here.
    fn exposed(&self, bounds: &Bounds) -> Result<BTreeMap<PathBuf, Vec<&'static str>>, Trouble> {
        let mut exposed = lock(&self.exposed);
        if let Some(exposed) = &*exposed {
            return Ok(exposed.clone());
        }
        let (sources, values): (Vec<PathBuf>, Vec<Vec<u8>>) = self
            .services
            .values()
            .flat_map(|service| &service.secrets)
            .filter_map(|secret| {
                let value = secret::read(&below(&self.root, &secret.source)).ok()?;
                Some((secret.source.clone(), value))
            })
            .collect();
        let journal = Journal::new(self.scope, self.path.as_deref()).map_err(failed)?;
        let places = exposed::places(
            &self.root,
            (&self.podman(bounds)?, &self.watch.container_names()),
            &self.systemctl(bounds)?,
            &journal,
            &values,
            bounds,
        )
        .map_err(failed)?;
        let all: BTreeMap<_, _> = sources.into_iter().zip(places).collect();
        *exposed = Some(all.clone());
        Ok(all)
    }

    fn secrets(&self, of: &Named, bounds: &Bounds) -> Seen {
        let podman = self.podman(bounds)?;
        let exposed = self.exposed(bounds)?;
        let mut wrong = Vec::new();
        for kept in &of.service.secrets {
            let value = match secret::read(&below(&self.root, &kept.source)) {
                Ok(value) => value,
                Err(error) => {
                    wrong.push(format!("{} ({})", error, kept.option));
                    continue;
                }
            };
            // A short one is found by chance, and guessed as soon.
            if value.len() < 8 {
                wrong.push(format!(
                    "{} has less than 8 characters",
                    kept.source.display()
                ));
                continue;
            }
            match podman.holds_secret(&kept.name, &value).map_err(failed)? {
                Held::Same => {}
                Held::Other => wrong.push(format!("podman holds another value of {}", kept.name)),
                Held::Missing => wrong.push(format!("podman holds no secret {}", kept.name)),
            }
            if let Some(places) = exposed
                .get(&kept.source)
                .filter(|places| !places.is_empty())
            {
                wrong.push(format!("{} shows in {}", kept.name, places.join(", ")));
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(failed(wrong.join("; ")))
        }
    }

    fn confined(&self, of: &Named, bounds: &Bounds) -> Seen {
        let unit = &of.service.unit;
        let quadlet = self
            .systemctl(bounds)?
            .source(unit)
            .map_err(failed)?
            .ok_or_else(|| failed(format!("systemd knows no file that {unit} is made from")))?;
        let text = file::text(&below(&self.root, &quadlet), MOST as u64)
            .map_err(|error| failed(format!("{} cannot be read: {error}", quadlet.display())))?;
        let name = &of.service.container;
        let pid = self
            .containers(bounds)?
            .get(name)
            .and_then(|container| container.pid)
            .ok_or_else(|| failed(format!("{name} has no process")))?;
        let ours = match self.scope {
            Scope::System => None,
            Scope::User => {
                let uid = users::effective_uid();
                let name = users::name_of(&self.root, uid);
                Some(confined::ids_of(&self.root, uid, name.as_deref()))
            }
        };
        let declared = Declared::parse(&text);
        let wrong =
            confined::differences(&self.root, pid, &declared, ours.as_deref()).map_err(failed)?;
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(failed(wrong.join("; ")))
        }
    }

    fn files(&self, of: &Named, folders: &[String], purpose: Purpose, bounds: &Bounds) -> Seen {
        let script = match purpose {
            Purpose::Write => {
                format!("for d; do echo {KEPT} >\"$d/{FILE}\" || exit 1; done")
            }
            Purpose::Check => format!("for d; do cat \"$d/{FILE}\" || exit 1; done"),
        };
        let mut argv: Vec<String> = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
        argv.extend_from_slice(folders);
        let done = self
            .podman(bounds)?
            .exec_captured(&of.service.container, &argv, None)
            .map_err(failed)?;
        match (done.status.code(), purpose) {
            // podman-exec(1): the program is not there, or can't be run.
            (Some(126 | 127), _) => Err(Trouble::Skipped("its image has no sh".to_owned())),
            (Some(0), Purpose::Write) => Ok(()),
            (Some(0), Purpose::Check) => {
                let text = String::from_utf8_lossy(&done.stdout);
                let kept = text.lines().filter(|line| *line == KEPT).count();
                if kept == folders.len() {
                    Ok(())
                } else {
                    Err(failed(format!(
                        "{FILE} has another text: {:?}",
                        aistack_machine::text::bytes(&done.stdout, SHOWN)
                    )))
                }
            }
            _ => Err(failed(ended(&done))),
        }
    }

    fn listening(&self) -> Result<Listening, Trouble> {
        Listening::read(&self.root).map_err(failed)
    }

    fn ports(&self, of: &Named, closed_on: Option<IpAddr>) -> Seen {
        let listening = self.listening()?;
        let mut wrong: Vec<String> = of
            .service
            .ports
            .iter()
            .filter_map(|port| {
                let at = format!("{} {}/{}", port.name, port.socket(), port.protocol);
                match listening.exposure(port.protocol, port.socket()) {
                    Exposure::AsDeclared => None,
                    Exposure::Nothing => Some(format!("{at}: nothing listens there")),
                    Exposure::Wider(seen) => Some(format!("{at}: it listens on {seen}")),
                    Exposure::Elsewhere(_) => Some(format!("{at}: it listens elsewhere")),
                }
            })
            .collect();
        for port in &of.service.ports {
            let Some(at) = closed_on
                .filter(|_| port.protocol == Protocol::Tcp && port.address.is_loopback())
                .map(|address| SocketAddr::new(address, port.host.get()))
            else {
                continue;
            };
            if TcpStream::connect_timeout(&at, REFUSED).is_ok() {
                wrong.push(format!("{} takes connections on {at}", port.name));
            }
        }
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(failed(wrong.join("; ")))
        }
    }

    fn nothing_listens(&self, protocol: Protocol, at: SocketAddr) -> Seen {
        match self.listening()?.exposure(protocol, at) {
            Exposure::Nothing => Ok(()),
            Exposure::AsDeclared => Err(failed(format!("something listens on {at}"))),
            Exposure::Wider(seen) => Err(failed(format!(
                "something listens on {}",
                SocketAddr::new(seen, at.port())
            ))),
            Exposure::Elsewhere(seen) => Err(failed(format!(
                "something listens on {}",
                seen.iter()
                    .map(|address| SocketAddr::new(*address, at.port()).to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            ))),
        }
    }

    fn unit(&self, unit: &str, wanted: UnitState, bounds: &Bounds) -> Seen {
        let state = self
            .watch
            .unit(unit, &self.systemctl(bounds)?)
            .map_err(|error| failed(chain(&error)))?;
        let is = match wanted {
            UnitState::NotFound => state.load == "not-found",
            UnitState::Active => state.is_active(),
            other => state.is_loaded() && state.active == state_name(other),
        };
        if is {
            Ok(())
        } else {
            Err(failed(format!("{unit} is {}", state.summary())))
        }
    }

    fn file(&self, wanted: &FileMatch) -> Seen {
        let path = below(&self.root, &wanted.path);
        let shown = wanted.path.display();
        let there = path
            .try_exists()
            .map_err(|error| failed(format!("{shown} cannot be looked at: {error}")))?;
        match (there, wanted.exists) {
            (true, false) => return Err(failed(format!("{shown} is there"))),
            (false, true) => return Err(failed(format!("{shown} is not there"))),
            (false, false) => return Ok(()),
            (true, true) => {}
        }
        let Some(text) = &wanted.text else {
            return Ok(());
        };
        let bytes = file::read(&path, MOST as u64).map_err(|error| {
            failed(match error {
                ReadError::TooLong(most) => format!(
                    "{shown} is larger than {} KiB, too large to be looked into",
                    most / 1024
                ),
                other => format!("{shown} cannot be read: {other}"),
            })
        })?;
        holds(&shown.to_string(), text, &bytes)
    }

    fn exec(&self, container: Option<&str>, exec: &Exec, bounds: &Bounds) -> Seen {
        let input = exec.input.as_ref().map(|input| input.as_bytes().to_vec());
        let done = match container {
            Some(container) => self
                .podman(bounds)?
                .exec_captured(container, &exec.argv, input),
            None => self.on_host(&exec.argv, input, bounds),
        }
        .map_err(failed)?;
        let code = done.status.code();
        if code != Some(i32::from(exec.exit)) {
            return Err(failed(ended(&done)));
        }
        if let Some(text) = &exec.stdout {
            holds("standard output", text, &done.stdout)?;
        }
        if let Some(text) = &exec.stderr {
            holds("standard error", text, done.stderr.as_bytes())?;
        }
        Ok(())
    }

    fn on_host(
        &self,
        argv: &[String],
        input: Option<Vec<u8>>,
        bounds: &Bounds,
    ) -> Result<Finished, CommandError> {
        let (name, arguments) = argv.split_first().ok_or(CommandError::NotFound {
            program: "the program",
        })?;
        let program = if name.contains('/') {
            PathBuf::from(name)
        } else {
            command::find(Path::new("/"), self.path.as_deref(), &[], name)
                .unwrap_or_else(|| PathBuf::from(name))
        };
        let mut command = Command::new(program);
        command.args(arguments);
        command::run_bounded(command, input, bounds)
    }

    fn journal(&self, unit: Option<&str>, line: &JournalLine, bounds: &Bounds) -> Seen {
        let begin = match &*lock(&self.begin) {
            Some(Ok(cursor)) => cursor.clone(),
            Some(Err(error)) => return Err(failed(error)),
            None => return Err(failed("the journal's end was not looked for")),
        };
        let said = Journal::new(self.scope, self.path.as_deref())
            .and_then(|journal| journal.after(&begin, unit, bounds))
            .map_err(failed)?;
        if let Some(lacks) = &line.lacks
            && let Some(bad) = said.lines().find(|said| said.contains(lacks.as_str()))
        {
            return Err(failed(format!(
                "a line has {lacks:?}: {}",
                aistack_machine::text::bytes(bad.as_bytes(), SHOWN)
            )));
        }
        let has_all = |said: &str| {
            line.contains
                .iter()
                .all(|part| said.contains(part.as_str()))
        };
        if line.contains.is_empty() || said.lines().any(has_all) {
            return Ok(());
        }
        let last = said.lines().last().unwrap_or("nothing");
        Err(failed(format!(
            "no line has {}; the last one of {} is: {}",
            all_of(&line.contains),
            said.lines().count(),
            aistack_machine::text::bytes(last.as_bytes(), SHOWN)
        )))
    }

    fn go_on(&self, of: &Named, bounds: &Bounds) -> Seen {
        let podman = self.podman(bounds)?;
        let name = &of.service.container;
        match podman.container(name).map_err(failed)? {
            Some(container) if container.status == "running" => {
                podman.kill(name, "CONT").map_err(failed)
            }
            _ => Ok(()),
        }
    }

    fn recreate(&self, of: &Named, bounds: &Bounds) -> Seen {
        let podman = self.podman(bounds)?;
        let old = self.remember(&podman, of)?;
        self.systemctl(bounds)?
            .restart(&[of.service.unit.as_str()])
            .map_err(failed)?;
        let name = &of.service.container;
        match podman.container(name).map_err(failed)? {
            None => Err(failed(format!("podman has no container {name}"))),
            Some(new) if Some(&new.id) == old.as_ref() => {
                Err(failed(format!("{name} is still the same container")))
            }
            Some(_) => Ok(()),
        }
    }

    fn reset(&self, services: &[Named], bounds: &Bounds) -> Seen {
        let podman = self.podman(bounds)?;
        let mut old = Vec::new();
        for of in services {
            old.extend(self.remember(&podman, of)?.map(|id| (of, id)));
        }
        if old.is_empty() && !services.is_empty() {
            return Err(failed("no container ran that a reset could take away"));
        }
        podman.reset_storage().map_err(failed)?;
        for (of, id) in old {
            // Units may have begun to bring things back.
            let now = podman.container(&of.service.container).map_err(failed)?;
            if now.is_some_and(|now| now.id == id) {
                return Err(failed(format!("{} is still there", of.service.container)));
            }
        }
        Ok(())
    }

    fn ask(
        &self,
        of: &Named,
        way: &Way,
        expect: &Expected,
        purpose: Purpose,
        bounds: &Bounds,
    ) -> Seen {
        match way {
            Way::Http(request) => self.ask_http(of, request, expect, purpose, bounds),
            Way::Exec(argv) => {
                let done = self
                    .podman(bounds)?
                    .exec_captured(&of.service.container, argv, None)
                    .map_err(failed)?;
                let text = String::from_utf8_lossy(&done.stdout);
                if !done.status.success() {
                    return Err(failed(ended(&done)));
                }
                answers(expect, &text)
            }
        }
    }

    fn ask_http(
        &self,
        of: &Named,
        request: &services::Request,
        expect: &Expected,
        purpose: Purpose,
        bounds: &Bounds,
    ) -> Seen {
        let port = of
            .service
            .port(&request.port)
            .ok_or_else(|| failed(format!("{} has no port {}", of.name, request.port)))?;
        let url = format!("http://{}{}", port.reachable(), request.path);
        let mut headers = Vec::new();
        if request.body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let key = request
            .auth
            .as_ref()
            .map(|auth| {
                let key = self.key(of, auth)?;
                let systemctl = self.systemctl(bounds)?;
                contained::prove(&self.root, &systemctl, &of.service.unit, port.reachable())
                    .map_err(|error| failed(format!("its key was not sent: {}", chain(&error))))?;
                Ok(key)
            })
            .transpose()?;
        if let (Some(auth), Some(key)) = (&request.auth, &key) {
            headers.push((auth.header.clone(), format!("{}{key}", auth.prefix)));
        }
        let answer = exchange(
            request.method,
            &url,
            &headers,
            request.body.as_deref(),
            bounds.limit,
        )?;
        // A server that repeats the key must not bring it into a report.
        let mut text = String::from_utf8_lossy(&answer.body).into_owned();
        if let Some(key) = &key {
            text = text.replace(key.as_str(), "(the key)");
        }
        match (answer.status, purpose) {
            // 409: the value is already stored, by an earlier run.
            (200..=299, _) | (409, Purpose::Write) => answers(expect, &text),
            (status @ (401 | 403), _) => Err(failed(match &request.auth {
                Some(auth) => format!(
                    "answered status {status}: it refuses the key of the secret {}; was the service restarted since the key changed?",
                    auth.secret
                ),
                None => format!(
                    "answered status {status}: it asks for a key, and scenarios.json names none for this request"
                ),
            })),
            (status, _) => Err(failed(format!(
                "answered status {status}: {}",
                aistack_machine::text::bytes(text.as_bytes(), SHOWN)
            ))),
        }
    }

    /// The value of the secret that a request to a service needs. Every key that this
    /// program sends comes from here.
    fn key(&self, of: &Named, auth: &services::Auth) -> Result<String, Trouble> {
        let secret = of
            .service
            .secrets
            .iter()
            .find(|secret| secret.name == auth.secret)
            .ok_or_else(|| {
                failed(format!(
                    "scenarios.json asks {} with the secret {}, which stack.json does not have",
                    of.name, auth.secret
                ))
            })?;
        let value = secret::read(&below(&self.root, &secret.source)).map_err(|error| {
            failed(format!(
                "the key of {} ({}) cannot be used: {error}",
                of.name, secret.option
            ))
        })?;
        String::from_utf8(value)
            .ok()
            .filter(|value| !value.contains(char::is_control))
            .ok_or_else(|| {
                failed(format!(
                    "{} ({}) is no key for an HTTP header: it must be one line of text",
                    secret.source.display(),
                    secret.option
                ))
            })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

fn ended(done: &Finished) -> String {
    let said = if done.stderr.is_empty() {
        aistack_machine::text::bytes(&done.stdout, SHOWN)
    } else {
        aistack_machine::text::bytes(done.stderr.as_bytes(), SHOWN)
    };
    let said = if said.is_empty() {
        "it said nothing".to_owned()
    } else {
        said
    };
    format!("`{}` ended with {}: {said}", done.command, done.status)
}

/// Whether an answer has everything that is expected of it, and nothing that it must not have.
fn answers(expected: &Expected, text: &str) -> Seen {
    let shown = || aistack_machine::text::bytes(text.as_bytes(), SHOWN);
    if let Some(missing) = expected
        .contains
        .iter()
        .find(|wanted| !text.contains(wanted.as_str()))
    {
        return Err(failed(format!(
            "no {missing:?} in the answer {:?}",
            shown()
        )));
    }
    if let Some(lacks) = &expected.lacks
        && text.contains(lacks.as_str())
    {
        return Err(failed(format!("{lacks:?} is in the answer {:?}", shown())));
    }
    Ok(())
}

/// Whether a text is as wanted; `what` names it in the message.
fn holds(what: &str, wanted: &Text, bytes: &[u8]) -> Seen {
    let text = String::from_utf8_lossy(bytes);
    let shown = aistack_machine::text::bytes(bytes, SHOWN);
    if let Some(equals) = &wanted.equals
        && text.trim() != equals.trim()
    {
        return Err(failed(format!("{what} is {shown:?}, not {equals:?}")));
    }
    let missing = wanted
        .contains
        .iter()
        .find(|part| !text.contains(part.as_str()));
    if let Some(part) = missing {
        return Err(failed(format!("{what} lacks {part:?}: {shown:?}")));
    }
    if let Some(part) = &wanted.lacks
        && text.contains(part.as_str())
    {
        return Err(failed(format!("{what} has {part:?}: {shown:?}")));
    }
    Ok(())
}

fn tcp(at: SocketAddr, open: bool, limit: Duration) -> Seen {
    match (TcpStream::connect_timeout(&at, limit), open) {
        (Ok(_), true) => Ok(()),
        (Ok(_), false) => Err(failed(format!("{at} takes connections"))),
        // Refused is closed; a network that swallows packets is as good.
        (Err(error), false)
            if matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::TimedOut
                    | io::ErrorKind::WouldBlock
            ) =>
        {
            Ok(())
        }
        (Err(error), _) => Err(failed(format!("{at}: {error}"))),
    }
}

fn method(method: Method) -> aistack_machine::probe::Method {
    match method {
        Method::Get => aistack_machine::probe::Method::Get,
        Method::Head => aistack_machine::probe::Method::Head,
        Method::Post => aistack_machine::probe::Method::Post,
        Method::Put => aistack_machine::probe::Method::Put,
        Method::Patch => aistack_machine::probe::Method::Patch,
        Method::Delete => aistack_machine::probe::Method::Delete,
    }
}

fn exchange(
    name: Method,
    url: &str,
    headers: &[(String, String)],
    body: Option<&str>,
    limit: Duration,
) -> Result<Answer, Trouble> {
    let headers: Vec<(&str, &str)> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let request = aistack_machine::probe::Request {
        method: method(name),
        url,
        headers: &headers,
        body: body.unwrap_or_default().as_bytes(),
    };
    aistack_machine::probe::exchange(&request, limit, MOST).map_err(failed)
}

fn http(request: &Request, bounds: &Bounds) -> Seen {
    let answer = exchange(
        request.method,
        &request.url,
        &request.headers,
        request.body.as_deref(),
        bounds.limit,
    )?;
    let expect = &request.expect;
    let as_wanted = match expect.status {
        Some(status) => answer.status == status,
        None => (200..=299).contains(&answer.status),
    };
    if !as_wanted {
        let wanted = expect
            .status
            .map_or_else(|| "one from 200 to 299".to_owned(), |s| s.to_string());
        return Err(failed(format!(
            "answered status {}, not {wanted}: {}",
            answer.status,
            aistack_machine::text::bytes(&answer.body, SHOWN)
        )));
    }
    for (name, text) in &expect.headers {
        let value = answer
            .headers
            .iter()
            .find(|(seen, _)| seen.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .ok_or_else(|| failed(format!("the answer has no header {name}")))?;
        holds(&format!("header {name}"), text, value.as_bytes())?;
    }
    if let Some(text) = &expect.body {
        holds("the body", text, &answer.body)?;
    }
    if expect.json.is_empty() {
        return Ok(());
    }
    let document = serde_json::from_slice(&answer.body).map_err(|error| {
        failed(format!(
            "the body is no JSON ({error}): {}",
            aistack_machine::text::bytes(&answer.body, SHOWN)
        ))
    })?;
    expect
        .json
        .iter()
        .try_for_each(|wanted| json(wanted, &document))
}

fn json(wanted: &JsonMatch, document: &serde_json::Value) -> Seen {
    let path = &wanted.path;
    let value = match (path.find(document), wanted.exists) {
        (None, false) => return Ok(()),
        (None, true) => return Err(failed(format!("the body has nothing at {path}"))),
        (Some(value), false) => {
            return Err(failed(format!("the body has {} at {path}", shown(value))));
        }
        (Some(value), true) => value,
    };
    if let Some(equals) = &wanted.equals
        && value != equals
    {
        return Err(failed(format!("{path} is {}, not {equals}", shown(value))));
    }
    if let Some(part) = &wanted.contains {
        let has = match value {
            serde_json::Value::String(text) => text.contains(part.as_str()),
            serde_json::Value::Array(list) => list.iter().any(|item| item == part.as_str()),
            _ => false,
        };
        if !has {
            return Err(failed(format!(
                "{path} is {}, without {part:?}",
                shown(value)
            )));
        }
    }
    Ok(())
}

fn shown(value: &serde_json::Value) -> String {
    aistack_machine::text::bytes(value.to_string().as_bytes(), SHOWN)
}
