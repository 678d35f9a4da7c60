//! `journal`: a line of the journal since the scenario's beginning.

use std::time::Duration;

use aistack_machine::command::Bounds;
use serde::Deserialize;

use super::Action;
use crate::fields::{Line, OneOrMore, Rules, UnitOf, present};
use crate::machine::{Machine, StepResult, failed};
use crate::matchers::EXCERPT;
use crate::plan::{Need, Planned, PlannedParts, Planner};

/// How long a line is waited for.
const WAIT: Duration = Duration::from_mins(1);

/// What a unit must log, or must not.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("anyOf" = [{ "required": ["contains"] }, { "required": ["lacks"] }], "not" = { "required": ["unit", "service"] })))]
pub struct Journal {
    /// Name of the unit [default: the whole journal].
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^[^-]")))]
    unit: Option<Line>,
    /// The service whose unit it is.
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// One of the lines contains all of these.
    #[serde(default)]
    contains: OneOrMore<Line>,
    /// No line contains this.
    #[serde(default, deserialize_with = "present")]
    lacks: Option<Line>,
}

impl Journal {
    fn of(&self) -> Option<UnitOf> {
        (self.unit.is_some() || self.service.is_some()).then(|| UnitOf {
            unit: self.unit.clone(),
            service: self.service.clone(),
        })
    }

    /// The texts that a line must contain, for people.
    fn wanted(&self) -> String {
        let quoted: Vec<String> = self
            .contains
            .iter()
            .map(|Line(text)| format!("{text:?}"))
            .collect();
        quoted.join(" and ")
    }
}

impl Action for Journal {
    fn rules(&self) -> Result<(), &'static str> {
        if self.contains.is_empty() && self.lacks.is_none() {
            return Err("it needs contains or lacks");
        }
        self.of().map_or(Ok(()), |of| of.check())
    }

    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let unit = self.of().map(|of| planner.unit(&of)).transpose()?;
        let waits = !self.contains.is_empty();
        let name = match &self.lacks {
            Some(Line(lacks)) if !waits => {
                let who = unit.as_deref().unwrap_or("anybody");
                format!("{who} does not say {lacks:?}")
            }
            _ => format!(
                "{} says {}",
                unit.as_deref().unwrap_or("somebody"),
                self.wanted()
            ),
        };
        let line = self.clone();
        let part = Planned::new(name, move |machine, bounds| {
            line.search(machine, unit.as_deref(), bounds)
        })
        .needing(Need::Journal);
        Ok(vec![if waits { part.retried(WAIT) } else { part }])
    }

    fn changes(&self) -> bool {
        false
    }
}

impl Journal {
    fn search(&self, machine: &Machine, unit: Option<&str>, bounds: &Bounds) -> StepResult {
        let text = machine.journal(unit, bounds)?;
        let excerpt = |line: &str| aistack_machine::text::bytes(line.as_bytes(), EXCERPT);
        if let Some(Line(lacks)) = &self.lacks
            && let Some(line) = text.lines().find(|line| line.contains(lacks))
        {
            return Err(failed(format!("a line has {lacks:?}: {}", excerpt(line))));
        }
        let has_all = |line: &str| self.contains.iter().all(|part| line.contains(&**part));
        if self.contains.is_empty() || text.lines().any(has_all) {
            return Ok(());
        }
        Err(failed(format!(
            "no line has {}; the last one of {} is: {}",
            self.wanted(),
            text.lines().count(),
            excerpt(text.lines().last().unwrap_or("nothing"))
        )))
    }
}
