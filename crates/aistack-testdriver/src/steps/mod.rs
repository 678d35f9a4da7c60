//! The kinds of step: one file each with its fields, what it means on a stack, and what
//! it does. A new kind is such a file and its line in the list below.

use std::fmt;
use std::sync::Arc;

use serde::de;

use crate::fields::{Checked, Rules};
use crate::plan::{PlannedParts, Planner};

pub(crate) use ports_held::Socket;

/// What a step does.
pub trait Action: fmt::Debug + Send + Sync {
    /// What it means on this stack: several parts when it stands for several services.
    ///
    /// # Errors
    /// When it names something that the stack does not have.
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts;

    /// Whether it changes something, or could.
    fn changes(&self) -> bool;

    /// Whether its fields fit together.
    ///
    /// # Errors
    /// The rule that they break.
    fn rules(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Whether the author may say with `harmless` that it changes nothing.
    fn can_be_harmless(&self) -> bool {
        false
    }
}

impl<T: Action> Rules for T {
    fn check(&self) -> Result<(), &'static str> {
        self.rules()
    }
}

macro_rules! steps {
    ($($module:ident: $($name:literal $fields:ident),+;)*) => {
        $(mod $module;)*

        /// The names of the actions in a document.
        pub const KINDS: &[&str] = &[$($($name),+),*];

        /// The action of that name, with its fields from the next value of `map`.
        pub(crate) fn read<'de, A: de::MapAccess<'de>>(
            name: &str,
            map: &mut A,
        ) -> Result<Arc<dyn Action>, A::Error> {
            match name {
                $($($name => {
                    let Checked(action) = map.next_value::<Checked<$module::$fields>>()?;
                    Ok(Arc::new(action))
                })+)*
                other => Err(de::Error::unknown_field(other, KINDS)),
            }
        }

        /// The names of the actions with the schemas of their fields.
        #[cfg(feature = "schema")]
        pub(crate) fn schemas(
            generator: &mut schemars::SchemaGenerator,
        ) -> Vec<(&'static str, schemars::Schema)> {
            vec![$($(($name, generator.subschema_for::<$module::$fields>())),+),*]
        }
    };
}

steps! {
    wait_healthy: "wait-healthy" WaitHealthy;
    ports: "ports" Ports;
    checks: "checks" Checks;
    http: "http" Http;
    tcp: "tcp" Tcp;
    nothing_listens: "nothing-listens" NothingListens;
    unit: "unit" UnitState;
    file: "file" File;
    exec: "exec" Exec;
    journal: "journal" Journal;
    container: "container" Container;
    no_failed_units: "no-failed-units" NoFailedUnits;
    secrets: "secrets" Secrets;
    confined: "confined" Confined;
    signals: "kill-container" KillContainer, "stop-container" StopContainer, "continue-container" ContinueContainer;
    recreate_container: "recreate-container" RecreateContainer;
    reset_storage: "reset-storage" ResetStorage;
    unit_jobs: "start-unit" StartUnit, "stop-unit" StopUnit, "restart-unit" RestartUnit;
    markers: "write-marker" WriteMarker, "read-marker" ReadMarker;
    ports_held: "take-port" TakePort, "release-port" ReleasePort;
}
