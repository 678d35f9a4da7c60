//! `checks`: runs the checks that `scenarios.json` has for a service.

use serde::Deserialize;

use super::Action;
use crate::fields::{OneOrMore, Services};
use crate::matchers::Text;
use crate::plan::{Planned, PlannedParts, Planner};

/// The services whose checks run.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Checks(Services);

impl Action for Checks {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let mut parts = Vec::new();
        for service in planner.services(self.0.service.as_ref())? {
            let of = planner.checks.0.get(&service.name);
            for check in of.map_or(&[][..], |of| &of.checks) {
                let name = format!("{} {}", service.name, check.name);
                if !check.quick && !planner.destructive {
                    parts.push(Planned::skipped(name, "it writes: for test stacks alone"));
                    continue;
                }
                let query = check.query();
                query.fits(&service)?;
                let expect = Text {
                    equals: None,
                    contains: OneOrMore(check.expect.to_vec()),
                    lacks: check.lacks.clone(),
                };
                let service = service.clone();
                parts.push(Planned::new(name, move |machine, bounds| {
                    query.ask(machine, &service, &expect, false, bounds)
                }));
            }
        }
        Ok(parts)
    }

    fn changes(&self) -> bool {
        false
    }
}
