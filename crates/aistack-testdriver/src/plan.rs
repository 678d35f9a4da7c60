//! A scenario on a stack: each step with the services, units and ports that it means.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use aistack_machine::command::Bounds;
use aistack_schema::{Protocol, Service, Stack};

use crate::checks::ServiceChecks;
use crate::fields::{PortOf, Retry, UnitOf};
use crate::machine::{Machine, StepError, StepResult};
use crate::scenario::{Scenario, Step};

/// How long a step may take that waits for nothing.
const USUAL: Duration = Duration::from_secs(30);
/// How long a unit or a container may take to start or stop.
pub(crate) const UNIT: Duration = Duration::from_mins(5);

/// Why a scenario does not fit a stack.
#[derive(Debug, thiserror::Error)]
#[error("scenario {scenario} at {at}: {why}")]
pub struct PlanError {
    scenario: String,
    at: String,
    why: String,
}

/// The parts of a step, or why it does not fit the stack.
pub type PlannedParts = Result<Vec<Planned>, String>;

/// A service with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedService {
    /// Its name.
    pub name: String,
    service: Arc<Service>,
}

impl Deref for NamedService {
    type Target = Service;

    fn deref(&self) -> &Service {
        &self.service
    }
}

impl NamedService {
    /// The port of that name, or the first one.
    pub(crate) fn port_or_first(
        &self,
        name: Option<&str>,
    ) -> Result<&aistack_schema::Port, String> {
        let found = match name {
            Some(name) => self.port(name),
            None => self.ports.first(),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = self.ports.iter().map(|p| p.name.as_str()).collect();
            match name {
                Some(name) if !known.is_empty() => format!(
                    "{} has no port {name}: known are {}",
                    self.name,
                    known.join(", ")
                ),
                _ => format!("{} has no ports", self.name),
            }
        })
    }
}

/// What must be known before the first step, or by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The state of a unit.
    UnitState(String),
    /// The journal's end at the beginning.
    Journal,
    /// The ids of the containers at the beginning.
    OldContainers,
    /// Time for a service to become healthy.
    Health,
}

/// One try of a step.
pub type Try = dyn Fn(&Machine, &Bounds) -> StepResult + Send + Sync;

/// A step that can be run: a step of the scenario, or its part for one service.
#[derive(Clone)]
pub struct Planned {
    /// What is shown of it.
    pub name: String,
    /// Does it once.
    pub run: Arc<Try>,
    /// The longest time for all tries.
    pub timeout: Duration,
    /// It fails when it took longer.
    pub limit: Option<Duration>,
    /// How it is tried again.
    pub retry: Option<Retry>,
    /// What it needs from the start.
    pub needs: Vec<Need>,
    /// What runs at the end.
    pub cleanup: Vec<Planned>,
    /// Whether it changes something, or could.
    pub changes: bool,
    skipped: bool,
}

impl Planned {
    /// A step that is tried once.
    pub(crate) fn new(
        name: String,
        run: impl Fn(&Machine, &Bounds) -> StepResult + Send + Sync + 'static,
    ) -> Self {
        Self {
            name,
            run: Arc::new(run),
            timeout: USUAL,
            limit: None,
            retry: None,
            needs: Vec::new(),
            cleanup: Vec::new(),
            changes: false,
            skipped: false,
        }
    }

    /// A step that is skipped.
    pub(crate) fn skipped(name: String, why: impl Into<String>) -> Self {
        let why = why.into();
        Self {
            skipped: true,
            ..Self::new(name, move |_, _| Err(StepError::Skipped(why.clone())))
        }
    }

    /// It may take this long.
    pub(crate) fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// It is tried again for this long.
    pub(crate) fn retried(self, timeout: Duration) -> Self {
        let retry = Some(Retry::default());
        Self {
            timeout,
            retry,
            ..self
        }
    }

    /// It needs this from the start.
    pub(crate) fn needing(mut self, need: Need) -> Self {
        self.needs.push(need);
        self
    }
}

/// A group that can be run.
#[derive(Clone)]
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
#[derive(Clone)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its groups.
    pub groups: Vec<PlannedGroup>,
}

impl Plan {
    /// The steps, each followed by its cleanup.
    pub fn steps(&self) -> impl Iterator<Item = &Planned> {
        self.groups
            .iter()
            .flat_map(|group| &group.steps)
            .flat_map(|step| std::iter::once(step).chain(&step.cleanup))
    }

    /// Whether a step needs this from the start.
    #[must_use]
    pub fn needs(&self, need: &Need) -> bool {
        self.steps().any(|step| step.needs.contains(need))
    }

    /// The units whose state a step needs.
    pub fn units(&self) -> impl Iterator<Item = &str> {
        let needs = self.steps().flat_map(|step| &step.needs);
        needs.filter_map(|need| match need {
            Need::UnitState(unit) => Some(unit.as_str()),
            _ => None,
        })
    }
}

/// What a scenario is planned on.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// The stack.
    pub stack: &'a Stack,
    /// The checks of its services.
    pub checks: &'a ServiceChecks,
    /// Whether the stack may be changed: checks that write are skipped otherwise.
    pub destructive: bool,
}

impl Planner<'_> {
    /// The scenario with everything that it means on this stack.
    ///
    /// # Errors
    /// When it names a service or a port that the stack does not have.
    pub fn plan(&self, scenario: &Scenario) -> Result<Plan, PlanError> {
        let name = &scenario.name.0;
        let missing: Vec<&str> = scenario
            .requires
            .iter()
            .map(String::as_str)
            .filter(|name| !self.stack.services.contains_key(*name))
            .collect();
        if !missing.is_empty() {
            let why = format!("{} is not on", missing.join(", "));
            return Ok(Plan {
                name: name.clone(),
                groups: vec![PlannedGroup {
                    name: String::new(),
                    parallel: false,
                    keep_going: true,
                    limit: None,
                    steps: vec![Planned::skipped(name.clone(), why)],
                }],
            });
        }
        let groups = scenario.groups.iter().enumerate().map(|(g, group)| {
            let mut steps = Vec::new();
            for (s, step) in group.steps.iter().enumerate() {
                let at = format!("groups[{g}].steps[{s}]");
                steps.extend(self.steps(step, &at).map_err(|(at, why)| PlanError {
                    scenario: name.clone(),
                    at,
                    why,
                })?);
            }
            Ok(PlannedGroup {
                name: group
                    .name
                    .as_ref()
                    .map_or_else(|| format!("group {}", g + 1), |name| name.0.clone()),
                parallel: group.parallel,
                keep_going: group.keep_going,
                limit: group.limit.map(|limit| limit.0),
                steps,
            })
        });
        Ok(Plan {
            name: name.clone(),
            groups: groups.collect::<Result<_, PlanError>>()?,
        })
    }

    fn steps(&self, step: &Step, at: &str) -> Result<Vec<Planned>, (String, String)> {
        let Step { common, action } = step;
        let mut cleanup = Vec::new();
        for (c, step) in common.cleanup.iter().enumerate() {
            cleanup.extend(self.steps(step, &format!("{at}.cleanup[{c}]"))?);
        }
        let mut parts = action.plan(self).map_err(|why| (at.to_owned(), why))?;
        let several = parts.len() > 1;
        for part in &mut parts {
            if let Some(name) = &common.name {
                part.name = if several {
                    format!("{}: {}", name.0, part.name)
                } else {
                    name.0.clone()
                };
            }
            part.timeout = common.timeout.map_or(part.timeout, |timeout| timeout.0);
            part.limit = common.limit.map(|limit| limit.0);
            part.retry = common.retry.or(part.retry);
            // Once for the step, however many services it stands for.
            part.cleanup = std::mem::take(&mut cleanup);
            part.changes =
                !part.skipped && action.changes() && !(common.harmless && action.can_be_harmless());
        }
        Ok(parts)
    }

    /// The service of that name.
    pub(crate) fn service(&self, name: &str) -> Result<NamedService, String> {
        let service = self.stack.services.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.stack.services.keys().map(String::as_str).collect();
            format!(
                "no service is called {name}: known are {}",
                known.join(", ")
            )
        })?;
        Ok(NamedService {
            name: name.to_owned(),
            service: Arc::new(service.clone()),
        })
    }

    /// The service of that name, or each one of the stack.
    pub(crate) fn services(&self, name: Option<&String>) -> Result<Vec<NamedService>, String> {
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

    /// A part for the service of that name, or for each one of the stack.
    pub(crate) fn each(
        &self,
        service: Option<&String>,
        part: impl Fn(NamedService) -> Planned,
    ) -> PlannedParts {
        Ok(self.services(service)?.into_iter().map(part).collect())
    }

    /// Name of the unit that is meant.
    pub(crate) fn unit(&self, of: &UnitOf) -> Result<String, String> {
        match (&of.unit, &of.service) {
            (Some(unit), _) => Ok(unit.0.clone()),
            (None, Some(service)) => Ok(self.service(service)?.unit.clone()),
            (None, None) => Err("no unit is named".to_owned()),
        }
    }

    /// The port that is meant, where the host reaches it.
    pub(crate) fn port(&self, of: &PortOf) -> Result<(Protocol, SocketAddr), String> {
        match (of.number, &of.service) {
            (Some(number), _) => {
                let address = of.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
                let protocol = of.protocol.unwrap_or(Protocol::Tcp);
                Ok((protocol, SocketAddr::new(address, number.get())))
            }
            (None, Some(service)) => {
                let service = self.service(service)?;
                let port = service.port_or_first(of.port.as_deref())?;
                Ok((port.protocol, port.reachable()))
            }
            (None, None) => Err("no port is named".to_owned()),
        }
    }
}
