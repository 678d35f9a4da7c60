//! What was looked at and how it was found.

use serde::{Deserialize, Serialize};

/// How it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// As it should be.
    Ok,
    /// Not as it should be.
    NotOk,
    /// It could not be seen, so that nothing can be said.
    Skipped,
    /// Neither good nor bad: there is nothing to look at.
    Info,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// What was looked at.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub name: String,
    /// How it was found.
    pub finding: Finding,
    /// What was seen.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, Finding::Ok, message, None)
    }

    /// Not as it should be, and what to do about it.
    pub fn not_ok(
        name: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::new(name, Finding::NotOk, message, Some(hint.into()))
    }

    /// Could not be seen.
    pub fn skipped(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, Finding::Skipped, message, None)
    }

    /// Nothing to look at.
    pub fn info(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(name, Finding::Info, message, None)
    }

    fn new(
        name: impl Into<String>,
        finding: Finding,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Self {
        Self {
            name: name.into(),
            finding,
            message: message.into(),
            hint,
        }
    }
}
