//! What systemd and podman say, asked once for all steps that want to know.
//!
//! Steps that run at the same time would otherwise each ask both for one service, again
//! and again: dozens of processes where two do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aistack_machine::command::CommandError;
use aistack_machine::podman::{Container, Podman};
use aistack_machine::systemd::{Systemctl, SystemdError, UnitState};
use aistack_schema::Stack;

/// An answer, and when it was asked for.
#[derive(Debug)]
struct Shared<T>(Mutex<Option<(Instant, Arc<T>)>>);

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Shared<T> {
    /// One that was asked for after this call began.
    fn get<E>(&self, ask: impl FnOnce() -> Result<T, E>) -> Result<Arc<T>, E> {
        let begun = Instant::now();
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever had the lock may have asked since.
        if let Some((_, answer)) = last.as_ref().filter(|(asked, _)| *asked >= begun) {
            return Ok(Arc::clone(answer));
        }
        let asked = Instant::now();
        let answer = Arc::new(ask()?);
        *last = Some((asked, Arc::clone(&answer)));
        Ok(answer)
    }
}

/// The containers of a stack, its units and others that are asked for.
#[derive(Debug, Default)]
pub struct StateCache {
    units: Vec<String>,
    containers: Vec<String>,
    unit_states: Shared<BTreeMap<String, UnitState>>,
    container_states: Shared<BTreeMap<String, Container>>,
}

impl StateCache {
    /// Of the stack's services, and of further units.
    #[must_use]
    pub fn new<'a>(stack: &'a Stack, units: impl IntoIterator<Item = &'a str>) -> Self {
        let services = stack.services.values();
        let units: BTreeSet<&str> = services
            .clone()
            .map(|service| service.unit.as_str())
            .chain(units)
            // One that is no name (systemd.unit(5)), as a pattern, is asked for alone: it
            // must not spoil the answer for the others.
            .filter(|unit| {
                unit.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b":-_.\\@".contains(&byte))
            })
            .collect();
        Self {
            units: units.into_iter().map(str::to_owned).collect(),
            containers: services.map(|service| service.container.clone()).collect(),
            ..Self::default()
        }
    }

    /// The containers' names.
    #[must_use]
    pub fn container_names(&self) -> Vec<&str> {
        self.containers.iter().map(String::as_str).collect()
    }

    /// The state of a unit, as it was after this call began.
    ///
    /// # Errors
    /// When systemd gives no answer.
    pub fn unit(&self, unit: &str, systemctl: &Systemctl) -> Result<UnitState, SystemdError> {
        let missing = || SystemdError::Missing {
            unit: unit.to_owned(),
        };
        if !self.units.iter().any(|known| known == unit) {
            return systemctl.show(&[unit])?.pop().ok_or_else(missing);
        }
        let states = self.unit_states.get(|| {
            let names: Vec<&str> = self.units.iter().map(String::as_str).collect();
            let states = systemctl.show(&names)?;
            Ok::<_, SystemdError>(self.units.iter().cloned().zip(states).collect())
        })?;
        states.get(unit).cloned().ok_or_else(missing)
    }

    /// The stack's containers that podman knows, by their names, as they were after this
    /// call began.
    ///
    /// # Errors
    /// When podman gives no answer.
    pub fn containers(
        &self,
        podman: &Podman,
    ) -> Result<Arc<BTreeMap<String, Container>>, CommandError> {
        self.container_states
            .get(|| podman.containers(&self.container_names()))
    }
}
