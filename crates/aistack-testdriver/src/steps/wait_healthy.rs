//! `wait-healthy`: waits until unit, container and health probe say that a service is healthy.

use std::time::{Duration, Instant};

use aistack_machine::command::Bounds;
use serde::Deserialize;

use super::Action;
use super::unit::State;
use crate::fields::present;
use crate::machine::{Machine, StepResult, failed};
use crate::plan::{NamedService, Need, Planned, PlannedParts, Planner, UNIT};

/// The services that are waited for.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WaitHealthy {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// Services that are not waited for.
    #[serde(default)]
    except: Vec<String>,
    /// Whether the container must be another one than at the scenario's beginning, or
    /// than a step since has killed, stopped, re-created or reset.
    #[serde(default)]
    new: bool,
}

impl Action for WaitHealthy {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let mut services = planner.services(self.service.as_ref())?;
        for name in &self.except {
            planner.service(name)?;
            services.retain(|service| service.name != *name);
        }
        let new = self.new;
        let what = if new {
            "is healthy in a new container"
        } else {
            "is healthy"
        };
        let parts = services.into_iter().map(|service| {
            let name = format!("{} {what}", service.name);
            let part = Planned::new(name, move |machine, bounds| {
                healthy(machine, &service, new, bounds)
            });
            let part = part.retried(UNIT).needing(Need::Health);
            if new {
                part.needing(Need::OldContainers)
            } else {
                part
            }
        });
        Ok(parts.collect())
    }

    fn changes(&self) -> bool {
        false
    }
}

fn healthy(machine: &Machine, service: &NamedService, new: bool, bounds: &Bounds) -> StepResult {
    let begun = Instant::now();
    State::Active.compare(machine, &service.unit, bounds)?;
    let name = &service.container;
    let containers = machine.containers(bounds)?;
    let container = containers
        .get(name)
        .ok_or_else(|| failed(format!("podman has no container {name}")))?;
    if new && machine.old_container(service).as_ref() == Some(&container.id) {
        return Err(failed(format!("{name} is still the same container")));
    }
    if container.status != "running" {
        return Err(failed(format!("{name} is {}", container.status)));
    }
    match container.health.as_deref() {
        None | Some("healthy") => {}
        Some(other) => return Err(failed(format!("podman says that {name} is {other}"))),
    }
    let Some(probe) = &service.health else {
        return Ok(());
    };
    let left = bounds.limit.saturating_sub(begun.elapsed());
    let outcome = aistack_checks::probe::run(probe, left.max(Duration::from_millis(1)));
    outcome
        .result
        .map(drop)
        .map_err(|error| failed(format!("{}: {error}", aistack_checks::probe::target(probe))))
}
