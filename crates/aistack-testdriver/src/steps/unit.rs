//! `unit`: the state of a unit.

use aistack_machine::command::Bounds;
use serde::Deserialize;

use super::Action;
use crate::fields::{Line, Rules, UnitOf, present};
use crate::machine::{Machine, StepResult, chain, failed};
use crate::plan::{Need, Planned, PlannedParts, Planner};

/// A unit and the state that it must be in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("oneOf" = [{ "required": ["unit"] }, { "required": ["service"] }])))]
pub struct UnitState {
    /// Name of the unit.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[^-]")))]
    unit: Option<Line>,
    /// The service whose unit it is.
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// Its state [default: active].
    #[serde(default)]
    state: State,
}

impl UnitState {
    fn of(&self) -> UnitOf {
        UnitOf {
            unit: self.unit.clone(),
            service: self.service.clone(),
        }
    }
}

/// State of a unit, in systemd's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub(crate) enum State {
    /// It is up (also while it reloads).
    #[default]
    Active,
    /// It is starting, or waits for its next try.
    Activating,
    /// It is down, and did not fail.
    Inactive,
    /// It ended with a failure.
    Failed,
    /// systemd does not know it.
    NotFound,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Activating => "activating",
            Self::Inactive => "inactive",
            Self::Failed => "failed",
            Self::NotFound => "not-found",
        }
    }

    /// Compares it with the state that the unit has now.
    pub(super) fn compare(self, machine: &Machine, unit: &str, bounds: &Bounds) -> StepResult {
        let state = machine
            .states
            .unit(unit, &machine.systemctl(bounds)?)
            .map_err(|error| failed(chain(&error)))?;
        let expected = match self {
            Self::NotFound => state.load == "not-found",
            Self::Active => state.is_active(),
            other => state.is_loaded() && state.active == other.name(),
        };
        if expected {
            Ok(())
        } else {
            Err(failed(format!("{unit} is {}", state.summary())))
        }
    }
}

impl Action for UnitState {
    fn rules(&self) -> Result<(), &'static str> {
        self.of().check()
    }

    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let (unit, state) = (planner.unit(&self.of())?, self.state);
        let name = format!("{unit} is {}", state.name());
        let need = Need::UnitState(unit.clone());
        let part = Planned::new(name, move |machine, bounds| {
            state.compare(machine, &unit, bounds)
        });
        Ok(vec![part.needing(need)])
    }

    fn changes(&self) -> bool {
        false
    }
}
