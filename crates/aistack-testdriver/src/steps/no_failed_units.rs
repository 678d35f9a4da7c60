//! `no-failed-units`: whether no unit of this systemd has failed.

use serde::Deserialize;

use super::Action;
use crate::machine::failed;
use crate::plan::{Planned, PlannedParts, Planner};

/// No fields.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NoFailedUnits {}

impl Action for NoFailedUnits {
    fn plan(&self, _: &Planner<'_>) -> PlannedParts {
        let name = "no unit has failed".to_owned();
        Ok(vec![Planned::new(name, |machine, bounds| {
            let units = machine.systemctl(bounds)?.failed().map_err(failed)?;
            if units.is_empty() {
                Ok(())
            } else {
                Err(failed(units.join(", ")))
            }
        })])
    }

    fn changes(&self) -> bool {
        false
    }
}
