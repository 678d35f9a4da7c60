//! What a text or a JSON document must be like.

use serde::Deserialize;
use serde_json::Value;

use crate::fields::{OneOrMore, Rules, present, yes};
use crate::json_path::JsonPath;
use crate::machine::{StepResult, failed};

/// How much of an answer a message shows, in characters.
pub(crate) const EXCERPT: usize = 160;

/// What a text must be like; everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(extend("minProperties" = 1)))]
pub struct Text {
    /// It is this, without the white space around it.
    #[serde(default, deserialize_with = "present")]
    pub equals: Option<String>,
    /// It contains all of these.
    #[serde(default)]
    pub contains: OneOrMore<String>,
    /// It does not contain this.
    #[serde(default, deserialize_with = "present")]
    pub lacks: Option<String>,
}

impl Rules for Text {
    fn check(&self) -> Result<(), &'static str> {
        if self.equals.is_none() && self.contains.is_empty() && self.lacks.is_none() {
            return Err("it needs equals, contains or lacks");
        }
        Ok(())
    }
}

impl Text {
    /// The first of the texts that are missing in `text`.
    pub(crate) fn missing(&self, text: &str) -> Option<&String> {
        self.contains.iter().find(|part| !text.contains(*part))
    }

    /// The text that must not be in `text`, when it is.
    pub(crate) fn unwanted(&self, text: &str) -> Option<&String> {
        self.lacks.as_ref().filter(|part| text.contains(*part))
    }

    /// Compares it with `bytes`, which messages call `what`.
    pub(crate) fn compare(&self, what: &str, bytes: &[u8]) -> StepResult {
        let text = String::from_utf8_lossy(bytes);
        let excerpt = aistack_machine::text::bytes(bytes, EXCERPT);
        if let Some(equals) = &self.equals
            && text.trim() != equals.trim()
        {
            return Err(failed(format!("{what} is {excerpt:?}, not {equals:?}")));
        }
        if let Some(part) = self.missing(&text) {
            return Err(failed(format!("{what} lacks {part:?}: {excerpt:?}")));
        }
        match self.unwanted(&text) {
            Some(part) => Err(failed(format!("{what} has {part:?}: {excerpt:?}"))),
            None => Ok(()),
        }
    }
}

/// The value at a place of a JSON document. Without a matcher: that there is one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct JsonMatch {
    /// The place: `$.result.collections[0].name`.
    pub path: JsonPath,
    /// It is this value.
    #[serde(default, deserialize_with = "present")]
    pub equals: Option<Value>,
    /// It is a text that contains this, or a list that has this text.
    #[serde(default, deserialize_with = "present")]
    pub contains: Option<String>,
    /// Whether there must be a value [default: true].
    #[serde(default = "yes")]
    pub exists: bool,
}

impl JsonMatch {
    /// Compares it with the body of an answer.
    pub(crate) fn compare(&self, document: &Value) -> StepResult {
        let path = &self.path;
        let excerpt =
            |value: &Value| aistack_machine::text::bytes(value.to_string().as_bytes(), EXCERPT);
        let value = match (path.find(document), self.exists) {
            (None, false) => return Ok(()),
            (None, true) => return Err(failed(format!("the body has nothing at {path}"))),
            (Some(value), false) => {
                return Err(failed(format!("the body has {} at {path}", excerpt(value))));
            }
            (Some(value), true) => value,
        };
        if let Some(equals) = &self.equals
            && value != equals
        {
            return Err(failed(format!(
                "{path} is {}, not {equals}",
                excerpt(value)
            )));
        }
        let has = |part: &String| match value {
            Value::String(text) => text.contains(part.as_str()),
            Value::Array(list) => list.iter().any(|item| item == part.as_str()),
            _ => false,
        };
        match &self.contains {
            Some(part) if !has(part) => Err(failed(format!(
                "{path} is {}, without {part:?}",
                excerpt(value)
            ))),
            _ => Ok(()),
        }
    }
}
