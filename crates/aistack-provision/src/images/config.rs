//! The configuration of an image, as its registry has it.
//!
//! Its format: <https://github.com/opencontainers/image-spec/blob/main/config.md>.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What two sides say of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Name of the field.
    pub field: String,
    /// What the contract says, or the old image.
    pub before: String,
    /// What the registry says, or the new image.
    pub after: String,
}

/// The part of an image's configuration that says how it is run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    /// User, or user and group; empty: root.
    #[serde(deserialize_with = "or_nothing")]
    pub user: String,
    /// Program in front of the command.
    #[serde(deserialize_with = "or_nothing")]
    pub entrypoint: Vec<String>,
    /// Command.
    #[serde(deserialize_with = "or_nothing")]
    pub cmd: Vec<String>,
    /// Working folder; empty: `/`.
    #[serde(deserialize_with = "or_nothing")]
    pub working_dir: String,
    /// Signal that asks it to stop; empty: SIGTERM.
    #[serde(deserialize_with = "or_nothing")]
    pub stop_signal: String,
    #[serde(deserialize_with = "or_nothing")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_nothing")]
    exposed_ports: BTreeMap<String, serde_json::Value>,
    #[serde(deserialize_with = "or_nothing")]
    volumes: BTreeMap<String, serde_json::Value>,
}

/// Builders write null for nothing.
fn or_nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Config {
    /// Ports that it names, `PORT/PROTOCOL`.
    #[must_use]
    pub fn ports(&self) -> Vec<String> {
        self.exposed_ports
            .keys()
            .map(|port| {
                if port.contains('/') {
                    port.clone()
                } else {
                    format!("{port}/tcp")
                }
            })
            .collect()
    }

    /// Volumes that it names.
    #[must_use]
    pub fn volumes(&self) -> Vec<String> {
        self.volumes.keys().cloned().collect()
    }

    /// Variables that it sets.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<&str, &str> {
        self.env
            .iter()
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect()
    }

    /// What changes from this image to a newer one.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<Difference> {
        let json = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
        let mut pairs = vec![
            ("User".to_owned(), self.user.clone(), new.user.clone()),
            (
                "Entrypoint".to_owned(),
                json(&self.entrypoint),
                json(&new.entrypoint),
            ),
            ("Cmd".to_owned(), json(&self.cmd), json(&new.cmd)),
            (
                "WorkingDir".to_owned(),
                self.working_dir.clone(),
                new.working_dir.clone(),
            ),
            (
                "StopSignal".to_owned(),
                self.stop_signal.clone(),
                new.stop_signal.clone(),
            ),
            (
                "ExposedPorts".to_owned(),
                json(&self.ports()),
                json(&new.ports()),
            ),
            (
                "Volumes".to_owned(),
                json(&self.volumes()),
                json(&new.volumes()),
            ),
        ];
        let (old, now) = (self.environment(), new.environment());
        let names: BTreeSet<&str> = old.keys().chain(now.keys()).copied().collect();
        let value = |set: &BTreeMap<&str, &str>, name: &str| {
            set.get(name)
                .map_or_else(|| "(not set)".to_owned(), |value| (*value).to_owned())
        };
        pairs.extend(
            names
                .into_iter()
                .map(|name| (format!("Env {name}"), value(&old, name), value(&now, name))),
        );
        pairs
            .into_iter()
            .filter(|(_, before, after)| before != after)
            .map(|(field, before, after)| Difference {
                field,
                before,
                after,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_leave_fields_out_or_write_null() {
        for text in [
            "{}",
            r#"{"User":null,"Env":null,"Cmd":null,"Volumes":null}"#,
        ] {
            assert_eq!(
                serde_json::from_str::<Config>(text).unwrap(),
                Config::default()
            );
        }
    }

    #[test]
    fn changes_name_the_field_and_both_values() {
        let old: Config = serde_json::from_str(
            r#"{"User":"","Entrypoint":["/a"],"Env":["A=1","B=2"],"ExposedPorts":{"80":{}}}"#,
        )
        .unwrap();
        let new: Config = serde_json::from_str(
            r#"{"User":"1000","Entrypoint":["/a"],"Env":["A=1","C=3"],"ExposedPorts":{"80/tcp":{}}}"#,
        )
        .unwrap();
        let seen: Vec<String> = old
            .changes(&new)
            .iter()
            .map(|d| format!("{} {:?} {:?}", d.field, d.before, d.after))
            .collect();
        assert_eq!(
            seen,
            [
                r#"User "" "1000""#,
                r#"Env B "2" "(not set)""#,
                r#"Env C "(not set)" "3""#
            ]
        );
        assert!(old.changes(&old).is_empty());
    }
}
