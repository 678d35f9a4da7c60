//! `start-unit`, `stop-unit`, `restart-unit`: jobs of systemd, which the step waits for.

use aistack_machine::command::CommandError;
use aistack_machine::systemd::Systemctl;
use serde::Deserialize;

use super::Action;
use crate::fields::{Checked, Line, Rules, UnitOf, present, yes};
use crate::machine::failed;
use crate::plan::{Planned, PlannedParts, Planner, UNIT};

type Job = fn(&Systemctl, &[&str]) -> Result<(), CommandError>;

fn part(planner: &Planner<'_>, of: &UnitOf, verb: &str, job: Job) -> PlannedParts {
    let unit = planner.unit(of)?;
    let part = Planned::new(format!("{verb} {unit}"), move |machine, bounds| {
        job(&machine.systemctl(bounds)?, &[unit.as_str()]).map_err(failed)
    });
    Ok(vec![part.within(UNIT)])
}

/// The unit that is started.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct StartUnit(Checked<UnitOf>);

impl Action for StartUnit {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        part(planner, &self.0, "start", Systemctl::start)
    }

    fn changes(&self) -> bool {
        true
    }
}

/// The unit that is stopped.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct StopUnit(Checked<UnitOf>);

impl Action for StopUnit {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        part(planner, &self.0, "stop", Systemctl::stop)
    }

    fn changes(&self) -> bool {
        true
    }
}

/// The unit that is restarted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("oneOf" = [{ "required": ["unit"] }, { "required": ["service"] }])))]
pub struct RestartUnit {
    /// Name of the unit.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[^-]")))]
    unit: Option<Line>,
    /// The service whose unit it is.
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// Whether the step waits until the unit is up again [default: true].
    #[serde(default = "yes")]
    wait: bool,
}

impl RestartUnit {
    fn of(&self) -> UnitOf {
        UnitOf {
            unit: self.unit.clone(),
            service: self.service.clone(),
        }
    }
}

impl Action for RestartUnit {
    fn rules(&self) -> Result<(), &'static str> {
        self.of().check()
    }

    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let job = if self.wait {
            Systemctl::restart
        } else {
            Systemctl::restart_no_block
        };
        part(planner, &self.of(), "restart", job)
    }

    fn changes(&self) -> bool {
        true
    }
}
