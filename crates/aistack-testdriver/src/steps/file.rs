//! `file`: a file of the host.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aistack_machine::command::below;
use aistack_machine::file::{self, ReadError};
use serde::{Deserialize, Deserializer, de};

use super::Action;
use crate::fields::{Checked, Line, present, refused, yes};
use crate::machine::{MAX_BYTES, Machine, StepResult, failed};
use crate::matchers::Text;
use crate::plan::{Planned, PlannedParts, Planner};

/// A file and what must be true of it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Absolute path.
    #[serde(deserialize_with = "absolute")]
    #[cfg_attr(feature = "schema", schemars(with = "Line", extend("pattern" = r"^(/|\$\{)")))]
    path: PathBuf,
    /// Whether it must exist [default: true].
    #[serde(default = "yes")]
    exists: bool,
    /// Its text; a file of more than 1 MiB is not read.
    #[serde(default, deserialize_with = "present")]
    text: Option<Checked<Text>>,
}

fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let Line(path) = Line::deserialize(deserializer)?;
    // A path that begins with a value of the stack is checked when the value is filled in.
    if path.starts_with('/') || path.starts_with("${") {
        Ok(PathBuf::from(path))
    } else {
        Err(refused(de::Unexpected::Str(&path), "an absolute path"))
    }
}

impl Action for File {
    fn plan(&self, _: &Planner<'_>) -> PlannedParts {
        let what = if self.exists {
            "is there"
        } else {
            "is not there"
        };
        let name = format!("{} {what}", self.path.display());
        let file = Arc::new(self.clone());
        Ok(vec![Planned::new(name, move |machine, _| {
            file.compare(machine)
        })])
    }

    fn changes(&self) -> bool {
        false
    }
}

impl File {
    fn compare(&self, machine: &Machine) -> StepResult {
        let path = below(&machine.root, &self.path);
        let shown = self.path.display();
        let exists = path
            .try_exists()
            .map_err(|error| failed(format!("{shown} cannot be looked at: {error}")))?;
        match (exists, self.exists, &self.text) {
            (true, false, _) => Err(failed(format!("{shown} is there"))),
            (false, true, _) => Err(failed(format!("{shown} is not there"))),
            (true, true, Some(text)) => self.compare_text(text, &path),
            _ => Ok(()),
        }
    }

    fn compare_text(&self, text: &Text, path: &Path) -> StepResult {
        let shown = self.path.display();
        let bytes = file::read(path, MAX_BYTES as u64).map_err(|error| {
            failed(match error {
                ReadError::TooLong(most) => format!(
                    "{shown} is larger than {} KiB, too large to be looked into",
                    most / 1024
                ),
                other => format!("{shown} cannot be read: {other}"),
            })
        })?;
        text.compare(&shown.to_string(), &bytes)
    }
}
