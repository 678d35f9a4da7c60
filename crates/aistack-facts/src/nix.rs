//! Prints JSON values as Nix text.
//!
//! Grammar: the Nix manual, "String literals" and "Attribute sets". The text
//! depends on the value alone: attributes are sorted by name.

use std::fmt::Write as _;

use serde_json::Value;

use crate::facts::Facts;

/// First line of the facts as Nix text, by which they are known again.
pub const HEADER: &str = "# Hardware facts, written by `aistack facts --nix`.";

/// Words that can't stand as an attribute's name without quotes.
const KEYWORDS: [&str; 10] = [
    "assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with",
];

/// A value that Nix can't write down.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NixError {
    /// Nix has signed integers of 64 bits, and no literal for the lowest one;
    /// other numbers don't occur in facts.
    #[error("{0} is no integer that Nix has a literal for")]
    Number(String),
    /// Nix strings end at a NUL.
    #[error("the string {0:?} holds a NUL character, which Nix strings cannot")]
    Nul(String),
}

/// The facts as a Nix expression, below a line of comment.
///
/// # Errors
///
/// None for facts that were read; see [`print`].
pub fn print_facts(facts: &Facts) -> Result<String, NixError> {
    let value = serde_json::to_value(facts).unwrap_or_default();
    Ok(format!("{HEADER}\n{}", print(&value)?))
}

/// The value as a Nix expression, indented by two spaces, closed by a newline.
///
/// # Errors
///
/// [`NixError`] for numbers other than integers of 64 bits, and for NUL in strings.
pub fn print(value: &Value) -> Result<String, NixError> {
    let mut text = String::new();
    write_value(&mut text, value, 0)?;
    text.push('\n');
    Ok(text)
}

fn write_value(out: &mut String, value: &Value, depth: usize) -> Result<(), NixError> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => match number.as_i64() {
            // In a list a bare minus would be the operator.
            Some(n) if n < 0 && n != i64::MIN => {
                let _ = write!(out, "({n})");
            }
            Some(n) if n >= 0 => {
                let _ = write!(out, "{n}");
            }
            _ => return Err(NixError::Number(number.to_string())),
        },
        Value::String(text) => write_string(out, text, false)?,
        Value::Array(list) if list.is_empty() => out.push_str("[ ]"),
        Value::Array(list) => {
            out.push_str("[\n");
            for item in list {
                indent(out, depth + 1);
                write_value(out, item, depth + 1)?;
                out.push('\n');
            }
            indent(out, depth);
            out.push(']');
        }
        Value::Object(object) if object.is_empty() => out.push_str("{ }"),
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by_key(|(name, _)| name.as_str());
            out.push_str("{\n");
            for (name, item) in entries {
                indent(out, depth + 1);
                write_attribute(out, name)?;
                out.push_str(" = ");
                write_value(out, item, depth + 1)?;
                out.push_str(";\n");
            }
            indent(out, depth);
            out.push('}');
        }
    }
    Ok(())
}

/// `dollars`: whether each dollar is escaped, or only one that opens an interpolation.
fn write_string(out: &mut String, text: &str, dollars: bool) -> Result<(), NixError> {
    out.push('"');
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\0' => return Err(NixError::Nul(text.to_owned())),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // `${` opens an interpolation, a lone dollar is itself.
            '$' if dollars || characters.peek() == Some(&'{') => out.push_str("\\$"),
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}

/// A name in its place before `=`: quoted where it is no identifier.
fn write_attribute(out: &mut String, name: &str) -> Result<(), NixError> {
    if is_identifier(name) {
        out.push_str(name);
        Ok(())
    } else {
        write_string(out, name, false)
    }
}

/// A text as a Nix string for people to read and change: each dollar is escaped.
///
/// # Errors
/// When it holds a NUL, which Nix strings cannot.
pub fn string(text: &str) -> Result<String, NixError> {
    let mut out = String::with_capacity(text.len() + 2);
    write_string(&mut out, text, true)?;
    Ok(out)
}

/// A name as that of an attribute: quoted where it is no identifier.
///
/// # Errors
/// When it holds a NUL, which Nix strings cannot.
pub fn attribute(name: &str) -> Result<String, NixError> {
    let mut out = String::with_capacity(name.len() + 2);
    write_attribute(&mut out, name)?;
    Ok(out)
}

fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '\'');
    characters.next().is_some_and(first) && characters.all(rest) && !KEYWORDS.contains(&name)
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}
