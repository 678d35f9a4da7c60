//! `container`: whether a service's container exists, and is another one than before.

use aistack_machine::command::Bounds;
use serde::Deserialize;

use super::Action;
use crate::fields::present;
use crate::machine::{Machine, StepResult, failed};
use crate::plan::{NamedService, Need, Planned, PlannedParts, Planner, UNIT};

/// A container and what must be true of it.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Container {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// What must be true [default: running].
    #[serde(default)]
    state: State,
}

/// What can be true of a container. Old is the one at the scenario's beginning, or that a
/// step since has killed, stopped, re-created or reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
enum State {
    /// It runs.
    #[default]
    Running,
    /// It is the old one, and runs.
    Same,
    /// It is another one than the old one, and runs.
    New,
    /// None runs.
    Gone,
}

impl Action for Container {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let state = self.state;
        planner.each(self.service.as_ref(), |service| {
            let what = match state {
                State::Running => "has a container that runs",
                State::Same => "has the same container",
                State::New => "has a new container",
                State::Gone => "has no container that runs",
            };
            let name = format!("{} {what}", service.name);
            let part = Planned::new(name, move |machine, bounds| {
                compare(machine, &service, state, bounds)
            });
            let part = part.retried(UNIT);
            match state {
                State::Same | State::New => part.needing(Need::OldContainers),
                State::Running | State::Gone => part,
            }
        })
    }

    fn changes(&self) -> bool {
        false
    }
}

fn compare(machine: &Machine, service: &NamedService, state: State, bounds: &Bounds) -> StepResult {
    let containers = machine.containers(bounds)?;
    let name = &service.container;
    let container = containers.get(name);
    let running = container.filter(|container| container.status == "running");
    let old = machine.old_container(service);
    let found = match (container, &old) {
        (None, _) => "is not there".to_owned(),
        (Some(container), _) if running.is_none() => format!("is {}", container.status),
        (Some(container), Some(old)) if container.id == *old => "is the old one".to_owned(),
        (Some(_), Some(_)) => "is another one".to_owned(),
        (Some(_), None) => "runs".to_owned(),
    };
    let expected = match state {
        State::Running => running.is_some(),
        State::Same => running.is_some_and(|running| Some(&running.id) == old.as_ref()),
        State::New => running.is_some_and(|running| Some(&running.id) != old.as_ref()),
        State::Gone => running.is_none(),
    };
    if expected {
        Ok(())
    } else {
        Err(failed(format!("{name} {found}")))
    }
}
