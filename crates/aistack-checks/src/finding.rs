//! One line of a report: what was looked at, how it was found, and what to do about it.

use aistack_schema::Scope;
use serde::Serialize;

/// How something was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// As it should be.
    Ok,
    /// Not as it should be.
    NotOk,
    /// This user may not see it, so that nothing is known.
    Skipped,
}

/// The part of the machine that a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The host.
    Host,
    /// A unit of systemd.
    Unit,
    /// A published port.
    Port,
    /// A health probe.
    Health,
    /// What an engine computes on.
    Device,
    /// A folder or file with data.
    Data,
    /// What a database holds.
    Database,
    /// What a collection of vectors is like.
    Collection,
}

impl Kind {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Unit => "unit",
            Self::Port => "port",
            Self::Health => "health",
            Self::Device => "device",
            Self::Data => "data",
            Self::Database => "database",
            Self::Collection => "collection",
        }
    }
}

/// One line of the report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Scope of the stack.
    pub scope: Scope,
    /// The service; none: the host itself.
    pub service: Option<String>,
    /// The part of the machine.
    pub kind: Kind,
    /// What was looked at: a unit, a port, a path.
    pub subject: String,
    /// How it was found.
    pub finding: Finding,
    /// What was seen.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// How long a probe took.
    pub latency_ms: Option<f64>,
}

/// What was seen: well, not well, or not to be seen.
pub(crate) enum Found {
    Well(String),
    Bad(String, Option<String>),
    Unseen(String),
}

impl Check {
    pub(crate) fn new(
        scope: Scope,
        service: Option<&str>,
        kind: Kind,
        subject: String,
        found: Found,
    ) -> Self {
        let (finding, message, hint) = match found {
            Found::Well(message) => (Finding::Ok, message, None),
            Found::Bad(message, hint) => (Finding::NotOk, message, hint),
            Found::Unseen(message) => (Finding::Skipped, message, None),
        };
        Self {
            scope,
            service: service.map(str::to_owned),
            kind,
            subject,
            finding,
            message,
            hint,
            latency_ms: None,
        }
    }

    pub(crate) fn host(
        scope: Scope,
        subject: &str,
        found: Result<String, (String, Option<String>)>,
    ) -> Self {
        let found = match found {
            Ok(message) => Found::Well(message),
            Err((message, hint)) => Found::Bad(message, hint),
        };
        Self::new(scope, None, Kind::Host, subject.to_owned(), found)
    }
}
