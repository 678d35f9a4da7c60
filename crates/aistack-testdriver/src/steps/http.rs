//! `http`: one HTTP request and what its answer must be like.

use std::collections::BTreeMap;

use aistack_machine::command::Bounds;
use serde::{Deserialize, Deserializer, de};

use super::Action;
use crate::fields::{Checked, Line, Rules, present, refused};
use crate::machine::{StepResult, failed};
use crate::matchers::{EXCERPT, JsonMatch, Text};
use crate::plan::{Planned, PlannedParts, Planner};
use crate::request::{Method, Request};

/// A request, to a URL or to a service's port, and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::request))]
pub struct Http {
    /// `http://…`; TLS is not supported.
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^http://")))]
    url: Option<Line>,
    /// The service that is asked.
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// Name of the service's port [default: http].
    #[serde(default, deserialize_with = "present")]
    port: Option<String>,
    /// Path and query [default: /].
    #[serde(default, deserialize_with = "present")]
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    path: Option<Line>,
    /// Its method [default: GET].
    #[serde(default)]
    method: Method,
    /// Headers that are sent.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// The body that is sent.
    #[serde(default, deserialize_with = "present")]
    body: Option<String>,
    /// What the answer must be like.
    #[serde(default)]
    expect: Checked<Expect>,
}

/// What an HTTP answer must be like.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Status [default: any from 200 to 299].
    #[serde(default, deserialize_with = "status")]
    #[cfg_attr(feature = "schema", schemars(range(min = 100, max = 599)))]
    status: Option<u16>,
    /// Headers by name, in any case.
    #[serde(default)]
    headers: BTreeMap<String, Checked<Text>>,
    /// The body as text.
    #[serde(default, deserialize_with = "present")]
    body: Option<Checked<Text>>,
    /// Places of the body as JSON.
    #[serde(default)]
    json: Vec<JsonMatch>,
}

impl Rules for Expect {}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    let status = u16::deserialize(deserializer)?;
    if (100..=599).contains(&status) {
        Ok(Some(status))
    } else {
        let status = de::Unexpected::Unsigned(status.into());
        Err(refused(status, "a status from 100 to 599"))
    }
}

impl Action for Http {
    fn rules(&self) -> Result<(), &'static str> {
        match (&self.url, &self.service, &self.port, &self.path) {
            (Some(url), None, None, None) if url.starts_with("http://") => {}
            (Some(_), None, None, None) => return Err("the url must begin with http://"),
            (None, Some(_), _, Some(path)) if !path.starts_with('/') => {
                return Err("the path must begin with /");
            }
            (None, Some(_), _, _) => {}
            _ => return Err("it needs either url or service (with port, path)"),
        }
        if self.body.is_some() && !self.method.has_body() {
            return Err("a body is sent with POST, PUT and PATCH alone");
        }
        Ok(())
    }

    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let url = match (&self.url, &self.service) {
            (Some(url), _) => url.0.clone(),
            (None, service) => {
                let service = planner.service(service.as_deref().unwrap_or_default())?;
                let port = service.port_or_first(Some(self.port.as_deref().unwrap_or("http")))?;
                let path = self.path.as_deref().unwrap_or("/");
                format!("http://{}{path}", port.reachable())
            }
        };
        let request = Request {
            url,
            method: self.method,
            headers: self.headers.clone().into_iter().collect(),
            body: self.body.clone(),
        };
        let expect = self.expect.0.clone();
        let name = format!("{} {}", request.method.name(), request.url);
        Ok(vec![Planned::new(name, move |_, bounds| {
            ask(&request, &expect, bounds)
        })])
    }

    fn changes(&self) -> bool {
        self.method.changes()
    }

    fn can_be_harmless(&self) -> bool {
        true
    }
}

fn ask(request: &Request, expect: &Expect, bounds: &Bounds) -> StepResult {
    let answer = request.send(bounds.limit)?;
    let (expected, wanted) = match expect.status {
        Some(status) => (answer.status == status, status.to_string()),
        None => (
            (200..=299).contains(&answer.status),
            "one from 200 to 299".to_owned(),
        ),
    };
    if !expected {
        return Err(failed(format!(
            "answered status {}, not {wanted}: {}",
            answer.status,
            aistack_machine::text::bytes(&answer.body, EXCERPT)
        )));
    }
    for (name, text) in &expect.headers {
        let value = answer
            .headers
            .iter()
            .find(|(sent, _)| sent.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .ok_or_else(|| failed(format!("the answer has no header {name}")))?;
        text.compare(&format!("header {name}"), value.as_bytes())?;
    }
    if let Some(text) = &expect.body {
        text.compare("the body", &answer.body)?;
    }
    if expect.json.is_empty() {
        return Ok(());
    }
    let document = serde_json::from_slice(&answer.body).map_err(|error| {
        failed(format!(
            "the body is not JSON ({error}): {}",
            aistack_machine::text::bytes(&answer.body, EXCERPT)
        ))
    })?;
    expect
        .json
        .iter()
        .try_for_each(|place| place.compare(&document))
}
