//! A scenario on a stack: each step with the services, units and ports that it means.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aistack_schema::{Protocol, Service, Stack};

use crate::scenario::{
    Action, Exec, FileMatch, Group, Http, HttpExpect, HttpTo, JournalLine, Method, PortOf,
    Presence, Retry, Scenario, Seconds, Services, Step, UnitOf, UnitState,
};
use crate::services::{ServiceData, Way};

/// How long a step may take whose kind waits for nothing.
const USUAL: Duration = Duration::from_secs(30);
/// How long a unit may take to start or stop.
const UNIT: Duration = Duration::from_mins(5);
/// How long a line of the journal is waited for.
const JOURNAL: Duration = Duration::from_mins(1);

/// Why a scenario does not fit a stack.
#[derive(Debug, thiserror::Error)]
#[error("scenario {scenario} at {at}: {why}")]
pub struct PlanError {
    scenario: String,
    at: String,
    why: String,
}

/// A service with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// What the stack says of it.
    pub service: Arc<Service>,
}

/// A request with its address.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `http://…`
    pub url: String,
    /// What it does.
    pub method: Method,
    /// Headers that are sent.
    pub headers: Vec<(String, String)>,
    /// What is sent along.
    pub body: Option<String>,
    /// What the answer must be like.
    pub expect: HttpExpect,
}

/// What is done with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Start it and wait.
    Start,
    /// Stop it and wait.
    Stop,
    /// Restart it and wait.
    Restart,
    /// Restart it.
    RestartNoWait,
}

/// What an answer must be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Texts that it has; none: any answer will do.
    pub contains: Vec<String>,
    /// A text that it does not have.
    pub lacks: Option<String>,
}

/// What [`Deed::Ask`] is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The answer has this in it.
    Check,
    /// The value is taken; one that is there already is as good.
    Write,
}

/// What a planned step does.
#[derive(Clone, Debug, PartialEq)]
pub enum Deed {
    /// Waits until a service is well.
    Healthy {
        /// The service.
        of: Named,
        /// Whether its container must be another one.
        new: bool,
    },
    /// Looks at a service's container.
    Container(Named, Presence),
    /// Looks at a service's ports, and whether those of loopback are closed on another
    /// address.
    Ports(Named, Option<IpAddr>),
    /// Looks whether units have failed.
    NoFailedUnits,
    /// Looks who has the values of a service's secrets.
    Secrets(Named),
    /// Holds a container against its quadlet.
    Confined(Named),
    /// Writes or reads a file in each of the folders of a service's container.
    Files(Named, Vec<String>, Purpose),
    /// Asks a service what `scenarios.json` has for it.
    Ask {
        /// The service.
        of: Named,
        /// How: one way after the other.
        ways: Vec<Way>,
        /// What must be in the answer, and what must not.
        expect: Expected,
        /// What for.
        purpose: Purpose,
    },
    /// One HTTP request.
    Http(Request),
    /// Connects.
    Tcp(SocketAddr, bool),
    /// Looks whether anything waits for peers.
    NothingListens(Protocol, SocketAddr),
    /// Looks at a unit.
    Unit(String, UnitState),
    /// Looks at a file.
    File(FileMatch),
    /// Runs a program; the container, where in one.
    Exec(Option<String>, Exec),
    /// Waits for a line; the unit, where it is a certain one's.
    Journal(Option<String>, JournalLine),
    /// Sends a signal to a service's container.
    Signal(Named, &'static str),
    /// Lets a container go on.
    Continue(Named),
    /// Restarts a service until there is another container.
    Recreate(Named),
    /// Takes away podman's storage.
    Reset(Vec<Named>),
    /// Starts, stops, restarts a unit.
    Verb(Verb, String),
    /// Listens.
    TakePort(Protocol, SocketAddr),
    /// Listens no longer.
    ReleasePort(Protocol, SocketAddr),
    /// Nothing: why.
    Skip(String),
}

/// A step that can be run.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What is shown of it.
    pub name: String,
    /// What it does.
    pub deed: Arc<Deed>,
    /// The longest time for all tries.
    pub timeout: Duration,
    /// It fails when it took longer.
    pub limit: Option<Duration>,
    /// How it is tried again.
    pub retry: Option<Retry>,
    /// What runs at the end.
    pub cleanup: Vec<Planned>,
    /// Whether it changes something, or could.
    pub changes: bool,
}

/// A group that can be run.
#[derive(Clone, Debug)]
pub struct PlannedGroup {
    /// What is shown of it.
    pub name: String,
    /// Whether its steps run at the same time.
    pub parallel: bool,
    /// Whether the others go on when one fails.
    pub keep_going: bool,
    /// The longest time of all together.
    pub limit: Option<Duration>,
    /// Its steps.
    pub steps: Vec<Planned>,
}

/// A scenario that can be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its groups.
    pub groups: Vec<PlannedGroup>,
}

impl Plan {
    /// The steps, and what cleans up after them.
    pub fn steps(&self) -> impl Iterator<Item = &Planned> {
        self.groups
            .iter()
            .flat_map(|group| &group.steps)
            .flat_map(|step| std::iter::once(step).chain(&step.cleanup))
    }

    /// The units whose state it asks for.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        self.steps().filter_map(|step| match &*step.deed {
            Deed::Unit(unit, _) => Some(unit.as_str()),
            _ => None,
        })
    }

    /// Whether it asks for containers to be others than before, or the same.
    #[must_use]
    pub fn compares_containers(&self) -> bool {
        self.steps().any(|step| {
            matches!(
                *step.deed,
                Deed::Healthy { new: true, .. }
                    | Deed::Container(_, Presence::Same | Presence::New)
            )
        })
    }
}

/// What a scenario is planned on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// What its services are asked.
    pub data: &'a ServiceData,
    /// Whether the stack may be changed: checks that write are left out otherwise.
    pub destructive: bool,
}

impl Ground<'_> {
    /// The scenario with everything that it means on this stack.
    ///
    /// # Errors
    /// When it names a service or a port that the stack does not have.
    pub fn plan(&self, scenario: &Scenario) -> Result<Plan, PlanError> {
        let missing: Vec<&str> = scenario
            .requires
            .iter()
            .map(String::as_str)
            .filter(|name| !self.stack.services.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            let why = format!("{} is not on", missing.join(", "));
            return Ok(Plan {
                name: scenario.name.clone(),
                groups: vec![PlannedGroup {
                    name: String::new(),
                    parallel: false,
                    keep_going: true,
                    limit: None,
                    steps: vec![Planned::skipped(scenario.name.clone(), why)],
                }],
            });
        }
        let error = |at: String| {
            move |why| PlanError {
                scenario: scenario.name.clone(),
                at,
                why,
            }
        };
        let groups = scenario
            .groups
            .iter()
            .enumerate()
            .map(|(g, group)| {
                let mut steps = Vec::new();
                for (s, step) in group.steps.iter().enumerate() {
                    let at = format!("groups[{g}].steps[{s}]");
                    steps.extend(self.steps(step, &at).map_err(|(at, why)| error(at)(why))?);
                }
                Ok(PlannedGroup::of(group, g, steps))
            })
            .collect::<Result<_, PlanError>>()?;
        Ok(Plan {
            name: scenario.name.clone(),
            groups,
        })
    }

    fn steps(&self, step: &Step, at: &str) -> Result<Vec<Planned>, (String, String)> {
        let mut cleanup = Vec::new();
        for (c, step) in step.cleanup.iter().enumerate() {
            cleanup.extend(self.steps(step, &format!("{at}.cleanup[{c}]"))?);
        }
        let deeds = self
            .deeds(&step.action)
            .map_err(|why| (at.to_owned(), why))?;
        let several = deeds.len() > 1;
        Ok(deeds
            .into_iter()
            .enumerate()
            .map(|(at, (said, deed))| {
                let (timeout, retry) = habit(&deed);
                let skipped = matches!(deed, Deed::Skip(_));
                Planned {
                    name: match &step.name {
                        Some(name) if several => format!("{name}: {said}"),
                        Some(name) => name.clone(),
                        None => said,
                    },
                    deed: Arc::new(deed),
                    timeout: step.timeout.map_or(timeout, |Seconds(limit)| limit),
                    limit: step.limit.map(|Seconds(limit)| limit),
                    retry: step.retry.or(retry),
                    // Once for the step, however many services it stands for.
                    cleanup: if at == 0 { cleanup.clone() } else { Vec::new() },
                    changes: !skipped
                        && step.action.changes()
                        && !(step.harmless && step.action.can_be_harmless()),
                }
            })
            .collect())
    }

    fn service(&self, name: &str) -> Result<Named, String> {
        let service = self.stack.services.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.stack.services.keys().map(String::as_str).collect();
            format!(
                "no service is called {name}: known are {}",
                known.join(", ")
            )
        })?;
        Ok(Named {
            name: name.to_owned(),
            service: Arc::new(service.clone()),
        })
    }

    fn services(&self, name: Option<&str>) -> Result<Vec<Named>, String> {
        match name {
            Some(name) => Ok(vec![self.service(name)?]),
            None => self
                .stack
                .services
                .keys()
                .map(|name| self.service(name))
                .collect(),
        }
    }

    fn each(
        &self,
        services: &Services,
        deed: impl Fn(Named) -> (String, Deed),
    ) -> Result<Vec<(String, Deed)>, String> {
        let services = self.services(services.service.as_deref())?;
        Ok(services.into_iter().map(deed).collect())
    }

    fn unit(&self, of: &UnitOf) -> Result<String, String> {
        match of {
            UnitOf::Unit(unit) => Ok(unit.clone()),
            UnitOf::Service(name) => Ok(self.service(name)?.service.unit.clone()),
        }
    }

    fn port(&self, of: &PortOf) -> Result<(Protocol, SocketAddr), String> {
        match of {
            PortOf::Number {
                address,
                number,
                protocol,
            } => {
                let address = address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                Ok((*protocol, SocketAddr::new(address, number.get())))
            }
            PortOf::Named { service, port } => {
                let named = self.service(service)?;
                let found = match port {
                    Some(name) => named.service.port(name),
                    None => named.service.ports.first(),
                };
                let port = found.ok_or_else(|| no_port(&named, port.as_deref()))?;
                Ok((port.protocol, port.reachable()))
            }
        }
    }

    /// What an action means here, with a text for people.
    #[expect(clippy::too_many_lines, reason = "one arm an action")]
    fn deeds(&self, action: &Action) -> Result<Vec<(String, Deed)>, String> {
        let one = |said: String, deed| Ok(vec![(said, deed)]);
        match action {
            Action::WaitHealthy(wait) => {
                let mut services = self.services(wait.service.as_deref())?;
                for name in &wait.except {
                    self.service(name)?;
                    services.retain(|of| of.name != *name);
                }
                let what = if wait.new {
                    "is healthy in a new container"
                } else {
                    "is healthy"
                };
                Ok(services
                    .into_iter()
                    .map(|of| {
                        (
                            format!("{} {what}", of.name),
                            Deed::Healthy { of, new: wait.new },
                        )
                    })
                    .collect())
            }
            Action::Ports(ports) => {
                let services = Services {
                    service: ports.service.clone(),
                };
                self.each(&services, |of| {
                    let said = format!("{} listens as declared", of.name);
                    (said, Deed::Ports(of, ports.closed_on))
                })
            }
            Action::Container(container) => {
                let services = Services {
                    service: container.service.clone(),
                };
                self.each(&services, |of| {
                    let what = match container.state {
                        Presence::Running => "has a container that runs",
                        Presence::Same => "has the same container",
                        Presence::New => "has a new container",
                        Presence::Gone => "has no container that runs",
                    };
                    (
                        format!("{} {what}", of.name),
                        Deed::Container(of, container.state),
                    )
                })
            }
            Action::NoFailedUnits(_) => one("no unit has failed".to_owned(), Deed::NoFailedUnits),
            Action::Secrets(services) => Ok(self
                .services(services.service.as_deref())?
                .into_iter()
                // Asked for by name, it should be seen that there was nothing to look at.
                .filter(|of| services.service.is_some() || !of.service.secrets.is_empty())
                .map(|of| {
                    let said = format!("{} keeps its secrets", of.name);
                    let deed = if of.service.secrets.is_empty() {
                        Deed::Skip("it has none".to_owned())
                    } else {
                        Deed::Secrets(of)
                    };
                    (said, deed)
                })
                .collect()),
            Action::Confined(services) => self.each(services, |of| {
                (
                    format!("{} is confined as declared", of.name),
                    Deed::Confined(of),
                )
            }),
            Action::Checks(services) => self.checks(services),
            Action::Http(http) => {
                let request = self.request(http)?;
                let said = format!("{} {}", request.method.name(), request.url);
                one(said, Deed::Http(request))
            }
            Action::Tcp(tcp) => {
                let (protocol, at) = self.port(&tcp.of)?;
                if protocol != Protocol::Tcp {
                    return Err(format!("{at} is a port of UDP, and tcp connects"));
                }
                let what = if tcp.open { "takes" } else { "takes no" };
                one(format!("{at} {what} connections"), Deed::Tcp(at, tcp.open))
            }
            Action::NothingListens(of) => {
                let (protocol, at) = self.port(of)?;
                let said = format!("nothing listens on port {}/{protocol}", at.port());
                one(said, Deed::NothingListens(protocol, at))
            }
            Action::Unit(unit) => {
                let name = self.unit(&unit.of)?;
                let said = format!("{name} is {}", state_name(unit.state));
                one(said, Deed::Unit(name, unit.state))
            }
            Action::File(file) => {
                let what = if file.exists {
                    "is there"
                } else {
                    "is not there"
                };
                one(
                    format!("{} {what}", file.path.display()),
                    Deed::File(file.clone()),
                )
            }
            Action::Exec(exec) => {
                let container = match &exec.service {
                    Some(name) => Some(self.service(name)?.service.container.clone()),
                    None => None,
                };
                let place = container.as_deref().unwrap_or("host");
                one(
                    format!(
                        "{place}: {}",
                        exec.argv.join(" ").replace(char::is_control, " ")
                    ),
                    Deed::Exec(container.clone(), exec.clone()),
                )
            }
            Action::Journal(line) => {
                let unit = line.of.as_ref().map(|of| self.unit(of)).transpose()?;
                let who = unit.as_deref().unwrap_or("somebody");
                let said = match &line.lacks {
                    Some(lacks) if line.contains.is_empty() => {
                        format!(
                            "{} does not say {lacks:?}",
                            unit.as_deref().unwrap_or("anybody")
                        )
                    }
                    _ => format!("{who} says {}", all_of(&line.contains)),
                };
                one(said, Deed::Journal(unit, line.clone()))
            }
            Action::ReadMarker(services) => self.markers(services, Purpose::Check),
            Action::KillContainer(kill) => {
                let services = Services {
                    service: kill.service.clone(),
                };
                let signal = kill.signal.name();
                self.each(&services, |of| {
                    (
                        format!("SIG{signal} to {}", of.name),
                        Deed::Signal(of, signal),
                    )
                })
            }
            Action::StopContainer(services) => self.each(services, |of| {
                (format!("SIGSTOP to {}", of.name), Deed::Signal(of, "STOP"))
            }),
            Action::ContinueContainer(services) => self.each(services, |of| {
                (format!("{} goes on", of.name), Deed::Continue(of))
            }),
            Action::RecreateContainer(services) => self.each(services, |of| {
                (
                    format!("{} gets a new container", of.name),
                    Deed::Recreate(of),
                )
            }),
            Action::ResetStorage(_) => one(
                "podman's storage is reset".to_owned(),
                Deed::Reset(self.services(None)?),
            ),
            Action::StartUnit(of) => self.verb(Verb::Start, "start", of),
            Action::StopUnit(of) => self.verb(Verb::Stop, "stop", of),
            Action::RestartUnit(restart) => {
                let verb = if restart.wait {
                    Verb::Restart
                } else {
                    Verb::RestartNoWait
                };
                self.verb(verb, "restart", &restart.of)
            }
            Action::WriteMarker(services) => self.markers(services, Purpose::Write),
            Action::TakePort(of) => {
                let (protocol, at) = self.port(of)?;
                one(
                    format!("port {at}/{protocol} is taken"),
                    Deed::TakePort(protocol, at),
                )
            }
            Action::ReleasePort(of) => {
                let (protocol, at) = self.port(of)?;
                one(
                    format!("port {at}/{protocol} is released"),
                    Deed::ReleasePort(protocol, at),
                )
            }
        }
    }

    fn verb(&self, verb: Verb, name: &str, of: &UnitOf) -> Result<Vec<(String, Deed)>, String> {
        let unit = self.unit(of)?;
        Ok(vec![(format!("{name} {unit}"), Deed::Verb(verb, unit))])
    }

    fn request(&self, http: &Http) -> Result<Request, String> {
        let url = match &http.to {
            HttpTo::Url(url) => url.clone(),
            HttpTo::Service {
                service,
                port,
                path,
            } => {
                let named = self.service(service)?;
                let port = port.as_deref().unwrap_or("http");
                let found = named
                    .service
                    .port(port)
                    .ok_or_else(|| no_port(&named, Some(port)))?;
                format!("http://{}{path}", found.reachable())
            }
        };
        Ok(Request {
            url,
            method: http.method,
            headers: http.headers.clone().into_iter().collect(),
            body: http.body.clone(),
            expect: http.expect.clone(),
        })
    }

    fn checks(&self, services: &Services) -> Result<Vec<(String, Deed)>, String> {
        let mut deeds = Vec::new();
        for of in self.services(services.service.as_deref())? {
            let checks = self
                .data
                .0
                .get(&of.name)
                .map_or(&[][..], |data| &data.checks);
            for check in checks {
                let deed = match check.way() {
                    _ if !check.quick && !self.destructive => {
                        Deed::Skip("it writes: for test stacks alone".to_owned())
                    }
                    Some(way) => {
                        Self::fits(&of, &way)?;
                        Deed::Ask {
                            of: of.clone(),
                            ways: vec![way],
                            expect: Expected {
                                contains: check.expect.clone(),
                                lacks: check.lacks.clone(),
                            },
                            purpose: Purpose::Check,
                        }
                    }
                    None => Deed::Skip("it says no way to ask".to_owned()),
                };
                deeds.push((format!("{} {}", of.name, check.name), deed));
            }
        }
        Ok(deeds)
    }

    fn fits(of: &Named, way: &Way) -> Result<(), String> {
        match way {
            Way::Http(request) if of.service.port(&request.port).is_none() => Err(format!(
                "scenarios.json asks {} on a port that it has not: {}",
                of.name,
                no_port(of, Some(&request.port))
            )),
            _ => Ok(()),
        }
    }

    fn markers(
        &self,
        services: &Services,
        purpose: Purpose,
    ) -> Result<Vec<(String, Deed)>, String> {
        let mut deeds = Vec::new();
        for of in self.services(services.service.as_deref())? {
            let said = match purpose {
                Purpose::Write => format!("{} takes its marker", of.name),
                Purpose::Check => format!("{} has its marker", of.name),
            };
            let folders: Vec<String> = of
                .service
                .data
                .iter()
                .filter(|data| !data.read_only)
                .map(|data| data.container.display().to_string())
                .collect();
            if !folders.is_empty() {
                let what = match purpose {
                    Purpose::Write => "can write to",
                    Purpose::Check => "has its files in",
                };
                let said = format!("{} {what} {}", of.name, folders.join(", "));
                deeds.push((said, Deed::Files(of.clone(), folders.clone(), purpose)));
            }
            let Some(marker) = self.data.0.get(&of.name).and_then(|of| of.marker.as_ref()) else {
                // Asked for by name, it should be seen that nothing was looked at.
                if services.service.is_some() && folders.is_empty() {
                    let why = "it has no folder, and scenarios.json no marker for it".to_owned();
                    deeds.push((said, Deed::Skip(why)));
                }
                continue;
            };
            let (ways, expect) = match purpose {
                Purpose::Write => (marker.write.clone(), Expected::default()),
                Purpose::Check => (
                    vec![marker.read.clone()],
                    Expected {
                        contains: marker.expect.clone(),
                        lacks: None,
                    },
                ),
            };
            for way in &ways {
                Self::fits(&of, way)?;
            }
            deeds.push((
                said,
                Deed::Ask {
                    of,
                    ways,
                    expect,
                    purpose,
                },
            ));
        }
        Ok(deeds)
    }
}

impl Planned {
    fn skipped(name: String, why: String) -> Self {
        Self {
            name,
            deed: Arc::new(Deed::Skip(why)),
            timeout: USUAL,
            limit: None,
            retry: None,
            cleanup: Vec::new(),
            changes: false,
        }
    }
}

impl PlannedGroup {
    fn of(group: &Group, at: usize, steps: Vec<Planned>) -> Self {
        Self {
            name: group
                .name
                .clone()
                .unwrap_or_else(|| format!("group {}", at + 1)),
            parallel: group.parallel,
            keep_going: group.keep_going,
            limit: group.limit.map(|Seconds(limit)| limit),
            steps,
        }
    }
}

fn no_port(of: &Named, port: Option<&str>) -> String {
    let known: Vec<&str> = of.service.ports.iter().map(|p| p.name.as_str()).collect();
    match port {
        Some(port) if !known.is_empty() => format!(
            "{} has no port {port}: known are {}",
            of.name,
            known.join(", ")
        ),
        _ => format!("{} has no ports", of.name),
    }
}

/// Texts, each in quotes.
#[must_use]
pub fn all_of(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    quoted.join(" and ")
}

/// The state in systemd's word.
#[must_use]
pub fn state_name(state: UnitState) -> &'static str {
    match state {
        UnitState::Active => "active",
        UnitState::Activating => "activating",
        UnitState::Inactive => "inactive",
        UnitState::Failed => "failed",
        UnitState::NotFound => "not-found",
    }
}

/// How long a kind of step may take, and whether it waits by itself.
fn habit(deed: &Deed) -> (Duration, Option<Retry>) {
    match deed {
        Deed::Healthy { .. } | Deed::Container(..) => (UNIT, Some(Retry::default())),
        Deed::Journal(_, line) if !line.contains.is_empty() => (JOURNAL, Some(Retry::default())),
        // The journal, which is searched for secrets, can be long.
        Deed::Recreate(_) | Deed::Reset(_) | Deed::Verb(..) | Deed::Secrets(_) => (UNIT, None),
        _ => (USUAL, None),
    }
}
