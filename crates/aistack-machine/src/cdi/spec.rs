//! One spec file.

use std::io;

use serde::Deserialize;

use crate::cdi::name::{is_device, parse_kind};

/// How many devices a file may define.
const MAX_DEVICES: usize = 4096;

/// How a spec is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `*.json`
    Json,
    /// `*.yaml`; no other ending counts, not even `.yml`.
    Yaml,
}

impl Format {
    /// The format of a file of that name; none when it is no spec.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.') {
            Some((_, "json")) => Some(Self::Json),
            Some((_, "yaml")) => Some(Self::Yaml),
            _ => None,
        }
    }
}

/// What a spec defines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Vendor and class: `nvidia.com/gpu`.
    pub kind: String,
    /// Names of the devices, in the file's order.
    pub devices: Vec<String>,
    /// What was left out, in words for people.
    pub odd: Vec<String>,
}

/// Why a file is no spec.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// The system refused.
    #[error("cannot be read: {0}")]
    Unreadable(io::Error),
    /// Nothing is in it: a generator may be writing it just now.
    #[error("is empty")]
    Empty,
    /// It is no JSON, or the fields are of other types.
    #[error("is no CDI spec in JSON: {0}")]
    Json(serde_json::Error),
    /// It is no YAML, or the fields are of other types.
    #[error("is no CDI spec in YAML: {0}")]
    Yaml(String),
    /// The version is of another generation.
    #[error("has the version {0:?}; known are 0.3 to 1.x")]
    Version(String),
    /// The kind is no `vendor/class`.
    #[error("has the kind {0:?}, which is no vendor/class")]
    Kind(String),
    /// More devices than any machine has.
    #[error("defines {0} devices, more than {MAX_DEVICES}")]
    TooMany(usize),
}

/// The fields that matter here; others are read over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    cdi_version: String,
    kind: String,
    #[serde(default)]
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    /// Generators write `0` without quotes as well, which is a number in YAML.
    #[serde(deserialize_with = "text_or_number")]
    name: String,
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(u64),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    })
}

/// Reads a spec.
///
/// # Errors
/// A [`SpecError`] when it is none. Single devices with odd names are left out
/// and said in [`Spec::odd`].
pub fn parse(bytes: &[u8], format: Format) -> Result<Spec, SpecError> {
    if bytes.trim_ascii().is_empty() {
        return Err(SpecError::Empty);
    }
    let written: Written = match format {
        Format::Json => serde_json::from_slice(bytes).map_err(SpecError::Json)?,
        Format::Yaml => from_yaml(bytes)?,
    };
    let generation = written.cdi_version.trim_start_matches('v');
    if !generation.starts_with("0.") && !generation.starts_with("1.") {
        return Err(SpecError::Version(crate::text::line(
            &written.cdi_version,
            crate::text::QUOTE,
        )));
    }
    if parse_kind(&written.kind).is_none() {
        return Err(SpecError::Kind(crate::text::line(
            &written.kind,
            crate::text::QUOTE,
        )));
    }
    if written.devices.len() > MAX_DEVICES {
        return Err(SpecError::TooMany(written.devices.len()));
    }
    let (devices, odd): (Vec<_>, Vec<_>) = written
        .devices
        .into_iter()
        .map(|device| device.name)
        .partition(|name| is_device(name));
    let odd = match odd.as_slice() {
        [] => Vec::new(),
        [first, ..] => vec![format!(
            "{} devices have names that no container can ask for, the first is {:?}",
            odd.len(),
            crate::text::line(first, crate::text::QUOTE)
        )],
    };
    Ok(Spec {
        kind: written.kind,
        devices,
        odd,
    })
}

fn from_yaml(bytes: &[u8]) -> Result<Written, SpecError> {
    // Aliases, by which a small file can stand for a large one, are in no spec
    // that a generator writes.
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_aliases: 64,
            max_anchors: 64,
            max_depth: 32,
            max_events: 200_000,
            max_nodes: 100_000,
            max_documents: 2,
        },
        with_snippet: false,
    };
    serde_saphyr::from_slice_with_options(bytes, options).map_err(|error| {
        let text = error.to_string();
        SpecError::Yaml(crate::text::line(
            text.lines().next().unwrap_or_default(),
            crate::text::QUOTE,
        ))
    })
}
