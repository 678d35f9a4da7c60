//! `recreate-container`: restarts the unit of a service, until there is another container.

use aistack_machine::command::Bounds;
use serde::Deserialize;

use super::Action;
use crate::fields::Services;
use crate::machine::{Machine, StepResult, failed};
use crate::plan::{NamedService, Planned, PlannedParts, Planner, UNIT};

/// The services whose containers are replaced.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RecreateContainer(Services);

impl Action for RecreateContainer {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        planner.each(self.0.service.as_ref(), |service| {
            let name = format!("{} gets a new container", service.name);
            let run = move |machine: &Machine, bounds: &Bounds| recreate(machine, &service, bounds);
            Planned::new(name, run).within(UNIT)
        })
    }

    fn changes(&self) -> bool {
        true
    }
}

fn recreate(machine: &Machine, service: &NamedService, bounds: &Bounds) -> StepResult {
    let podman = machine.podman(bounds)?;
    let old = machine.remember(&podman, service)?;
    machine
        .systemctl(bounds)?
        .restart(&[service.unit.as_str()])
        .map_err(failed)?;
    let name = &service.container;
    match podman.container(name).map_err(failed)? {
        None => Err(failed(format!("podman has no container {name}"))),
        Some(new) if Some(&new.id) == old.as_ref() => {
            Err(failed(format!("{name} is still the same container")))
        }
        Some(_) => Ok(()),
    }
}
