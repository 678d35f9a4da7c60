//! A scenario: a document of typed steps, in TOML or JSON.
//!
//! The format is `schemas/scenario.schema.json`. [`Scenario::parse`] gives
//! either a scenario that follows it, or one error with the place in the document.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aistack_machine::file::{self, ReadError};
use serde::{Deserialize, Deserializer, de};

use crate::fields::{Checked, Line, Retry, Seconds, present, refused, some};
use crate::steps::{self, Action, KINDS};
use crate::values::Values;

/// The schema number that this program reads.
pub const SCHEMA: u64 = 1;

/// The largest scenario that is read, in bytes: it keeps a wrong path from filling
/// the memory.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// Why a scenario can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file can't be read.
    #[error("{} cannot be read: {cause}; check the path", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is far larger than any scenario.
    #[error("{} is larger than {} KiB, so it is not a valid scenario: check the path", path.display(), MAX_BYTES / 1024)]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// The text is neither TOML nor, in a file `….json`, JSON.
    #[error("{} is not valid {format}: {cause}", path.display())]
    Syntax {
        /// The path.
        path: PathBuf,
        /// `TOML` or `JSON`.
        format: &'static str,
        /// Where and why, on one line.
        cause: String,
    },
    /// A text refers to something that the stack does not have.
    #[error("{} does not fit this stack at {at}: {why}", path.display())]
    Dangling {
        /// The path.
        path: PathBuf,
        /// Place in the document.
        at: String,
        /// What was looked for, and where.
        why: String,
    },
    /// A field is missing, unknown or of another kind than the schema says.
    #[error("{} does not follow scenario schema {SCHEMA} at {at}: {cause}", path.display())]
    Shape {
        /// The path.
        path: PathBuf,
        /// Place in the document, e.g. `groups[0].steps[2].http`.
        at: String,
        /// What was wrong there.
        cause: String,
    },
}

/// Steps in groups, one group after the other.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// Number of the format, [`SCHEMA`].
    #[serde(deserialize_with = "schema")]
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub schema: u64,
    /// Its name.
    pub name: Line,
    /// What it shows, for people.
    #[serde(default)]
    pub description: String,
    /// Services without which the scenario is skipped.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Groups of steps.
    #[serde(deserialize_with = "some")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub groups: Vec<Group>,
}

fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        SCHEMA => Ok(SCHEMA),
        other => Err(refused(de::Unexpected::Unsigned(other), "schema 1")),
    }
}

/// Steps that run one after the other, or at the same time.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// Its name.
    #[serde(default, deserialize_with = "present")]
    pub name: Option<Line>,
    /// Whether the steps run at the same time.
    #[serde(default)]
    pub parallel: bool,
    /// Whether the other steps and the groups after this one run after a failure.
    #[serde(default)]
    pub keep_going: bool,
    /// The longest time of the whole group; a longer one is a failure.
    #[serde(default, deserialize_with = "present")]
    pub limit: Option<Seconds>,
    /// The steps.
    #[serde(deserialize_with = "some")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub steps: Vec<Step>,
}

/// One step: one action, and how long and how often it is tried.
#[derive(Clone, Debug)]
pub struct Step {
    /// What the report calls it, and how long and how often it is tried.
    pub common: Common,
    /// What it does.
    pub action: Arc<dyn Action>,
}

/// The fields that every step may have beside its action.
#[derive(Clone, Debug, Default)]
#[cfg_attr(
    feature = "schema",
    derive(schemars::JsonSchema),
    schemars(inline, deny_unknown_fields, default)
)]
pub struct Common {
    /// Its name [default: what the action says].
    pub name: Option<Line>,
    /// The longest time for all tries together [default: that of the action].
    pub timeout: Option<Seconds>,
    /// The longest time until it passes; a longer one is a failure.
    pub limit: Option<Seconds>,
    /// How it is tried again [default: that of the action].
    pub retry: Option<Retry>,
    /// Whether the author says that an `exec` or `http` that could change something does not.
    pub harmless: bool,
    /// Steps that run at the scenario's end, whatever happened, once this one began.
    #[cfg_attr(feature = "schema", schemars(extend("items" = { "$ref": "#/$defs/Step", "properties": { "cleanup": { "maxItems": 0 } } })))]
    pub cleanup: Vec<Step>,
}

/// The fields of [`Common`] in a document.
const COMMON: [&str; 6] = ["name", "timeout", "limit", "retry", "harmless", "cleanup"];

/// Name of a field of a step.
struct Field(String);

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if COMMON.iter().chain(KINDS).any(|known| *known == name) {
            return Ok(Self(name));
        }
        let known: Vec<&str> = COMMON.iter().chain(KINDS).copied().collect();
        Err(de::Error::custom(format!(
            "unknown field `{name}`, expected one of {}",
            known.join(", ")
        )))
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;

        impl<'de> de::Visitor<'de> for Table {
            type Value = Step;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a step")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Step, A::Error> {
                let (mut common, mut actions) = (Common::default(), Vec::new());
                while let Some(Field(name)) = map.next_key()? {
                    match name.as_str() {
                        "name" => common.name = Some(map.next_value()?),
                        "timeout" => common.timeout = Some(map.next_value()?),
                        "limit" => common.limit = Some(map.next_value()?),
                        "retry" => common.retry = Some(map.next_value::<Checked<_>>()?.0),
                        "harmless" => common.harmless = map.next_value()?,
                        "cleanup" => common.cleanup = map.next_value()?,
                        kind => actions.push((kind.to_owned(), steps::read(kind, &mut map)?)),
                    }
                }
                if common
                    .cleanup
                    .iter()
                    .any(|step| !step.common.cleanup.is_empty())
                {
                    return Err(de::Error::custom("a cleanup has no cleanup of its own"));
                }
                let names: Vec<&str> = KINDS
                    .iter()
                    .copied()
                    .filter(|kind| actions.iter().any(|(name, _)| name == kind))
                    .collect();
                match actions.pop() {
                    Some((_, action)) if actions.is_empty() => Ok(Step { common, action }),
                    Some(_) => Err(de::Error::custom(format!(
                        "a step does one thing, this one does {}",
                        names.join(" and ")
                    ))),
                    None => Err(de::Error::custom(format!(
                        "the step does nothing: it needs one of {}",
                        KINDS.join(", ")
                    ))),
                }
            }
        }

        deserializer.deserialize_map(Table)
    }
}

/// A document as a tree, from TOML or (by the file's name) JSON.
fn tree(path: &Path, text: &[u8]) -> Result<serde_json::Value, ScenarioError> {
    let syntax = |format, cause: &dyn fmt::Display| ScenarioError::Syntax {
        path: path.to_owned(),
        format,
        cause: aistack_machine::text::error(cause),
    };
    if path.extension().is_some_and(|name| name == "json") {
        return serde_json::from_slice(text).map_err(|error| syntax("JSON", &error));
    }
    let text = std::str::from_utf8(text).map_err(|error| syntax("TOML", &error))?;
    toml::from_str(text).map_err(|error| syntax("TOML", &error))
}

impl Scenario {
    /// Reads the file at `path`: JSON when its name ends so, TOML otherwise.
    ///
    /// # Errors
    /// When it can't be read, or as [`Scenario::parse`].
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        Self::parse(path, &read(path)?)
    }

    /// Parses `text`; `path` names it in errors, and its ending says the format.
    ///
    /// # Errors
    /// When it is not of the format, or does not follow the schema.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ScenarioError> {
        shaped(path, &tree(path, text)?)
    }

    /// As [`Scenario::load`], with the values of a stack in its texts.
    ///
    /// # Errors
    /// As that, and when a text refers to something that the stack does not have.
    pub fn load_on(path: &Path, values: &Values) -> Result<Self, ScenarioError> {
        Self::parse_on(path, &read(path)?, values)
    }

    /// As [`Scenario::parse`], with the values of a stack in its texts. One that
    /// requires services which the stack does not have stays as it is: it is not run.
    ///
    /// # Errors
    /// As that, and when a text refers to something that the stack does not have.
    pub fn parse_on(path: &Path, text: &[u8], values: &Values) -> Result<Self, ScenarioError> {
        let mut tree = tree(path, text)?;
        let raw: Self = shaped(path, &tree)?;
        if raw.requires.iter().any(|name| !values.has_service(name)) {
            return Ok(raw);
        }
        values
            .fill(&mut tree)
            .map_err(|dangling| ScenarioError::Dangling {
                path: path.to_owned(),
                at: dangling.at,
                why: dangling.why,
            })?;
        shaped(path, &tree)
    }
}

/// A value of a tree, or an error with the place in it.
pub(crate) fn shaped<T: de::DeserializeOwned>(
    path: &Path,
    tree: &serde_json::Value,
) -> Result<T, ScenarioError> {
    serde_path_to_error::deserialize(tree).map_err(|error| {
        let at = error.path().to_string();
        ScenarioError::Shape {
            path: path.to_owned(),
            at: if at == "." {
                "the top level".to_owned()
            } else {
                at
            },
            cause: aistack_machine::text::error(&error.into_inner()),
        }
    })
}

/// The bytes of a file, at most [`MAX_BYTES`].
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ScenarioError> {
    let unreadable = |cause| ScenarioError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    file::read(path, MAX_BYTES).map_err(|error| match error {
        ReadError::TooLong(_) => ScenarioError::TooLarge {
            path: path.to_owned(),
        },
        other => unreadable(other.into()),
    })
}
