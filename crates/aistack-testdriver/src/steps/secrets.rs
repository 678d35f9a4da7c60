//! `secrets`: whether podman has the values of a service's secrets, and nothing else
//! shows them: not what podman and systemd print to anybody, not the journal, not the
//! command lines of processes.
//!
//! The environment of a process is not searched: that is where a container is meant to
//! have its value, and only its own user can read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aistack_machine::command::{Bounds, CommandError, below};
use aistack_machine::file;
use aistack_machine::journal::Journal;
use aistack_machine::podman::{Held, Podman};
use aistack_machine::secret;
use aistack_machine::systemd::Systemctl;
use memchr::memmem;
use serde::Deserialize;

use super::Action;
use crate::fields::Services;
use crate::machine::{Machine, StepResult, failed, lock, none_of};
use crate::plan::{NamedService, Planned, PlannedParts, Planner, UNIT};

/// The services whose secrets are searched for.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Secrets(Services);

impl Action for Secrets {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let by_name = self.0.service.is_some();
        let services = planner.services(self.0.service.as_ref())?.into_iter();
        let parts = services
            // A service that is named is shown even when there is nothing to search for.
            .filter(|service| by_name || !service.secrets.is_empty())
            .map(|service| {
                let name = format!("{} keeps its secrets", service.name);
                if service.secrets.is_empty() {
                    return Planned::skipped(name, "it has none");
                }
                let run = move |machine: &Machine, bounds: &Bounds| kept(machine, &service, bounds);
                // The journal, which is searched, can be long.
                Planned::new(name, run).within(UNIT)
            });
        Ok(parts.collect())
    }

    fn changes(&self) -> bool {
        false
    }
}

fn kept(machine: &Machine, service: &NamedService, bounds: &Bounds) -> StepResult {
    let podman = machine.podman(bounds)?;
    let exposed = exposed(machine, bounds)?;
    let mut wrong = Vec::new();
    for kept in &service.secrets {
        let value = match secret::read(&below(&machine.root, &kept.source)) {
            Ok(value) => value,
            Err(error) => {
                wrong.push(format!("{} ({})", error, kept.option));
                continue;
            }
        };
        // A short one is found by chance, and guessed as soon.
        if value.len() < 8 {
            wrong.push(format!(
                "{} has less than 8 characters",
                kept.source.display()
            ));
            continue;
        }
        match podman.holds_secret(&kept.name, &value).map_err(failed)? {
            Held::Same => {}
            Held::Other => wrong.push(format!("podman holds another value of {}", kept.name)),
            Held::Missing => wrong.push(format!("podman holds no secret {}", kept.name)),
        }
        if let Some(places) = exposed
            .get(&kept.source)
            .filter(|places| !places.is_empty())
        {
            wrong.push(format!("{} shows in {}", kept.name, places.join(", ")));
        }
    }
    none_of(&wrong)
}

/// For the file of each secret of the stack, the places that show its value. Searched
/// once for all services; a file that can't be read is left out.
fn exposed(machine: &Machine, bounds: &Bounds) -> StepResult<BTreeMap<PathBuf, Vec<&'static str>>> {
    let mut exposed = lock(&machine.exposed);
    if let Some(exposed) = &*exposed {
        return Ok(exposed.clone());
    }
    let (sources, values): (Vec<PathBuf>, Vec<Vec<u8>>) = machine
        .services
        .values()
        .flat_map(|service| &service.secrets)
        .filter_map(|secret| {
            let value = secret::read(&below(&machine.root, &secret.source)).ok()?;
            Some((secret.source.clone(), value))
        })
        .collect();
    let journal = Journal::new(machine.scope, machine.path.as_deref()).map_err(failed)?;
    let places = places(
        &machine.root,
        (&machine.podman(bounds)?, &machine.states.container_names()),
        &machine.systemctl(bounds)?,
        &journal,
        &values,
        bounds,
    )
    .map_err(failed)?;
    let all: BTreeMap<_, _> = sources.into_iter().zip(places).collect();
    *exposed = Some(all.clone());
    Ok(all)
}

/// How long one process's command line is waited for.
const LIMIT: Duration = Duration::from_secs(1);
/// The longest command line that is read, in bytes: more than the kernel takes (execve(2)).
const MAX_LINE: u64 = 8 * 1024 * 1024;

/// For each value, the places that show it.
fn places(
    root: &Path,
    (podman, containers): (&Podman, &[&str]),
    systemctl: &Systemctl,
    journal: &Journal,
    values: &[Vec<u8>],
    bounds: &Bounds,
) -> Result<Vec<Vec<&'static str>>, CommandError> {
    let seen = [
        ("podman inspect", podman.search(containers, values, bounds)?),
        ("systemctl show", systemctl.search(values, bounds)?),
        ("the journal", journal.search(values, bounds)?),
        ("the list of processes", in_processes(root, values)),
    ];
    let of = |at: usize| {
        let there = seen
            .iter()
            .filter(|(_, found)| found.get(at) == Some(&true));
        there.map(|(place, _)| *place).collect()
    };
    Ok((0..values.len()).map(of).collect())
}

/// Which of the values are in a command line, as far as this user sees them.
fn in_processes(root: &Path, values: &[Vec<u8>]) -> Vec<bool> {
    let mut found = vec![false; values.len()];
    // A process may end meanwhile; what is gone shows nothing.
    for entry in fs::read_dir(root.join("proc"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path().join("cmdline");
        // The kernel reads it from the process's memory, which another account can keep
        // from answering.
        let line = file::within(LIMIT, move || file::read(&path, MAX_LINE))
            .and_then(Result::ok)
            .unwrap_or_default();
        for (value, found) in values.iter().zip(&mut found) {
            *found = *found || (!value.is_empty() && memmem::find(&line, value).is_some());
        }
    }
    found
}
