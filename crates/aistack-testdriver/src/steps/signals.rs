//! `kill-container`, `stop-container`, `continue-container`: signals to containers.

use serde::Deserialize;

use super::Action;
use crate::fields::{Services, present};
use crate::machine::failed;
use crate::plan::{NamedService, Planned, PlannedParts, Planner};

/// Sends a signal that ends containers.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct KillContainer {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// The signal [default: KILL].
    #[serde(default)]
    signal: Signal,
}

/// A signal that ends a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
enum Signal {
    /// At once.
    #[default]
    Kill,
    /// With time to clean up.
    Term,
    /// As by Ctrl-C.
    Int,
    /// As when a terminal closes.
    Hup,
}

impl Action for KillContainer {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let signal = match self.signal {
            Signal::Kill => "KILL",
            Signal::Term => "TERM",
            Signal::Int => "INT",
            Signal::Hup => "HUP",
        };
        planner.each(self.service.as_ref(), |service| send(signal, service))
    }

    fn changes(&self) -> bool {
        true
    }
}

/// Pauses containers (SIGSTOP).
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct StopContainer(Services);

impl Action for StopContainer {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        planner.each(self.0.service.as_ref(), |service| send("STOP", service))
    }

    fn changes(&self) -> bool {
        true
    }
}

fn send(signal: &'static str, service: NamedService) -> Planned {
    let name = format!("SIG{signal} to {}", service.name);
    Planned::new(name, move |machine, bounds| {
        let podman = machine.podman(bounds)?;
        machine.remember(&podman, &service)?;
        podman.kill(&service.container, signal).map_err(failed)
    })
}

/// Resumes paused containers (SIGCONT); one that is gone needs nothing.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ContinueContainer(Services);

impl Action for ContinueContainer {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        planner.each(self.0.service.as_ref(), |service| {
            let name = format!("{} goes on", service.name);
            Planned::new(name, move |machine, bounds| {
                let podman = machine.podman(bounds)?;
                match podman.container(&service.container).map_err(failed)? {
                    Some(container) if container.status == "running" => {
                        podman.kill(&service.container, "CONT").map_err(failed)
                    }
                    _ => Ok(()),
                }
            })
        })
    }

    fn changes(&self) -> bool {
        true
    }
}
