//! `reset-storage`: `podman system reset`, which removes every container, image and network.

use aistack_machine::command::Bounds;
use serde::Deserialize;

use super::Action;
use crate::machine::{Machine, StepResult, failed};
use crate::plan::{NamedService, Planned, PlannedParts, Planner, UNIT};

/// No fields.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ResetStorage {}

impl Action for ResetStorage {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let services = planner.services(None)?;
        let run = move |machine: &Machine, bounds: &Bounds| reset(machine, &services, bounds);
        Ok(vec![
            Planned::new("podman's storage is reset".to_owned(), run).within(UNIT),
        ])
    }

    fn changes(&self) -> bool {
        true
    }
}

fn reset(machine: &Machine, services: &[NamedService], bounds: &Bounds) -> StepResult {
    let podman = machine.podman(bounds)?;
    let mut old = Vec::new();
    for service in services {
        old.extend(machine.remember(&podman, service)?.map(|id| (service, id)));
    }
    if old.is_empty() && !services.is_empty() {
        return Err(failed("no container ran that a reset could take away"));
    }
    podman.reset_storage().map_err(failed)?;
    for (service, id) in old {
        // Units may have started to re-create containers.
        let now = podman.container(&service.container).map_err(failed)?;
        if now.is_some_and(|now| now.id == id) {
            return Err(failed(format!("{} is still there", service.container)));
        }
    }
    Ok(())
}
