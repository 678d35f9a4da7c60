//! A scenario: a document of typed steps, in TOML or JSON.
//!
//! The format is `schemas/scenario.schema.json`. [`Scenario::parse`] gives
//! either a scenario that follows it, or one error with the place in the document.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aistack_machine::file::{self, ReadError};
use aistack_schema::Protocol;
use serde::{Deserialize, Deserializer, de};

use crate::json_path::JsonPath;
use crate::values::Values;

/// The schema number that this program reads.
pub const SCHEMA: u64 = 1;

/// The largest scenario that is read, in bytes: it keeps a wrong path from filling
/// the memory.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Why a scenario can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file can't be read.
    #[error("{} cannot be read: {cause}; check the path", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is far larger than any scenario.
    #[error("{} is larger than {} KiB, so it is no scenario: check the path", path.display(), MAX_BYTES / 1024)]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// The text is neither TOML nor, in a file `….json`, JSON.
    #[error("{} is not valid {format}: {cause}", path.display())]
    Syntax {
        /// The path.
        path: PathBuf,
        /// `TOML` or `JSON`.
        format: &'static str,
        /// Where and why, on one line.
        cause: String,
    },
    /// A text refers to something that the stack does not have.
    #[error("{} does not fit this stack at {at}: {why}", path.display())]
    Dangling {
        /// The path.
        path: PathBuf,
        /// Place in the document.
        at: String,
        /// What was looked for, and where.
        why: String,
    },
    /// A field is missing, unknown or of another kind than the schema says.
    #[error("{} does not follow scenario schema {SCHEMA} at {at}: {cause}", path.display())]
    Shape {
        /// The path.
        path: PathBuf,
        /// Place in the document, e.g. `groups[0].steps[2].http`.
        at: String,
        /// What was wrong there.
        cause: String,
    },
}

/// A field that may be absent, but not `null`.
fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

/// Named fields: serde would take a list of their values as well, the schema does not.
fn table<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Table<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Table<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("named fields")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(de::value::MapAccessDeserializer::new(map))
        }
    }

    deserializer.deserialize_map(Table(PhantomData))
}

fn optional_table<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    table(deserializer).map(Some)
}

/// Names are one line of text.
fn line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() || text.contains(char::is_control) {
        return Err(de::Error::invalid_value(
            de::Unexpected::Str(&text),
            &"one line of text",
        ));
    }
    Ok(text)
}

fn optional_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    line(deserializer).map(Some)
}

fn some<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let list = Vec::deserialize(deserializer)?;
    if list.is_empty() {
        return Err(de::Error::invalid_length(0, &"at least one"));
    }
    Ok(list)
}

/// Steps in groups, one group after the other.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Number of the format, [`SCHEMA`].
    #[serde(deserialize_with = "schema")]
    pub schema: u64,
    /// Its name, one line.
    #[serde(deserialize_with = "line")]
    pub name: String,
    /// What it shows, for people.
    #[serde(default)]
    pub description: String,
    /// Services that must be on; otherwise the whole scenario is skipped.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Groups of steps.
    #[serde(deserialize_with = "some")]
    pub groups: Vec<Group>,
}

fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        SCHEMA => Ok(SCHEMA),
        other => Err(de::Error::invalid_value(
            de::Unexpected::Unsigned(other),
            &"schema 1",
        )),
    }
}

/// Steps that run one after the other, or at the same time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// Its name, one line.
    #[serde(default, deserialize_with = "optional_line")]
    pub name: Option<String>,
    /// Whether the steps run at the same time.
    #[serde(default)]
    pub parallel: bool,
    /// Whether a step that fails leaves the others, and the groups behind, running.
    #[serde(default)]
    pub keep_going: bool,
    /// The longest time that the whole group may take; it fails when it took longer.
    #[serde(default, deserialize_with = "present")]
    pub limit: Option<Seconds>,
    /// The steps.
    #[serde(deserialize_with = "some")]
    pub steps: Vec<Step>,
}

/// A number of seconds above 0, up to 3600.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub Duration);

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        Some(seconds)
            .filter(|seconds| *seconds >= 0.001 && *seconds <= 3600.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Self)
            .ok_or_else(|| {
                de::Error::invalid_value(
                    de::Unexpected::Float(seconds),
                    &"seconds from 0.001 to 3600",
                )
            })
    }
}

/// Tries again until the step's time is up, with growing pauses.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// The first pause [default: 0.25 s].
    #[serde(default = "Retry::every")]
    pub every: Seconds,
    /// By what each pause is longer than the one before, 1 to 10 [default: 1.5].
    #[serde(default = "Retry::factor", deserialize_with = "factor")]
    pub factor: f64,
    /// The longest pause [default: 5 s].
    #[serde(default = "Retry::longest")]
    pub longest: Seconds,
    /// The most tries [default: as many as the time allows].
    #[serde(default, deserialize_with = "present")]
    pub tries: Option<NonZeroU16>,
    /// The longest time of one try [default: 10 s].
    #[serde(default = "Retry::attempt")]
    pub attempt: Seconds,
}

impl Retry {
    fn every() -> Seconds {
        Seconds(Duration::from_millis(250))
    }

    fn factor() -> f64 {
        1.5
    }

    fn longest() -> Seconds {
        Seconds(Duration::from_secs(5))
    }

    fn attempt() -> Seconds {
        Seconds(Duration::from_secs(10))
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            every: Self::every(),
            factor: Self::factor(),
            longest: Self::longest(),
            tries: None,
            attempt: Self::attempt(),
        }
    }
}

fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let factor = f64::deserialize(deserializer)?;
    if (1.0..=10.0).contains(&factor) {
        Ok(factor)
    } else {
        Err(de::Error::invalid_value(
            de::Unexpected::Float(factor),
            &"a number from 1 to 10",
        ))
    }
}

/// One step: one action, and how long and how often it is tried.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawStep")]
pub struct Step {
    /// Its name, one line [default: what the action says].
    pub name: Option<String>,
    /// The longest time for all tries together; none: what the action's kind has.
    pub timeout: Option<Seconds>,
    /// The longest time that it may take to be well: it fails when it took longer.
    pub limit: Option<Seconds>,
    /// How it is tried again; none: as the action's kind does.
    pub retry: Option<Retry>,
    /// The author says that an `exec` or `http` that could change something does not.
    pub harmless: bool,
    /// Steps that run at the scenario's end, whatever happened, once this one began.
    pub cleanup: Vec<Step>,
    /// What it does.
    pub action: Action,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $field:ident, $name:literal, $variant:ident($type:ty);)*) => {
        /// What a step does.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Action {
            $($(#[$doc])* $variant($type),)*
        }

        /// A step as it is written: exactly one of the actions.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        struct RawStep {
            #[serde(default, deserialize_with = "optional_line")]
            name: Option<String>,
            #[serde(default, deserialize_with = "present")]
            timeout: Option<Seconds>,
            #[serde(default, deserialize_with = "present")]
            limit: Option<Seconds>,
            #[serde(default, deserialize_with = "optional_table")]
            retry: Option<Retry>,
            #[serde(default)]
            harmless: bool,
            #[serde(default)]
            cleanup: Vec<Step>,
            $(#[serde(default, deserialize_with = "optional_table")]
            $field: Option<$type>,)*
        }

        /// The names of the actions in a document.
        pub const ACTIONS: &[&str] = &[$($name),*];

        impl TryFrom<RawStep> for Step {
            type Error = String;

            fn try_from(raw: RawStep) -> Result<Self, String> {
                let mut action = None;
                let mut seen = Vec::new();
                $(if let Some(value) = raw.$field {
                    action = Some(Action::$variant(value));
                    seen.push($name);
                })*
                let (Some(action), [_]) = (action, seen.as_slice()) else {
                    return Err(if seen.is_empty() {
                        format!("the step does nothing: it needs one of {}", ACTIONS.join(", "))
                    } else {
                        format!("a step does one thing, this one does {}", seen.join(" and "))
                    });
                };
                if raw.cleanup.iter().any(|step| !step.cleanup.is_empty()) {
                    return Err("a cleanup has no cleanup of its own".to_owned());
                }
                Ok(Self {
                    name: raw.name,
                    timeout: raw.timeout,
                    limit: raw.limit,
                    retry: raw.retry,
                    harmless: raw.harmless,
                    cleanup: raw.cleanup,
                    action,
                })
            }
        }
    };
}

actions! {
    /// Waits until unit, container and health probe say that a service is well.
    wait_healthy, "wait-healthy", WaitHealthy(WaitHealthy);
    /// Whether the declared ports listen on their addresses and no wider ones.
    ports, "ports", Ports(Ports);
    /// Asks what `scenarios.json` has for a service.
    checks, "checks", Checks(Services);
    /// One HTTP request and what its answer must be like.
    http, "http", Http(Http);
    /// Whether a TCP port takes connections.
    tcp, "tcp", Tcp(Tcp);
    /// Whether nothing waits for peers on a port, whatever its address.
    nothing_listens, "nothing-listens", NothingListens(PortOf);
    /// The state of a unit.
    unit, "unit", Unit(Unit);
    /// A file of the host.
    file, "file", File(FileMatch);
    /// Runs a program on the host, or in a service's container.
    exec, "exec", Exec(Exec);
    /// A line of a unit's journal since the scenario's beginning.
    journal, "journal", Journal(JournalLine);
    /// Whether a service's container is there, and is another one than before.
    container, "container", Container(ContainerState);
    /// Whether no unit of this systemd has failed.
    no_failed_units, "no-failed-units", NoFailedUnits(Empty);
    /// Whether podman has the values of a service's secrets, and nobody else shows them.
    secrets, "secrets", Secrets(Services);
    /// Whether the kernel has a container under the user, the capabilities and the root
    /// file system that its quadlet declares.
    confined, "confined", Confined(Services);
    /// Sends a signal to containers [default: KILL].
    kill_container, "kill-container", KillContainer(Kill);
    /// Stops containers where they stand (SIGSTOP).
    stop_container, "stop-container", StopContainer(Services);
    /// Lets stopped containers go on (SIGCONT); one that is gone needs nothing.
    continue_container, "continue-container", ContinueContainer(Services);
    /// Restarts the unit of a service, until there is another container.
    recreate_container, "recreate-container", RecreateContainer(Services);
    /// `podman system reset`: takes away every container, image and network.
    reset_storage, "reset-storage", ResetStorage(Empty);
    /// Starts a unit and waits for it.
    start_unit, "start-unit", StartUnit(UnitOf);
    /// Stops a unit and waits for it.
    stop_unit, "stop-unit", StopUnit(UnitOf);
    /// Restarts a unit; `wait = false` doesn't wait for it.
    restart_unit, "restart-unit", RestartUnit(Restart);
    /// Writes a service's marker through the service itself, and a file into each of its
    /// folders of data from inside the container.
    write_marker, "write-marker", WriteMarker(Services);
    /// Reads them back.
    read_marker, "read-marker", ReadMarker(Services);
    /// Listens on a port, until it is released or the scenario ends.
    take_port, "take-port", TakePort(PortOf);
    /// Listens on it no longer.
    release_port, "release-port", ReleasePort(PortOf);
}

/// Nothing to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// One service, or all that it makes sense for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Services {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
}

/// Which services are waited for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WaitHealthy {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
    /// Services that are not waited for.
    #[serde(default)]
    pub except: Vec<String>,
    /// Whether the container must be another one than at the scenario's beginning, or
    /// than a step since has killed, stopped, re-created or reset.
    #[serde(default)]
    pub new: bool,
}

/// Whose ports are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ports {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
    /// Another address of this machine, on which a port that is declared for loopback
    /// must take no connection.
    #[serde(default, deserialize_with = "present")]
    pub closed_on: Option<IpAddr>,
}

/// A container and what must be true of it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContainerState {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
    /// What must be true [default: running].
    #[serde(default)]
    pub state: Presence,
}

/// What can be true of a container. Old is the one at the scenario's beginning, or that a
/// step since has killed, stopped, re-created or reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It runs.
    #[default]
    Running,
    /// It is the old one, and runs.
    Same,
    /// It is another one than the old one.
    New,
    /// There is none that runs.
    Gone,
}

/// A signal to a container.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kill {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
    /// The signal [default: KILL].
    #[serde(default)]
    pub signal: Signal,
}

/// A signal that ends a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Signal {
    /// At once.
    #[default]
    Kill,
    /// With time to tidy up.
    Term,
    /// As by Ctrl-C.
    Int,
    /// As when a terminal goes.
    Hup,
}

impl Signal {
    /// Its name, as podman takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Hup => "HUP",
        }
    }
}

/// A unit by its name, or that of a service. Exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawUnitOf")]
pub enum UnitOf {
    /// By its own name.
    Unit(String),
    /// That of a service.
    Service(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnitOf {
    #[serde(default, deserialize_with = "optional_line")]
    unit: Option<String>,
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
}

fn unit_of(unit: Option<String>, service: Option<String>) -> Result<UnitOf, &'static str> {
    match (unit, service) {
        (Some(unit), None) if unit.starts_with('-') => Err("a unit's name does not begin with -"),
        (Some(unit), None) => Ok(UnitOf::Unit(unit)),
        (None, Some(service)) => Ok(UnitOf::Service(service)),
        _ => Err("it needs either unit or service"),
    }
}

impl TryFrom<RawUnitOf> for UnitOf {
    type Error = &'static str;

    fn try_from(raw: RawUnitOf) -> Result<Self, Self::Error> {
        unit_of(raw.unit, raw.service)
    }
}

/// A unit and the state that it must be in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawUnit")]
pub struct Unit {
    /// The unit.
    pub of: UnitOf,
    /// `active`, `inactive`, `failed` … [default: active]
    pub state: UnitState,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnit {
    #[serde(default, deserialize_with = "optional_line")]
    unit: Option<String>,
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    #[serde(default)]
    state: UnitState,
}

impl TryFrom<RawUnit> for Unit {
    type Error = &'static str;

    fn try_from(raw: RawUnit) -> Result<Self, Self::Error> {
        Ok(Self {
            of: unit_of(raw.unit, raw.service)?,
            state: raw.state,
        })
    }
}

/// What systemd calls the state of a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// It is up (also while it reloads).
    #[default]
    Active,
    /// It is starting, or waits for its next try.
    Activating,
    /// It is down, and did not fail.
    Inactive,
    /// It ended badly.
    Failed,
    /// systemd does not know it.
    NotFound,
}

/// A restart.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawRestart")]
pub struct Restart {
    /// The unit.
    pub of: UnitOf,
    /// Whether the step ends when the unit is up again.
    pub wait: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRestart {
    #[serde(default, deserialize_with = "optional_line")]
    unit: Option<String>,
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    #[serde(default = "yes")]
    wait: bool,
}

fn yes() -> bool {
    true
}

impl TryFrom<RawRestart> for Restart {
    type Error = &'static str;

    fn try_from(raw: RawRestart) -> Result<Self, Self::Error> {
        Ok(Self {
            of: unit_of(raw.unit, raw.service)?,
            wait: raw.wait,
        })
    }
}

/// What a text must be like; all that is said must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// It is this, without the white space around it.
    pub equals: Option<String>,
    /// It has all of this in it.
    pub contains: Vec<String>,
    /// It does not have this in it.
    pub lacks: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawText {
    #[serde(default, deserialize_with = "present")]
    equals: Option<String>,
    #[serde(default)]
    contains: OneOrMore<String>,
    #[serde(default, deserialize_with = "present")]
    lacks: Option<String>,
}

/// One, or a list of at least one.
struct OneOrMore<T>(Vec<T>);

impl<T> Default for OneOrMore<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Either<T> {
            type Value = OneOrMore<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(text))
                    .map(|one| OneOrMore(vec![one]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                some(de::value::SeqAccessDeserializer::new(list)).map(OneOrMore)
            }
        }

        deserializer.deserialize_any(Either(PhantomData))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: RawText = table(deserializer)?;
        let text = Self {
            equals: raw.equals,
            contains: raw.contains.0,
            lacks: raw.lacks,
        };
        if text.equals.is_none() && text.contains.is_empty() && text.lacks.is_none() {
            return Err(de::Error::custom("it needs equals, contains or lacks"));
        }
        Ok(text)
    }
}

/// A port by number, or by a service's name for it. Exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawPortOf")]
pub enum PortOf {
    /// By number.
    Number {
        /// Address of the host [default: 127.0.0.1].
        address: Option<IpAddr>,
        /// The port.
        number: NonZeroU16,
        /// TCP or UDP [default: tcp].
        protocol: Protocol,
    },
    /// A service's.
    Named {
        /// The service.
        service: String,
        /// Name of its port; none: its first.
        port: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPortOf {
    #[serde(default, deserialize_with = "present")]
    address: Option<IpAddr>,
    #[serde(default, deserialize_with = "present")]
    number: Option<NonZeroU16>,
    #[serde(default, deserialize_with = "present")]
    protocol: Option<Protocol>,
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    #[serde(default, deserialize_with = "present")]
    port: Option<String>,
}

impl TryFrom<RawPortOf> for PortOf {
    type Error = &'static str;

    fn try_from(raw: RawPortOf) -> Result<Self, Self::Error> {
        match raw {
            RawPortOf {
                address,
                number: Some(number),
                protocol,
                service: None,
                port: None,
            } => Ok(Self::Number {
                address,
                number,
                protocol: protocol.unwrap_or(Protocol::Tcp),
            }),
            RawPortOf {
                address: None,
                number: None,
                protocol: None,
                service: Some(service),
                port,
            } => Ok(Self::Named { service, port }),
            _ => Err(
                "it needs either number (with address, protocol) or service (with the name of a port)",
            ),
        }
    }
}

/// A TCP port and whether it takes connections.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawTcp")]
pub struct Tcp {
    /// The port.
    pub of: PortOf,
    /// Whether it must be open.
    pub open: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTcp {
    #[serde(default, deserialize_with = "present")]
    address: Option<IpAddr>,
    #[serde(default, deserialize_with = "present")]
    number: Option<NonZeroU16>,
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    #[serde(default, deserialize_with = "present")]
    port: Option<String>,
    #[serde(default = "yes")]
    open: bool,
}

impl TryFrom<RawTcp> for Tcp {
    type Error = &'static str;

    fn try_from(raw: RawTcp) -> Result<Self, Self::Error> {
        let of = PortOf::try_from(RawPortOf {
            address: raw.address,
            number: raw.number,
            protocol: None,
            service: raw.service,
            port: raw.port,
        })?;
        Ok(Self { of, open: raw.open })
    }
}

/// A request and its answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "RawHttp")]
pub struct Http {
    /// Where to.
    pub to: HttpTo,
    /// What it does [default: GET].
    pub method: Method,
    /// Headers that are sent.
    pub headers: BTreeMap<String, String>,
    /// What is sent along.
    pub body: Option<String>,
    /// What the answer must be like.
    pub expect: HttpExpect,
}

/// Where a request goes. Exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpTo {
    /// `http://…`; TLS is not spoken.
    Url(String),
    /// A service's port.
    Service {
        /// The service.
        service: String,
        /// Name of its port; none: `http`.
        port: Option<String>,
        /// Path and query, from `/`.
        path: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    #[serde(default, deserialize_with = "optional_line")]
    url: Option<String>,
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    #[serde(default, deserialize_with = "present")]
    port: Option<String>,
    #[serde(default, deserialize_with = "optional_line")]
    path: Option<String>,
    #[serde(default)]
    method: Method,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "present")]
    body: Option<String>,
    #[serde(default, deserialize_with = "table")]
    expect: HttpExpect,
}

impl TryFrom<RawHttp> for Http {
    type Error = &'static str;

    fn try_from(raw: RawHttp) -> Result<Self, Self::Error> {
        let to = match (raw.url, raw.service, raw.port, raw.path) {
            (Some(url), None, None, None) if url.starts_with("http://") => HttpTo::Url(url),
            (Some(_), None, None, None) => return Err("the url must begin with http://"),
            (None, Some(service), port, path) => HttpTo::Service {
                service,
                port,
                path: match path {
                    Some(path) if !path.starts_with('/') => {
                        return Err("the path must begin with /");
                    }
                    path => path.unwrap_or_else(|| "/".to_owned()),
                },
            },
            _ => return Err("it needs either url or service (with port, path)"),
        };
        if raw.body.is_some() && !raw.method.has_body() {
            return Err("a body is sent with POST, PUT and PATCH alone");
        }
        Ok(Self {
            to,
            method: raw.method,
            headers: raw.headers,
            body: raw.body,
            expect: raw.expect,
        })
    }
}

/// What a request does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Asks.
    #[default]
    Get,
    /// Asks for the head alone.
    Head,
    /// Hands something over.
    Post,
    /// Puts something in its place.
    Put,
    /// Changes what is there.
    Patch,
    /// Takes away.
    Delete,
}

impl Method {
    fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }

    /// Whether it leaves everything as it is.
    #[must_use]
    pub fn only_asks(self) -> bool {
        matches!(self, Self::Get | Self::Head)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What an HTTP answer must be like.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpExpect {
    /// Status, 100 to 599 [default: any from 200 to 299].
    #[serde(default, deserialize_with = "status")]
    pub status: Option<u16>,
    /// Headers by name, in any case.
    #[serde(default)]
    pub headers: BTreeMap<String, Text>,
    /// The body as text.
    #[serde(default, deserialize_with = "present")]
    pub body: Option<Text>,
    /// Places of the body as JSON.
    #[serde(default)]
    pub json: Vec<JsonMatch>,
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (100..=599).contains(&status) {
        Ok(Some(status))
    } else {
        Err(de::Error::invalid_value(
            de::Unexpected::Unsigned(status.into()),
            &"a status from 100 to 599",
        ))
    }
}

/// What stands at a place of a JSON document. Without a matcher: that it is there.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonMatch {
    /// The place: `$.result.collections[0].name`.
    pub path: JsonPath,
    /// It is this value.
    #[serde(default, deserialize_with = "present")]
    pub equals: Option<serde_json::Value>,
    /// It is a text with this in it, or a list with this text.
    #[serde(default, deserialize_with = "present")]
    pub contains: Option<String>,
    /// Whether there is anything [default: true].
    #[serde(default = "yes")]
    pub exists: bool,
}

/// A file of the host.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileMatch {
    /// Absolute path.
    #[serde(deserialize_with = "absolute")]
    pub path: PathBuf,
    /// Whether it is there [default: true].
    #[serde(default = "yes")]
    pub exists: bool,
    /// What stands in it; one of more than a MiB is not looked into.
    #[serde(default, deserialize_with = "present")]
    pub text: Option<Text>,
}

fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let path = line(deserializer)?;
    // One that is taken from the stack is looked at when it is filled in.
    if path.starts_with('/') || path.starts_with("${") {
        Ok(PathBuf::from(path))
    } else {
        Err(de::Error::invalid_value(
            de::Unexpected::Str(&path),
            &"an absolute path",
        ))
    }
}

/// A program and what it must say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The service in whose container it runs; none: on the host.
    #[serde(default, deserialize_with = "present")]
    pub service: Option<String>,
    /// Program and arguments; no shell takes part.
    #[serde(deserialize_with = "some")]
    pub argv: Vec<String>,
    /// Its standard input [default: nothing].
    #[serde(default, deserialize_with = "present")]
    pub input: Option<String>,
    /// Exit status [default: 0].
    #[serde(default)]
    pub exit: u8,
    /// Its standard output.
    #[serde(default, deserialize_with = "present")]
    pub stdout: Option<Text>,
    /// Its standard error, on one line.
    #[serde(default, deserialize_with = "present")]
    pub stderr: Option<Text>,
}

/// What a unit must say, or must not. At least one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "RawJournal")]
pub struct JournalLine {
    /// The unit; none: whoever says it.
    pub of: Option<UnitOf>,
    /// What one of its lines has in it, all of this.
    pub contains: Vec<String>,
    /// What no line has in it.
    pub lacks: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJournal {
    #[serde(default, deserialize_with = "optional_line")]
    unit: Option<String>,
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    #[serde(default)]
    contains: OneOrMore<Line>,
    #[serde(default, deserialize_with = "optional_line")]
    lacks: Option<String>,
}

/// One line of text.
struct Line(String);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        line(deserializer).map(Self)
    }
}

impl TryFrom<RawJournal> for JournalLine {
    type Error = &'static str;

    fn try_from(raw: RawJournal) -> Result<Self, Self::Error> {
        let contains: Vec<String> = raw.contains.0.into_iter().map(|Line(text)| text).collect();
        if contains.is_empty() && raw.lacks.is_none() {
            return Err("it needs contains or lacks");
        }
        Ok(Self {
            of: if raw.unit.is_none() && raw.service.is_none() {
                None
            } else {
                Some(unit_of(raw.unit, raw.service)?)
            },
            contains,
            lacks: raw.lacks,
        })
    }
}

impl Action {
    /// Whether it changes something, or could.
    #[must_use]
    pub fn changes(&self) -> bool {
        match self {
            Self::WaitHealthy(_)
            | Self::Ports(_)
            | Self::Checks(_)
            | Self::Tcp(_)
            | Self::NothingListens(_)
            | Self::Unit(_)
            | Self::File(_)
            | Self::Journal(_)
            | Self::Container(_)
            | Self::NoFailedUnits(_)
            | Self::Secrets(_)
            | Self::Confined(_)
            | Self::ReadMarker(_) => false,
            Self::Http(http) => !http.method.only_asks(),
            _ => true,
        }
    }

    /// Whether the author's word that it changes nothing is taken.
    #[must_use]
    pub fn can_be_harmless(&self) -> bool {
        matches!(self, Self::Http(_) | Self::Exec(_))
    }
}

/// A document as a tree, from TOML or (by the file's name) JSON.
fn tree(path: &Path, text: &[u8]) -> Result<serde_json::Value, ScenarioError> {
    let syntax = |format, cause: &dyn fmt::Display| ScenarioError::Syntax {
        path: path.to_owned(),
        format,
        cause: aistack_machine::text::error(cause),
    };
    if path.extension().is_some_and(|name| name == "json") {
        return serde_json::from_slice(text).map_err(|error| syntax("JSON", &error));
    }
    let text = std::str::from_utf8(text).map_err(|error| syntax("TOML", &error))?;
    toml::from_str(text).map_err(|error| syntax("TOML", &error))
}

impl Scenario {
    /// Reads the file at `path`: JSON when its name ends so, TOML otherwise.
    ///
    /// # Errors
    /// When it can't be read, or as [`Scenario::parse`].
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        Self::parse(path, &read(path)?)
    }

    /// Parses `text`; `path` names it in errors, and its ending says the format.
    ///
    /// # Errors
    /// When it is not of the format, or does not follow the schema.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ScenarioError> {
        shaped(path, &tree(path, text)?)
    }

    /// As [`Scenario::load`], with the values of a stack in its texts.
    ///
    /// # Errors
    /// As that, and when a text refers to something that the stack does not have.
    pub fn load_on(path: &Path, values: &Values) -> Result<Self, ScenarioError> {
        Self::parse_on(path, &read(path)?, values)
    }

    /// As [`Scenario::parse`], with the values of a stack in its texts. One that
    /// requires services which the stack does not have stays as it is: it is not run.
    ///
    /// # Errors
    /// As that, and when a text refers to something that the stack does not have.
    pub fn parse_on(path: &Path, text: &[u8], values: &Values) -> Result<Self, ScenarioError> {
        let mut tree = tree(path, text)?;
        let raw: Self = shaped(path, &tree)?;
        if raw.requires.iter().any(|name| !values.has_service(name)) {
            return Ok(raw);
        }
        values
            .fill(&mut tree)
            .map_err(|dangling| ScenarioError::Dangling {
                path: path.to_owned(),
                at: dangling.at,
                why: dangling.why,
            })?;
        shaped(path, &tree)
    }
}

/// A value of a tree, or an error with the place in it.
pub(crate) fn shaped<T: de::DeserializeOwned>(
    path: &Path,
    tree: &serde_json::Value,
) -> Result<T, ScenarioError> {
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let at = error.path().to_string();
        ScenarioError::Shape {
            path: path.to_owned(),
            at: if at == "." {
                "the top level".to_owned()
            } else {
                at
            },
            cause: aistack_machine::text::error(&error.into_inner()),
        }
    })
}

/// The bytes of a file, at most [`MAX_BYTES`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ScenarioError> {
    let unreadable = |cause| ScenarioError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    file::read(path, MAX_BYTES).map_err(|error| match error {
        ReadError::TooLong(_) => ScenarioError::TooLarge {
            path: path.to_owned(),
        },
        other => unreadable(other.into()),
    })
}
