//! `scenarios.json`: the checks of each service and its marker, which the Nix modules
//! compute from the service's configuration.

use std::collections::BTreeMap;
use std::path::Path;

use aistack_machine::command::{Bounds, below};
use aistack_machine::{contained, secret};
use serde::Deserialize;

use crate::fields::{Checked, OneOrMore, Rules};
use crate::machine::{Machine, StepResult, chain, ended, failed};
use crate::matchers::{EXCERPT, Text};
use crate::plan::NamedService;
use crate::request::{Method, Request};
use crate::scenario::{ScenarioError, read, shaped};

/// The checks of all services, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct ServiceChecks(pub BTreeMap<String, OfService>);

/// The checks of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfService {
    /// Its checks.
    #[serde(default)]
    pub checks: Vec<Checked<Check>>,
    /// How it stores a value and returns it; none: it stores nothing.
    #[serde(default)]
    pub marker: Option<Marker>,
}

/// One question to a service and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What it shows.
    pub name: String,
    /// Asks over HTTP.
    #[serde(default)]
    pub http: Option<PortRequest>,
    /// Asks by a program in the container.
    #[serde(default)]
    pub exec: Option<Vec<String>>,
    /// Texts that must be in the answer.
    pub expect: OneOrMore<String, 0>,
    /// A text that must not be in the answer.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Whether it changes nothing. One that writes runs on test stacks alone.
    #[serde(default = "crate::fields::yes")]
    pub quick: bool,
}

impl Rules for Check {
    fn check(&self) -> Result<(), &'static str> {
        match (&self.http, &self.exec) {
            (Some(_), None) | (None, Some(_)) => Ok(()),
            _ => Err("it needs either http or exec"),
        }
    }
}

impl Check {
    /// How the service is asked.
    pub(crate) fn query(&self) -> Query {
        match (&self.http, &self.exec) {
            (Some(http), _) => Query::Http(http.clone()),
            (None, argv) => Query::Exec(argv.clone().unwrap_or_default()),
        }
    }
}

/// A value that a service stores.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Marker {
    /// How it is written: queries, one after the other.
    pub write: OneOrMore<Query, 0>,
    /// How it is read.
    pub read: Query,
    /// Texts that must be in the answer.
    pub expect: OneOrMore<String, 0>,
}

/// How a service is asked.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Query {
    /// Over HTTP.
    Http(PortRequest),
    /// By a program in the container.
    Exec(Vec<String>),
}

/// A request to one of the service's ports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRequest {
    /// Name of the port.
    pub port: String,
    /// Path and query.
    pub path: String,
    /// Its method.
    #[serde(default)]
    pub method: Method,
    /// The body that is sent, as JSON.
    #[serde(default)]
    pub body: Option<String>,
    /// The key that the service requires; none: it is open.
    #[serde(default)]
    pub auth: Option<Auth>,
}

/// A header that carries one of the service's secrets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Name of the secret in stack.json, which names the file with the value.
    pub secret: String,
    /// Name of the header.
    pub header: String,
    /// Text before the value, for instance `Bearer `.
    #[serde(default)]
    pub prefix: String,
}

impl ServiceChecks {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it can't be read, is not JSON, or of another shape.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        Self::parse(path, &read(path)?)
    }

    /// Parses `text`; `path` names it in errors.
    ///
    /// # Errors
    /// When it is not JSON, or of another shape.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ScenarioError> {
        let tree: serde_json::Value =
            serde_json::from_slice(text).map_err(|error| ScenarioError::Syntax {
                path: path.to_owned(),
                format: "JSON",
                cause: error.to_string(),
            })?;
        shaped(path, &tree)
    }
}

impl Query {
    /// Whether the service has what is asked.
    pub(crate) fn fits(&self, service: &NamedService) -> Result<(), String> {
        if let Self::Http(request) = self {
            service.port_or_first(Some(&request.port)).map_err(|why| {
                format!(
                    "scenarios.json asks {} on a port that it has not: {why}",
                    service.name
                )
            })?;
        }
        Ok(())
    }

    /// Asks the service, and compares its answer. `writes`: a value that is stored already
    /// is as good as one that is stored now.
    pub(crate) fn ask(
        &self,
        machine: &Machine,
        service: &NamedService,
        expect: &Text,
        writes: bool,
        bounds: &Bounds,
    ) -> StepResult {
        match self {
            Self::Http(request) => request.ask(machine, service, expect, writes, bounds),
            Self::Exec(argv) => {
                let done = machine.exec(&service.container, argv, None, bounds)?;
                if !done.status.success() {
                    return Err(failed(ended(&done)));
                }
                answered(expect, &String::from_utf8_lossy(&done.stdout))
            }
        }
    }
}

impl PortRequest {
    fn ask(
        &self,
        machine: &Machine,
        service: &NamedService,
        expect: &Text,
        writes: bool,
        bounds: &Bounds,
    ) -> StepResult {
        let port = service.port_or_first(Some(&self.port)).map_err(failed)?;
        let mut headers = Vec::new();
        if self.body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let mut key = None;
        if let Some(auth) = &self.auth {
            let value = auth.key(machine, service)?;
            let systemctl = machine.systemctl(bounds)?;
            contained::prove(&machine.root, &systemctl, &service.unit, port.reachable())
                .map_err(|error| failed(format!("its key was not sent: {}", chain(&error))))?;
            headers.push((auth.header.clone(), format!("{}{value}", auth.prefix)));
            key = Some(value);
        }
        let request = Request {
            url: format!("http://{}{}", port.reachable(), self.path),
            method: self.method,
            headers,
            body: self.body.clone(),
        };
        let answer = request.send(bounds.limit)?;
        // A server that repeats the key must not bring it into a report.
        let mut text = String::from_utf8_lossy(&answer.body).into_owned();
        if let Some(key) = &key {
            text = text.replace(key.as_str(), "(the key)");
        }
        match (answer.status, &self.auth) {
            (200..=299, _) => answered(expect, &text),
            // 409: the value is already stored, by an earlier run.
            (409, _) if writes => answered(expect, &text),
            (status @ (401 | 403), Some(auth)) => Err(failed(format!(
                "answered status {status}: it refuses the key of the secret {}; was the service restarted since the key changed?",
                auth.secret
            ))),
            (status @ (401 | 403), None) => Err(failed(format!(
                "answered status {status}: it asks for a key, and scenarios.json names none for this request"
            ))),
            (status, _) => Err(failed(format!(
                "answered status {status}: {}",
                aistack_machine::text::bytes(text.as_bytes(), EXCERPT)
            ))),
        }
    }
}

impl Auth {
    /// The value of the secret. Every key that this program sends comes from here.
    fn key(&self, machine: &Machine, service: &NamedService) -> StepResult<String> {
        let secret = service
            .secrets
            .iter()
            .find(|secret| secret.name == self.secret)
            .ok_or_else(|| {
                failed(format!(
                    "scenarios.json asks {} with the secret {}, which stack.json does not have",
                    service.name, self.secret
                ))
            })?;
        let value = secret::read(&below(&machine.root, &secret.source)).map_err(|error| {
            failed(format!(
                "the key of {} ({}) cannot be used: {error}",
                service.name, secret.option
            ))
        })?;
        String::from_utf8(value)
            .ok()
            .filter(|value| !value.contains(char::is_control))
            .ok_or_else(|| {
                failed(format!(
                    "{} ({}) is not a valid key for an HTTP header: it must be one line of text",
                    secret.source.display(),
                    secret.option
                ))
            })
    }
}

/// Compares an answer with what a check expects of it.
fn answered(expect: &Text, text: &str) -> StepResult {
    let excerpt = || aistack_machine::text::bytes(text.as_bytes(), EXCERPT);
    if let Some(part) = expect.missing(text) {
        return Err(failed(format!("no {part:?} in the answer {:?}", excerpt())));
    }
    match expect.unwanted(text) {
        Some(part) => Err(failed(format!("{part:?} is in the answer {:?}", excerpt()))),
        None => Ok(()),
    }
}
