//! `scenarios.json`: what each service is asked, and its marker, computed by its `test.nix` from the
//! service's configuration.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};

use crate::scenario::{Method, ScenarioError, read, shaped};

/// What the services are asked, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ServiceData(pub BTreeMap<String, OfService>);

/// What one service is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfService {
    /// What is asked of it.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// How it keeps a value, and gives it back; none: it keeps nothing.
    #[serde(default)]
    pub marker: Option<Marker>,
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What it shows.
    pub name: String,
    /// Over HTTP.
    #[serde(default)]
    pub http: Option<Request>,
    /// Or by a program in the container.
    #[serde(default)]
    pub exec: Option<Vec<String>>,
    /// Texts that must be in the answer: one, or a list.
    #[serde(deserialize_with = "texts")]
    pub expect: Vec<String>,
    /// A text that must not be in the answer.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Whether it changes nothing. One that writes is asked on test stacks alone.
    #[serde(default = "quick")]
    pub quick: bool,
}

fn quick() -> bool {
    true
}

/// A value that a service keeps.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// How it is written: one way, or several one after the other.
    #[serde(deserialize_with = "ways")]
    pub write: Vec<Way>,
    /// How it is read.
    pub read: Way,
    /// Texts that must be in the answer: one, or a list.
    #[serde(deserialize_with = "texts")]
    pub expect: Vec<String>,
}

fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Texts::deserialize(deserializer)? {
        Texts::One(text) => vec![text],
        Texts::Several(texts) => texts,
    })
}

fn ways<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Way>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ways {
        One(Way),
        Several(Vec<Way>),
    }
    Ok(match Ways::deserialize(deserializer)? {
        Ways::One(way) => vec![way],
        Ways::Several(ways) => ways,
    })
}

/// Exactly one of the two.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Over HTTP.
    Http(Request),
    /// By a program in the container.
    Exec(Vec<String>),
}

/// A request to one of the service's ports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Name of the port.
    pub port: String,
    /// Path and query.
    pub path: String,
    /// What it does.
    #[serde(default)]
    pub method: Method,
    /// What is sent along, as JSON.
    #[serde(default)]
    pub body: Option<String>,
    /// The key that the service asks for; none: it is open.
    #[serde(default)]
    pub auth: Option<Auth>,
}

/// A header that carries one of the service's secrets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Name of the secret in stack.json, which says the file that holds the value.
    pub secret: String,
    /// Name of the header.
    pub header: String,
    /// Text before the value, for instance `Bearer `.
    #[serde(default)]
    pub prefix: String,
}

impl Check {
    /// How it is asked; none: it says neither, or both.
    #[must_use]
    pub fn way(&self) -> Option<Way> {
        match (&self.http, &self.exec) {
            (Some(http), None) => Some(Way::Http(http.clone())),
            (None, Some(argv)) => Some(Way::Exec(argv.clone())),
            _ => None,
        }
    }
}

impl ServiceData {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it can't be read, is no JSON, or of another shape.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        Self::parse(path, &read(path)?)
    }

    /// Parses `text`; `path` names it in errors.
    ///
    /// # Errors
    /// When it is no JSON, or of another shape.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ScenarioError> {
        let tree: serde_json::Value =
            serde_json::from_slice(text).map_err(|error| ScenarioError::Syntax {
                path: path.to_owned(),
                format: "JSON",
                cause: error.to_string(),
            })?;
        let data: Self = shaped(path, &tree)?;
        for (service, of) in &data.0 {
            if let Some(at) = of.checks.iter().position(|check| check.way().is_none()) {
                return Err(ScenarioError::Shape {
                    path: path.to_owned(),
                    at: format!("{service}.checks[{at}]"),
                    cause: "it needs either http or exec".to_owned(),
                });
            }
        }
        Ok(data)
    }
}
