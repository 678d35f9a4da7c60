//! What differs between declared facts and a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use aistack_machine::file;
use serde_json::{Map, Value};

use crate::error::DeclaredError;
use crate::facts::{Facts, SCHEMA};
use crate::memory::STEP_MIB;
use crate::nix;

/// Words for people, which a release may put better: no drift.
const PROSE: [&str; 4] = ["reason", "backendReason", "vramReason", "name"];

/// What is made anew at each boot, after this may be read.
const VOLATILE: [&str; 1] = ["cdi"];

/// What can't be seen while a driver isn't loaded: not to see it is no drift.
const AT_TIMES_UNSEEN: [&str; 2] = ["vramMiB", "gfxTarget"];

/// One fact that is not as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where in the facts: `gpus[0000:01:00.0].driver`.
    pub path: String,
    /// What was declared.
    pub declared: String,
    /// What the machine says now.
    pub now: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} → {}", self.path, self.declared, self.now)
    }
}

/// The largest file of facts that is read, in bytes; a real one has some kilobytes.
pub(crate) const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads declared facts in their JSON form. Only their schema number is
/// checked: what else is missing or odd in them is a [`Difference`].
///
/// # Errors
///
/// A [`DeclaredError`] when the file can't be read, is no JSON, or holds no
/// facts of schema [`SCHEMA`].
pub fn declared(path: &Path) -> Result<Value, DeclaredError> {
    let shown = || path.to_path_buf();
    let bytes = file::read(path, MAX_BYTES).map_err(|seen| DeclaredError::Unreadable {
        path: path.to_path_buf(),
        seen: seen.into(),
    })?;
    if bytes.starts_with(nix::HEADER.as_bytes()) {
        return Err(DeclaredError::NotJson {
            path: shown(),
            seen: "it is Nix text".to_owned(),
        });
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| DeclaredError::NotJson {
        path: shown(),
        seen: error.to_string(),
    })?;
    let Value::Object(facts) = &value else {
        return Err(DeclaredError::NotFacts {
            path: shown(),
            seen: "it is no JSON object",
        });
    };
    match facts.get("schema") {
        Some(schema) if schema.as_u64() == Some(u64::from(SCHEMA)) => {}
        Some(schema @ Value::Number(_)) => {
            return Err(DeclaredError::OtherSchema {
                path: shown(),
                seen: schema.to_string(),
            });
        }
        _ => {
            return Err(DeclaredError::NotFacts {
                path: shown(),
                seen: "it has no `schema` number",
            });
        }
    }
    if !looks_like_facts(facts) {
        return Err(DeclaredError::NotFacts {
            path: shown(),
            seen: "it has none of `cpu`, `memory` and `gpus`",
        });
    }
    Ok(value)
}

/// Whether a JSON object is meant as facts, whatever their schema.
pub(crate) fn looks_like_facts(object: &Map<String, Value>) -> bool {
    object.get("schema").is_some_and(Value::is_number)
        && ["cpu", "memory", "gpus"]
            .iter()
            .any(|key| object.contains_key(*key))
}

/// What differs, sorted by path. Lists of names are compared as sets, GPUs by
/// slot. No drift are: reasons and names for people, a memory size that differs
/// by at most 2 % or by one step of the rounding, what CDI offers at the moment,
/// and what a driver that isn't loaded now would tell of a card.
#[must_use]
pub fn drift(declared: &Value, now: &Facts) -> Vec<Difference> {
    let now = serde_json::to_value(now).unwrap_or_default();
    let mut differences = Vec::new();
    compare("", Some(declared), Some(&now), &mut differences);
    differences
}

fn compare(path: &str, declared: Option<&Value>, now: Option<&Value>, out: &mut Vec<Difference>) {
    match (declared, now) {
        (Some(Value::Object(declared)), Some(Value::Object(now))) => {
            let keys: BTreeSet<_> = declared.keys().chain(now.keys()).collect();
            for key in keys {
                if PROSE.contains(&key.as_str())
                    || path.is_empty() && VOLATILE.contains(&key.as_str())
                {
                    continue;
                }
                let unseen = AT_TIMES_UNSEEN.contains(&key.as_str());
                if unseen && now.get(key) == Some(&Value::Null) {
                    continue;
                }
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                compare(&path, declared.get(key), now.get(key), out);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => match (keyed(old), keyed(new)) {
            (Some(old), Some(new)) => {
                let keys: BTreeSet<_> = old.keys().chain(new.keys()).collect();
                for key in keys {
                    let path = format!("{path}[{key}]");
                    compare(&path, old.get(key).copied(), new.get(key).copied(), out);
                }
            }
            _ if old == new => {}
            _ => push(path, declared, now, out),
        },
        (Some(old), Some(new)) if old == new => {}
        (Some(old), Some(new)) if is_memory(path) && nearly(old, new) => {}
        _ => push(path, declared, now, out),
    }
}

fn push(path: &str, declared: Option<&Value>, now: Option<&Value>, out: &mut Vec<Difference>) {
    out.push(Difference {
        path: path.to_owned(),
        declared: show(declared, now),
        now: show(now, declared),
    });
}

/// A list's entries by name: objects by their slot, strings by themselves;
/// `None` for any other list.
fn keyed(list: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let mut entries = BTreeMap::new();
    for value in list {
        let key = match value {
            Value::String(name) => name,
            Value::Object(object) => object.get("slot")?.as_str()?,
            _ => return None,
        };
        if entries.insert(key, value).is_some() {
            return None;
        }
    }
    Some(entries)
}

/// Sizes that depend a little on the release of a kernel or driver.
fn is_memory(path: &str) -> bool {
    path == "memory.totalMiB" || path.ends_with(".vramMiB")
}

fn nearly(declared: &Value, now: &Value) -> bool {
    let (Some(declared), Some(now)) = (declared.as_u64(), now.as_u64()) else {
        return false;
    };
    let difference = declared.abs_diff(now);
    difference <= STEP_MIB || difference <= declared / 50
}

/// A value in a line: names of a list are there or not, a GPU is its ids.
fn show(value: Option<&Value>, other: Option<&Value>) -> String {
    match (value, other) {
        (None, _) => "absent".to_owned(),
        (Some(Value::String(_)), None) => "present".to_owned(),
        (Some(Value::String(text)), _) => text.clone(),
        (Some(Value::Object(object)), _) if object.contains_key("pciId") => {
            let text = |key| object.get(key).and_then(Value::as_str).unwrap_or("?");
            format!("{} ({})", text("pciId"), text("vendor"))
        }
        (Some(Value::Object(object)), _) if object.contains_key("slot") => {
            let slot = object.get("slot").and_then(Value::as_str);
            slot.unwrap_or("?").to_owned()
        }
        (Some(value), _) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(declared: &Value, now: &Value) -> Vec<String> {
        let mut out = Vec::new();
        compare("", Some(declared), Some(now), &mut out);
        out.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn memory_may_differ_a_little() {
        let memory = |mib| json!({"memory": {"totalMiB": mib}});
        let same: Vec<String> = Vec::new();
        assert_eq!(lines(&memory(64_256), &memory(64_256 + 1280)), same);
        assert_eq!(lines(&memory(64_256), &memory(64_256 - 1280)), same);
        assert_eq!(lines(&memory(2048), &memory(2304)), same, "one step");
        assert_eq!(
            lines(&memory(64_256), &memory(64_256 + 1536)),
            ["memory.totalMiB: 64256 → 65792"]
        );
        assert_eq!(
            lines(&memory(64_256), &memory(32_000)),
            ["memory.totalMiB: 64256 → 32000"]
        );
        assert_eq!(
            lines(&memory(64_256), &json!({"memory": {"totalMiB": null}})),
            ["memory.totalMiB: 64256 → null"]
        );
    }

    #[test]
    fn every_kind_of_difference_has_its_line() {
        let declared = json!({
            "backend": "cuda",
            "cpu": {"features": ["avx", "avx2"], "cores": 8},
            "gpus": [
                {"slot": "0000:01:00.0", "pciId": "10de:2684", "vendor": "nvidia", "driver": "nouveau", "reason": "a"},
                {"slot": "0000:02:00.0", "pciId": "1a03:2000", "vendor": "bmc", "driver": "ast", "reason": "b"},
            ],
            "old": [1, 2],
        });
        let now = json!({
            "backend": "cuda",
            "backendReason": "new words",
            "cpu": {"features": ["avx2", "fma"], "cores": null},
            "gpus": [
                {"slot": "0000:01:00.0", "pciId": "10de:2684", "vendor": "nvidia", "driver": "nvidia", "reason": "c"},
                {"slot": "0000:03:00.0", "pciId": "1002:744c", "vendor": "amd", "driver": null, "reason": "d"},
            ],
        });
        assert_eq!(
            lines(&declared, &now),
            [
                "cpu.cores: 8 → null",
                "cpu.features[avx]: present → absent",
                "cpu.features[fma]: absent → present",
                "gpus[0000:01:00.0].driver: nouveau → nvidia",
                "gpus[0000:02:00.0]: 1a03:2000 (bmc) → absent",
                "gpus[0000:03:00.0]: absent → 1002:744c (amd)",
                "old: [1,2] → absent",
            ]
        );
    }

    #[test]
    fn what_a_driver_tells_at_times_is_no_drift_when_it_is_silent() {
        let gpu = |vram: Value, target: Value| {
            json!({
                "cdi": {"kinds": {}},
                "gpus": [{"slot": "a", "name": "A", "vramMiB": vram, "vramReason": "r", "gfxTarget": target}],
                "primary": {"slot": "a", "reason": "one"},
            })
        };
        let known = gpu(json!(24_564), json!("gfx1100"));
        let none: [&str; 0] = [];
        assert_eq!(lines(&known, &gpu(Value::Null, Value::Null)), none);
        // By 2 % the releases of NVIDIA's driver differ.
        assert_eq!(lines(&known, &gpu(json!(24_400), json!("gfx1100"))), none);
        assert_eq!(
            lines(&known, &gpu(json!(16_376), json!("gfx1101"))),
            [
                "gpus[a].gfxTarget: gfx1100 → gfx1101",
                "gpus[a].vramMiB: 24564 → 16376"
            ]
        );
        // To see more than was declared is worth to be declared.
        assert_eq!(
            lines(&gpu(Value::Null, Value::Null), &known),
            [
                "gpus[a].gfxTarget: null → gfx1100",
                "gpus[a].vramMiB: null → 24564"
            ]
        );
        // Words, names, and what a generator makes at each boot.
        let mut other = known.clone();
        other["cdi"]["kinds"] = json!({"nvidia.com/gpu": ["all"]});
        other["gpus"][0]["name"] = json!("B");
        other["primary"]["reason"] = json!("two");
        assert_eq!(lines(&known, &other), none);
        other["primary"] = Value::Null;
        assert_eq!(lines(&known, &other), ["primary: a → null"]);
    }

    #[test]
    fn odd_lists_are_compared_as_they_are() {
        let twice = json!({"gpus": [{"slot": "a"}, {"slot": "a"}]});
        assert_eq!(lines(&twice, &json!({"gpus": [{"slot": "a"}]})).len(), 1);
        assert_eq!(
            lines(&json!({"gpus": 5}), &json!({"gpus": []})),
            ["gpus: 5 → []"]
        );
    }
}
