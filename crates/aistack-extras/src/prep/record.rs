//! The report that other programs read: `ai-optimizer.json`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::prep::check::Check;
use crate::prep::file::{self, FileError};
use crate::prep::plan::Plan;
use crate::prep::ports::Port;

/// The schema that this version writes and reads.
pub const SCHEMA: u64 = 1;
const MAX_BYTES: u64 = 1024 * 1024;

/// What was found, and when.
#[allow(clippy::struct_excessive_bools, reason = "the fields that others read")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Record {
    /// Always [`SCHEMA`].
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub schema: u64,
    /// Whether the folders are there and nothing that was looked at was wrong.
    pub prepared: bool,
    /// When that was, as ISO 8601 in UTC.
    #[cfg_attr(
        feature = "schema",
        schemars(
            with = "String",
            regex(
                pattern = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?Z$"
            )
        )
    )]
    pub prepared_at: jiff::Timestamp,
    /// Folder of the data.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub data_root: PathBuf,
    /// Folder of the configuration.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub config_root: PathBuf,
    /// Where the checkout is expected.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub expected_location: PathBuf,
    /// Whether docker works.
    pub docker_available: bool,
    /// Whether podman works.
    pub podman_available: bool,
    /// Whether containers can have NVIDIA's cards.
    pub nvidia_toolkit_available: bool,
    /// Whether there is a card that computes.
    pub gpu_detected: bool,
    /// The ports, and who has them.
    pub ports: Vec<Port>,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}

/// Why a report can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no such report.
    #[error("{} is no report of schema {SCHEMA}: {cause}; write it anew with `aistack prep save-status`", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: serde_json::Error,
    },
    /// It is of another schema.
    #[error("{} has schema {seen}, this aistack reads schema {SCHEMA}: write it anew with `aistack prep save-status`", path.display())]
    WrongSchema {
        /// The file.
        path: PathBuf,
        /// Its number.
        seen: u64,
    },
}

/// The number alone: everything else may differ in another schema.
#[derive(Deserialize)]
struct Header {
    schema: u64,
}

impl Record {
    /// Writes it to the plan's file, all or nothing.
    ///
    /// # Errors
    /// When it can't be written; what was there is then still there.
    pub fn save(&self, plan: &Plan) -> Result<(), RecordError> {
        let path = &plan.status_file;
        let mut text = serde_json::to_vec_pretty(self).map_err(|cause| RecordError::Shape {
            path: path.clone(),
            cause,
        })?;
        text.push(b'\n');
        Ok(file::write(path, &text)?)
    }

    /// Reads one; none where there is none.
    ///
    /// # Errors
    /// When it can't be read or is no report of this schema.
    pub fn load(path: &Path) -> Result<Option<Self>, RecordError> {
        let Some(bytes) = file::read(path, MAX_BYTES)? else {
            return Ok(None);
        };
        let shape = |cause| RecordError::Shape {
            path: path.to_owned(),
            cause,
        };
        let Header { schema } = serde_json::from_slice(&bytes).map_err(shape)?;
        if schema != SCHEMA {
            return Err(RecordError::WrongSchema {
                path: path.to_owned(),
                seen: schema,
            });
        }
        serde_json::from_slice(&bytes).map(Some).map_err(shape)
    }
}
