//! Places in a JSON document: `$`, `.name`, `['name']`, `[0]`, one after the other.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

/// A place in a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonPath {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Name(String),
    Index(usize),
}

impl JsonPath {
    /// Parses it; none: it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let (part, after) = if let Some(name) = rest.strip_prefix('.') {
                let end = name.find(['.', '[']).unwrap_or(name.len());
                let (name, after) = name.split_at(end);
                (Part::Name(name.to_owned()), after)
            } else if let Some(name) = rest.strip_prefix("['") {
                let (name, after) = name.split_once("']")?;
                (Part::Name(name.to_owned()), after)
            } else {
                let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
                let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
                (Part::Index(index.parse().ok().filter(|_| digits)?), after)
            };
            if part == Part::Name(String::new()) {
                return None;
            }
            parts.push(part);
            rest = after;
        }
        Some(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// What stands there.
    #[must_use]
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.parts
            .iter()
            .try_fold(document, |value, part| match part {
                Part::Name(name) => value.as_object()?.get(name),
                Part::Index(index) => value.as_array()?.get(*index),
            })
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::invalid_value(
                de::Unexpected::Str(&text),
                &"a path like $.result.items[0]['a name']",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn places_are_found() {
        let document = json!({ "a": { "b c": [1, { "d": "x" }] } });
        for (path, value) in [
            ("$", Some(document.clone())),
            ("$.a['b c'][0]", Some(json!(1))),
            ("$.a['b c'][1].d", Some(json!("x"))),
            ("$.a['b c'][2]", None),
            ("$.a[0]", None),
            ("$.nothing", None),
        ] {
            let found = JsonPath::parse(path).unwrap().find(&document).cloned();
            assert_eq!(found, value, "{path}");
        }
    }

    #[test]
    fn anything_else_is_no_path() {
        for path in [
            "", "a", "$a", "$.", "$..a", "$[", "$[-1]", "$[+1]", "$['a", "$[a]", "$.a[]", "$['']",
        ] {
            assert!(JsonPath::parse(path).is_none(), "{path}");
        }
    }
}
