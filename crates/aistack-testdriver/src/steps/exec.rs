//! `exec`: runs a program on the host, or in a service's container.

use std::path::{Path, PathBuf};
use std::process::Command;

use aistack_machine::command::{self, Bounds, Finished};
use serde::Deserialize;

use super::Action;
use crate::fields::{Checked, present, some};
use crate::machine::{Machine, StepResult, ended, failed};
use crate::matchers::Text;
use crate::plan::{Planned, PlannedParts, Planner};

/// A program and what it must print.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The service in whose container it runs [default: on the host].
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// Program and arguments; no shell is involved.
    #[serde(deserialize_with = "some")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    argv: Vec<String>,
    /// Its standard input [default: nothing].
    #[serde(default, deserialize_with = "present")]
    input: Option<String>,
    /// Exit status [default: 0].
    #[serde(default)]
    exit: u8,
    /// Its standard output.
    #[serde(default, deserialize_with = "present")]
    stdout: Option<Checked<Text>>,
    /// Its standard error, on one line.
    #[serde(default, deserialize_with = "present")]
    stderr: Option<Checked<Text>>,
}

impl Action for Exec {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let container = match &self.service {
            Some(name) => Some(planner.service(name)?.container.clone()),
            None => None,
        };
        let name = format!(
            "{}: {}",
            container.as_deref().unwrap_or("host"),
            self.argv.join(" ").replace(char::is_control, " ")
        );
        let exec = self.clone();
        Ok(vec![Planned::new(name, move |machine, bounds| {
            exec.run(machine, container.as_deref(), bounds)
        })])
    }

    fn changes(&self) -> bool {
        true
    }

    fn can_be_harmless(&self) -> bool {
        true
    }
}

impl Exec {
    fn run(&self, machine: &Machine, container: Option<&str>, bounds: &Bounds) -> StepResult {
        let input = self.input.as_ref().map(|input| input.as_bytes().to_vec());
        let done = match container {
            Some(container) => machine.exec(container, &self.argv, input, bounds),
            None => self.on_host(machine, input, bounds),
        }?;
        if done.status.code() != Some(i32::from(self.exit)) {
            return Err(failed(ended(&done)));
        }
        if let Some(text) = &self.stdout {
            text.compare("standard output", &done.stdout)?;
        }
        match &self.stderr {
            Some(text) => text.compare("standard error", done.stderr.as_bytes()),
            None => Ok(()),
        }
    }

    fn on_host(
        &self,
        machine: &Machine,
        input: Option<Vec<u8>>,
        bounds: &Bounds,
    ) -> StepResult<Finished> {
        let (name, arguments) = self
            .argv
            .split_first()
            .ok_or_else(|| failed("no program"))?;
        let program = if name.contains('/') {
            PathBuf::from(name)
        } else {
            command::find(Path::new("/"), machine.path.as_deref(), &[], name)
                .unwrap_or_else(|| PathBuf::from(name))
        };
        let mut command = Command::new(program);
        command.args(arguments);
        command::run_bounded(command, input, bounds).map_err(failed)
    }
}
