//! What a scenario takes from the stack that it runs on: `${stack}` is the path of its
//! `stack.json`, and `${$.services.redis.unit}` what stands there in it.

use std::path::Path;

use serde_json::Value;

use crate::json_path::JsonPath;

/// The values that texts of a scenario can refer to.
#[derive(Clone, Debug)]
pub struct Values {
    path: String,
    stack: Value,
}

/// A text that refers to something that is not there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dangling {
    /// Place in the scenario.
    pub at: String,
    /// Why.
    pub why: String,
}

impl Values {
    /// The stack that the file at `path` holds.
    #[must_use]
    pub fn new(path: &Path, stack: Value) -> Self {
        Self {
            path: path.display().to_string(),
            stack,
        }
    }

    /// Whether the stack has a service of that name.
    pub(crate) fn has_service(&self, name: &str) -> bool {
        self.stack
            .get("services")
            .is_some_and(|services| services.get(name).is_some())
    }

    /// Puts the values into each text of a document.
    pub(crate) fn fill(&self, document: &mut Value) -> Result<(), Dangling> {
        self.fill_at(document, "")
    }

    fn fill_at(&self, value: &mut Value, at: &str) -> Result<(), Dangling> {
        match value {
            Value::String(text) => {
                *text = self.filled(text).map_err(|why| Dangling {
                    at: at.to_owned(),
                    why,
                })?;
                Ok(())
            }
            Value::Array(list) => list
                .iter_mut()
                .enumerate()
                .try_for_each(|(index, item)| self.fill_at(item, &format!("{at}[{index}]"))),
            Value::Object(fields) => fields.iter_mut().try_for_each(|(name, item)| {
                let dot = if at.is_empty() { "" } else { "." };
                self.fill_at(item, &format!("{at}{dot}{name}"))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
        }
    }

    /// The text with the values in it. Other uses of `${`, as in a shell's script, stay.
    fn filled(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            let (name, behind) = match after.split_once('}') {
                Some((name, behind)) if name == "stack" || name.starts_with("$.") => (name, behind),
                _ => {
                    out.push_str("${");
                    rest = after;
                    continue;
                }
            };
            out.push_str(&self.value(name)?);
            rest = behind;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&self, name: &str) -> Result<String, String> {
        if name == "stack" {
            return Ok(self.path.clone());
        }
        let path = JsonPath::parse(name).ok_or_else(|| {
            format!("${{{name}}} is no path like ${{$.services.redis.ports[0].host}}")
        })?;
        match path.find(&self.stack) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(format!("{} has no text or number at {name}", self.path)),
            None => Err(format!("{} has nothing at {name}", self.path)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn values() -> Values {
        Values::new(
            Path::new("/etc/s.json"),
            json!({ "scope": "user", "services": { "a-b": { "ports": [{ "host": 80 }] } } }),
        )
    }

    #[test]
    fn texts_take_values_and_other_braces_stay() {
        let mut document = json!({ "argv": [
            "--${$.scope}", "${$.services.a-b.ports[0].host}:${stack}", "${HOME} ${x", "a$", "${$}",
        ], "n": 3 });
        values().fill(&mut document).unwrap();
        assert_eq!(
            document,
            json!({ "argv": ["--user", "80:/etc/s.json", "${HOME} ${x", "a$", "${$}"], "n": 3 })
        );
    }

    #[test]
    fn what_is_not_there_is_named_with_its_place() {
        for (text, why) in [
            ("${$.none}", "/etc/s.json has nothing at $.none"),
            (
                "${$.services}",
                "/etc/s.json has no text or number at $.services",
            ),
            (
                "${$.a..b}",
                "${$.a..b} is no path like ${$.services.redis.ports[0].host}",
            ),
        ] {
            let mut document =
                json!({ "groups": [{ "steps": [{ "exec": { "argv": ["x", text] } }] }] });
            assert_eq!(
                values().fill(&mut document),
                Err(Dangling {
                    at: "groups[0].steps[0].exec.argv[1]".to_owned(),
                    why: why.to_owned(),
                })
            );
        }
    }
}
