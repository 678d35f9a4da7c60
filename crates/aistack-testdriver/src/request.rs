//! One HTTP request: of a step, or of a check.

use std::time::Duration;

use aistack_machine::probe::Answer;
use serde::Deserialize;

use crate::machine::{MAX_BYTES, StepResult, failed};

/// Method of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(inline))]
pub enum Method {
    /// Reads.
    #[default]
    Get,
    /// Reads the header alone.
    Head,
    /// Sends the body.
    Post,
    /// Replaces by the body.
    Put,
    /// Changes by the body.
    Patch,
    /// Deletes.
    Delete,
}

impl Method {
    /// Whether a body is sent with it.
    pub(crate) fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }

    /// Whether it changes something, or could.
    pub(crate) fn changes(self) -> bool {
        !matches!(self, Self::Get | Self::Head)
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

impl From<Method> for aistack_machine::probe::Method {
    fn from(method: Method) -> Self {
        match method {
            Method::Get => Self::Get,
            Method::Head => Self::Head,
            Method::Post => Self::Post,
            Method::Put => Self::Put,
            Method::Patch => Self::Patch,
            Method::Delete => Self::Delete,
        }
    }
}

/// A request with its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `http://…`
    pub url: String,
    /// Its method.
    pub method: Method,
    /// Headers that are sent.
    pub headers: Vec<(String, String)>,
    /// The body that is sent.
    pub body: Option<String>,
}

impl Request {
    /// Sends it; the answer, whatever its status.
    pub(crate) fn send(&self, limit: Duration) -> StepResult<Answer> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = aistack_machine::probe::Request {
            method: self.method.into(),
            url: &self.url,
            headers: &headers,
            body: self.body.as_deref().unwrap_or_default().as_bytes(),
        };
        aistack_machine::probe::exchange(&request, limit, MAX_BYTES).map_err(failed)
    }
}
