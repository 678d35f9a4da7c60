//! What systemd and podman say of a whole stack, asked once for all who wait.
//!
//! Steps that run at the same time would otherwise each ask both for one service, again
//! and again: dozens of processes where two do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aistack_host::podman::{Container, Podman};
use aistack_host::systemd::{Systemctl, SystemdError, UnitState};
use aistack_stack::Stack;

/// Units and containers, as they were at one time.
#[derive(Debug)]
pub struct View {
    taken: Instant,
    units: BTreeMap<String, UnitState>,
    containers: BTreeMap<String, Container>,
}

impl View {
    /// The state of a service's unit.
    #[must_use]
    pub fn unit(&self, unit: &str) -> Option<&UnitState> {
        self.units.get(unit)
    }

    /// A service's container; none: podman has none of that name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.get(name)
    }
}

/// The services of a stack, and what was last seen of them.
#[derive(Debug, Default)]
pub struct Watch {
    units: Vec<String>,
    containers: Vec<String>,
    last: Mutex<Option<Arc<View>>>,
}

impl Watch {
    /// Of the stack's services.
    #[must_use]
    pub fn new(stack: &Stack) -> Self {
        let services = stack.services.values();
        Self {
            units: services.clone().map(|s| s.unit.clone()).collect(),
            containers: services.map(|s| s.container.clone()).collect(),
            last: Mutex::default(),
        }
    }

    /// The containers' names.
    #[must_use]
    pub fn containers(&self) -> Vec<&str> {
        self.containers.iter().map(String::as_str).collect()
    }

    /// A view that was taken after this call began.
    ///
    /// # Errors
    /// When systemd or podman gives no answer.
    pub fn look(&self, systemctl: &Systemctl, podman: &Podman) -> Result<Arc<View>, SystemdError> {
        let begun = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever had the lock may have looked since.
        if let Some(view) = last.as_ref().filter(|view| view.taken >= begun) {
            return Ok(Arc::clone(view));
        }
        let taken = Instant::now();
        let units: Vec<&str> = self.units.iter().map(String::as_str).collect();
        let states = systemctl.show(&units)?;
        let view = Arc::new(View {
            taken,
            units: self.units.iter().cloned().zip(states).collect(),
            containers: podman.containers(&self.containers())?,
        });
        *last = Some(Arc::clone(&view));
        Ok(view)
    }
}
