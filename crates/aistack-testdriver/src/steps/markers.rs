//! `write-marker`, `read-marker`: a value in each service that stores values, and a file in
//! each data folder, to see later whether they are still there.

use aistack_machine::command::Bounds;
use serde::Deserialize;

use super::Action;
use crate::fields::{OneOrMore, Services};
use crate::machine::{Machine, StepError, StepResult, ended, failed};
use crate::matchers::{EXCERPT, Text};
use crate::plan::{NamedService, Planned, PlannedParts, Planner};

/// The file that is written into each folder, and its text.
const FILE: &str = "aistack-marker";
const KEPT: &str = "kept";

/// The services whose markers are written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct WriteMarker(Services);

impl Action for WriteMarker {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        parts(planner, self.0.service.as_ref(), true)
    }

    fn changes(&self) -> bool {
        true
    }
}

/// The services whose markers are read.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ReadMarker(Services);

impl Action for ReadMarker {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        parts(planner, self.0.service.as_ref(), false)
    }

    fn changes(&self) -> bool {
        false
    }
}

fn parts(planner: &Planner<'_>, by_name: Option<&String>, write: bool) -> PlannedParts {
    let mut parts = Vec::new();
    for service in planner.services(by_name)? {
        let folders: Vec<String> = service
            .data
            .iter()
            .filter(|data| !data.read_only)
            .map(|data| data.container.display().to_string())
            .collect();
        let has_folders = !folders.is_empty();
        if has_folders {
            let what = if write {
                "can write to"
            } else {
                "has its files in"
            };
            let name = format!("{} {what} {}", service.name, folders.join(", "));
            let service = service.clone();
            parts.push(Planned::new(name, move |machine, bounds| {
                files(machine, &service, &folders, write, bounds)
            }));
        }
        let what = if write { "takes" } else { "has" };
        let name = format!("{} {what} its marker", service.name);
        let of = planner.checks.0.get(&service.name);
        let Some(marker) = of.and_then(|of| of.marker.clone()) else {
            // A service that is named is shown even when nothing is written or read.
            if by_name.is_some() && !has_folders {
                let why = "it has no folder, and scenarios.json no marker for it";
                parts.push(Planned::skipped(name, why));
            }
            continue;
        };
        let (queries, contains) = if write {
            (marker.write.0, Vec::new())
        } else {
            (vec![marker.read], marker.expect.0)
        };
        for query in &queries {
            query.fits(&service)?;
        }
        let expect = Text {
            contains: OneOrMore(contains),
            ..Text::default()
        };
        parts.push(Planned::new(name, move |machine, bounds| {
            queries
                .iter()
                .try_for_each(|query| query.ask(machine, &service, &expect, write, bounds))
        }));
    }
    Ok(parts)
}

fn files(
    machine: &Machine,
    service: &NamedService,
    folders: &[String],
    write: bool,
    bounds: &Bounds,
) -> StepResult {
    let script = if write {
        format!("for d; do echo {KEPT} >\"$d/{FILE}\" || exit 1; done")
    } else {
        format!("for d; do cat \"$d/{FILE}\" || exit 1; done")
    };
    let mut argv: Vec<String> = ["sh", "-c", &script, "sh"].map(str::to_owned).to_vec();
    argv.extend_from_slice(folders);
    let done = machine.exec(&service.container, &argv, None, bounds)?;
    match done.status.code() {
        // podman-exec(1): the program is missing, or can't be run.
        Some(126 | 127) => Err(StepError::Skipped("its image has no sh".to_owned())),
        Some(0) if write => Ok(()),
        Some(0) => {
            let text = String::from_utf8_lossy(&done.stdout);
            if text.lines().filter(|line| *line == KEPT).count() == folders.len() {
                return Ok(());
            }
            Err(failed(format!(
                "{FILE} has another text: {:?}",
                aistack_machine::text::bytes(&done.stdout, EXCERPT)
            )))
        }
        _ => Err(failed(ended(&done))),
    }
}
