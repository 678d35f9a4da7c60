//! What upstream's image is: `pkgs/contracts/*.json`.
//!
//! The facts were read from upstream's sources, not from the image. [`Contract::compare`]
//! holds them against the configuration that the registry has for the image.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aistack_machine::file;
use serde::{Deserialize, Serialize};

use crate::images::config::{Config, Difference};
use crate::images::error::ContractError;

/// The largest contract that is read, in bytes; a real one has some kilobytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The only schema number that is understood.
const SCHEMA: u64 = 1;

/// Where a fact was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Address of the repository.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^https://")))]
    pub repository: String,
    /// Tag or commit that was read.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub version: String,
    /// File in it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub path: String,
}

/// The user that the image runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct User {
    /// As the image's configuration says it; empty: root.
    pub set: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// A folder of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Mode bits, octal.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^[0-7]{4}$")))]
    pub mode: String,
}

/// A variable, and what its value must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Name of the variable.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub name: String,
    /// Regular expression for the whole value.
    #[serde(rename = "match")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub pattern: String,
}

/// Files of the image that a mount over a folder above them would hide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kept {
    /// What they are, and what happens without them.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub what: String,
    /// A variable that makes the program look elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub moved_by: Option<String>,
    /// A setting with which they are not needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<Match>,
}

/// How the image's first process takes SIGTERM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sigterm {
    /// As process 1.
    pub pid1: Pid1,
    /// Status that it ends with.
    pub exit: Option<i32>,
    /// Why.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub note: String,
}

/// How process 1 takes SIGTERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Pid1 {
    /// It stops.
    Handled,
    /// Nothing happens until SIGKILL.
    Ignored,
    /// It ends with an error.
    NeedsInit,
    /// Not known.
    Unknown,
}

/// A variable that the program needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Required {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub name: String,
    /// Only where this variable is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub when: Option<String>,
    /// From this version on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub since: Option<String>,
    /// Not where this argument is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub unless_argument: Option<String>,
    /// What happens without it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub why: String,
}

/// Variables that the program needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Requires {
    /// Each of them.
    pub environment: Vec<Required>,
}

/// Arguments that the program refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefusedArguments {
    /// Regular expression for the whole command, words joined by spaces.
    #[serde(rename = "match")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub pattern: String,
    /// From this version on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub since: Option<String>,
    /// What happens with it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub why: String,
}

/// A variable that the program refuses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RefusedVariable {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub name: String,
    /// Only values that this regular expression matches as a whole.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub pattern: Option<String>,
    /// What happens with it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub why: String,
}

/// What the program refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Refuses {
    /// Arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<RefusedArguments>,
    /// Variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<RefusedVariable>,
}

/// The word that the image's command must begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FirstWord {
    /// The word.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub word: String,
    /// What happens without it.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub why: String,
}

/// The options that the program knows, as far as they were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flags {
    /// Whether it ends at an option that it does not know.
    pub refuse_unknown: bool,
    /// Options that it knows.
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = r"^-"))))]
    pub known: Vec<String>,
}

/// What a health command must ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Regular expression for the whole command.
    #[serde(rename = "match")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub pattern: String,
    /// What happens otherwise.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub why: String,
}

/// How requests for an unknown model are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Models {
    /// With an error: a client must name a model that is served.
    Served,
    /// The name does not matter.
    Any,
}

/// The facts of an image. A field that is null is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contract {
    /// 1.
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub schema: u64,
    /// Registry and repository; null: the image is the user's own.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub image: Option<String>,
    /// Tag that the facts are for.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub version: Option<String>,
    /// Where they were read.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub source: Vec<Source>,
    /// What the image is built on.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub base: Option<String>,
    /// Whom it runs as.
    pub user: Option<User>,
    /// Its entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Its command.
    pub cmd: Option<Vec<String>>,
    /// Its working folder; empty: none is set.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^(/.*)?$")))]
    pub workdir: Option<String>,
    /// The signal that asks it to stop.
    #[cfg_attr(feature = "schema", schemars(regex(pattern = r"^SIG[A-Z0-9]+$")))]
    pub stop_signal: String,
    /// Ports that its configuration names, `PORT/PROTOCOL`.
    #[cfg_attr(
        feature = "schema",
        schemars(inner(regex(pattern = r"^[0-9]+/(tcp|udp)$")))
    )]
    pub exposed: Option<Vec<String>>,
    /// Ports that the program listens on by itself.
    #[cfg_attr(feature = "schema", schemars(inner(range(min = 1))))]
    pub listens: Vec<u16>,
    /// Whether an option or a variable gives it another port.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub port_by_option: bool,
    /// Volumes that its configuration names.
    #[cfg_attr(feature = "schema", schemars(inner(regex(pattern = r"^/"))))]
    pub volumes: Option<Vec<String>>,
    /// Variables that it sets.
    pub environment: BTreeMap<String, String>,
    /// Folders whose owner and mode matter.
    #[cfg_attr(feature = "schema", schemars(extend("propertyNames" = { "pattern": "^/" })))]
    pub folders: BTreeMap<String, Folder>,
    /// Files that a mount must not hide.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "schema", schemars(extend("propertyNames" = { "pattern": "^/" })))]
    pub keeps: BTreeMap<String, Kept>,
    /// Programs that a health check or a command may use.
    #[cfg_attr(feature = "schema", schemars(inner(length(min = 1)), extend("uniqueItems" = true)))]
    pub programs: Vec<String>,
    /// How its first process takes SIGTERM.
    pub sigterm: Option<Sigterm>,
    /// Whether the entry point ends by running its arguments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub execs_command: bool,
    /// Seconds that it may need to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub stop_seconds: Option<u32>,
    /// How its command must begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_word: Option<FirstWord>,
    /// What it needs.
    #[serde(default, skip_serializing_if = "is_default")]
    pub requires: Requires,
    /// What it refuses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub refuses: Refuses,
    /// Options that it knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Flags>,
    /// What a health command must ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Health>,
    /// How requests for an unknown model are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// What could not be read.
    #[cfg_attr(feature = "schema", schemars(inner(length(min = 1))))]
    pub unverified: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Contract {
    /// Reads a contract.
    ///
    /// # Errors
    /// When the file can't be read or isn't a contract.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let text = file::read(path, MAX_BYTES).map_err(|error| ContractError::Unreadable {
            path: path.to_owned(),
            cause: error.into(),
        })?;
        Self::parse(path, &text)
    }

    /// Reads the text of a contract, which comes from `path`.
    ///
    /// # Errors
    /// When it isn't a contract.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ContractError> {
        let contract: Self =
            serde_json::from_slice(text).map_err(|cause| ContractError::Shape {
                path: path.to_owned(),
                cause,
            })?;
        if contract.schema != SCHEMA {
            return Err(ContractError::Schema {
                path: path.to_owned(),
                seen: contract.schema,
            });
        }
        Ok(contract)
    }

    /// What the image's configuration says otherwise. Facts that the contract does
    /// not know are not compared.
    #[must_use]
    pub fn compare(&self, config: &Config) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut check = |field: &str, here: String, there: String| {
            if here != there {
                found.push(Difference {
                    field: field.to_owned(),
                    before: here,
                    after: there,
                });
            }
        };
        let json = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
        let sorted = |words: &[String]| {
            let words: BTreeSet<&String> = words.iter().collect();
            serde_json::to_string(&words).unwrap_or_default()
        };
        if let Some(user) = &self.user {
            check("User", user.set.clone(), config.user.clone());
        }
        if let Some(words) = &self.entrypoint {
            check("Entrypoint", json(words), json(&config.entrypoint));
        }
        if let Some(words) = &self.cmd {
            check("Cmd", json(words), json(&config.cmd));
        }
        if let Some(folder) = &self.workdir {
            // `/` and none are the same.
            let plain = |folder: &str| folder.trim_end_matches('/').to_owned();
            check("WorkingDir", plain(folder), plain(&config.working_dir));
        }
        if let Some(ports) = &self.exposed {
            check("ExposedPorts", sorted(ports), sorted(&config.ports()));
        }
        if let Some(volumes) = &self.volumes {
            check("Volumes", sorted(volumes), sorted(&config.volumes()));
        }
        let signal = if config.stop_signal.is_empty() {
            "SIGTERM"
        } else {
            &config.stop_signal
        };
        check("StopSignal", self.stop_signal.clone(), signal.to_owned());
        let set = config.environment();
        for (name, value) in &self.environment {
            check(
                &format!("Env {name}"),
                value.clone(),
                set.get(name.as_str())
                    .map_or_else(|| "(not set)".to_owned(), |value| (*value).to_owned()),
            );
        }
        found
    }

    /// For people: one fact a line.
    #[must_use]
    pub fn describe(&self) -> Vec<(String, String)> {
        let unknown = || "not known".to_owned();
        let words = |words: &Option<Vec<String>>| {
            words.as_ref().map_or_else(unknown, |words| {
                if words.is_empty() {
                    "none".to_owned()
                } else {
                    words.join(" ")
                }
            })
        };
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        row(
            "image",
            self.image
                .clone()
                .unwrap_or_else(|| "the user's own".to_owned()),
        );
        row("version", self.version.clone().unwrap_or_else(unknown));
        row("base", self.base.clone().unwrap_or_else(unknown));
        row(
            "user",
            self.user.as_ref().map_or_else(unknown, |user| {
                let set = if user.set.is_empty() {
                    "root"
                } else {
                    &user.set
                };
                format!("{set} ({}:{})", user.uid, user.gid)
            }),
        );
        row("entry point", words(&self.entrypoint));
        row("command", words(&self.cmd));
        row(
            "working folder",
            self.workdir.as_ref().map_or_else(unknown, |folder| {
                if folder.is_empty() {
                    "/".to_owned()
                } else {
                    folder.clone()
                }
            }),
        );
        let mut listens: Vec<String> = self.listens.iter().map(u16::to_string).collect();
        if self.port_by_option {
            listens.push("another by option".to_owned());
        }
        row(
            "listens on",
            if listens.is_empty() {
                unknown()
            } else {
                listens.join(", ")
            },
        );
        row("declared ports", words(&self.exposed));
        row("volumes", words(&self.volumes));
        for (path, folder) in &self.folders {
            row(
                "folder",
                format!("{path} {}:{} {}", folder.uid, folder.gid, folder.mode),
            );
        }
        for (path, kept) in &self.keeps {
            row("keeps", format!("{path}: {}", kept.what));
        }
        row(
            "programs",
            if self.programs.is_empty() {
                unknown()
            } else {
                self.programs.join(" ")
            },
        );
        rows.extend(self.describe_behaviour());
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        for source in &self.source {
            row(
                "source",
                format!("{} {} {}", source.repository, source.version, source.path),
            );
        }
        for text in &self.unverified {
            row("unverified", text.clone());
        }
        rows
    }

    /// How its program behaves: signals, what it needs and what it refuses.
    fn describe_behaviour(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut row = |name: &str, value: String| rows.push((name.to_owned(), value));
        if let Some(sigterm) = &self.sigterm {
            let how = match sigterm.pid1 {
                Pid1::Handled => "handled",
                Pid1::Ignored => "ignored as the first process",
                Pid1::NeedsInit => "an error as the first process",
                Pid1::Unknown => "not known",
            };
            row(&self.stop_signal, format!("{how}: {}", sigterm.note));
        }
        if let Some(seconds) = self.stop_seconds {
            row("stop", format!("up to {seconds} s"));
        }
        if let Some(first) = &self.first_word {
            row("command begins", format!("{}: {}", first.word, first.why));
        }
        for required in &self.requires.environment {
            let since = required
                .since
                .as_ref()
                .map_or_else(String::new, |since| format!(" (since {since})"));
            row(
                "needs",
                format!("{}{since}: {}", required.name, required.why),
            );
        }
        for refused in &self.refuses.arguments {
            row("refuses", refused.why.clone());
        }
        for refused in &self.refuses.environment {
            row("refuses", format!("{}: {}", refused.name, refused.why));
        }
        for health in &self.health {
            row("health", health.why.clone());
        }
        if self.models == Some(Models::Served) {
            row(
                "models",
                "a request must name a model that is served".to_owned(),
            );
        }
        rows
    }
}
