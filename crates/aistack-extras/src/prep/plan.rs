//! What is declared: `prep.json`, or the usual paths where there is none.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};

use aistack_machine::file::{self, ReadError};
use aistack_machine::users;
use aistack_schema::Scope;
use serde::{Deserialize, Serialize};

/// The schema that this version reads.
pub const SCHEMA: u64 = 1;

/// The largest `prep.json` that is read, in bytes; a real one has two kilobytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The ports of the stack: name, default, and the old name of what has it.
const PORTS: [(&str, u16); 6] = [
    ("postgres", 5432),
    ("redis", 6379),
    ("vllm", 8000),
    ("mcp", 8091),
    ("mcpWebSocket", 8791),
    ("redisInsight", 5540),
];

/// Why a `prep.json` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It can't be read.
    #[error("{} cannot be read: {cause}; check the path, or switch again to write it anew", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// It is far larger than any.
    #[error("{} is larger than {} KiB, so it is no prep.json: check the path", path.display(), MAX_BYTES / 1024)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// It is not JSON, or of another shape.
    #[error("{} is no prep.json of schema {SCHEMA} at {at}: {cause}; switch again with the modules and the program of one revision", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Place in the document.
        at: String,
        /// What was wrong there.
        cause: serde_json::Error,
    },
    /// It is of another schema.
    #[error("{} has schema {seen}, this aistack reads schema {SCHEMA}: switch again so that both come from the same revision", path.display())]
    WrongSchema {
        /// The file.
        path: PathBuf,
        /// What stands in the place of the number.
        seen: String,
    },
    /// A path in it is not absolute.
    #[error("{field} is {value:?}, which is no absolute path: name one that begins with /")]
    Relative {
        /// Which one.
        field: &'static str,
        /// Its value.
        value: PathBuf,
    },
    /// Nothing tells where the user's folders are.
    #[error(
        "HOME is no absolute path, so the user's folders are not known: set it, or name a prep.json with --file"
    )]
    NoHome,
}

/// A reserved port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The host port.
    pub port: NonZeroU16,
    /// The option that says so.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub option: String,
}

/// A card of the declared facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// PCI address.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub slot: String,
    /// Whose card it is: `nvidia`, `amd`, `intel`, …
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub vendor: String,
    /// Its own memory in MiB; none: not known, or it has none.
    #[serde(rename = "vramMiB")]
    pub vram_mib: Option<u64>,
}

/// What is declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// Always [`SCHEMA`].
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub schema: u64,
    /// Whose folders they are.
    pub scope: Scope,
    /// Their owner in user scope; none: whoever runs this.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub user: Option<String>,
    /// Folder of the data.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub data_root: PathBuf,
    /// Folder of the configuration.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub config_root: PathBuf,
    /// Where the checkout is expected.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub expected_location: PathBuf,
    /// Where the report is written.
    #[cfg_attr(feature = "schema", schemars(extend("pattern" = "^/")))]
    pub status_file: PathBuf,
    /// The containers' network.
    #[cfg_attr(
        feature = "schema",
        schemars(regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]*$"))
    )]
    pub network_name: String,
    /// The reserved ports, by name.
    pub ports: BTreeMap<String, Port>,
    /// The declared cards; none: the machine is looked at.
    pub gpus: Option<Vec<Gpu>>,
}

/// The environment that the usual paths follow from.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// `XDG_DATA_HOME`.
    pub data_home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub config_home: Option<PathBuf>,
    /// `XDG_CACHE_HOME`.
    pub cache_home: Option<PathBuf>,
    /// `AI_OPTIMIZER_DATA_ROOT`.
    pub data_root: Option<PathBuf>,
    /// `AI_OPTIMIZER_CONFIG_ROOT`.
    pub config_root: Option<PathBuf>,
    /// `AI_OPTIMIZER_DIR`.
    pub expected_location: Option<PathBuf>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let path = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| !path.as_os_str().is_empty())
        };
        Self {
            home: users::folder("HOME"),
            data_home: users::folder("XDG_DATA_HOME"),
            config_home: users::folder("XDG_CONFIG_HOME"),
            cache_home: users::folder("XDG_CACHE_HOME"),
            data_root: path("AI_OPTIMIZER_DATA_ROOT"),
            config_root: path("AI_OPTIMIZER_CONFIG_ROOT"),
            expected_location: path("AI_OPTIMIZER_DIR"),
        }
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    schema: serde_json::Value,
}

impl Plan {
    /// Reads the file at `path`; none where there is none.
    ///
    /// # Errors
    /// When it can't be read or is no `prep.json` of this schema.
    pub fn load(path: &Path) -> Result<Option<Self>, PlanError> {
        let unreadable = |cause| PlanError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let text = match file::read(path, MAX_BYTES) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Ok(None),
            Err(ReadError::TooLong(_)) => {
                return Err(PlanError::TooLarge {
                    path: path.to_owned(),
                });
            }
            Err(error) => return Err(unreadable(error.into())),
        };
        Self::parse(path, &text).map(Some)
    }

    /// Parses `text`; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`Plan::load`], except for reading.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, PlanError> {
        let shape = |at: String, cause| PlanError::Shape {
            path: path.to_owned(),
            at,
            cause,
        };
        let header: Header = serde_json::from_slice(text)
            .map_err(|cause| shape("the top level".to_owned(), cause))?;
        if header.schema.as_u64() != Some(SCHEMA) {
            return Err(PlanError::WrongSchema {
                path: path.to_owned(),
                seen: header.schema.to_string().chars().take(40).collect(),
            });
        }
        let mut reader = serde_json::Deserializer::from_slice(text);
        let plan: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| shape(error.path().to_string(), error.into_inner()))?;
        plan.check()
    }

    fn check(self) -> Result<Self, PlanError> {
        for (field, value) in [
            ("dataRoot", &self.data_root),
            ("configRoot", &self.config_root),
            ("expectedLocation", &self.expected_location),
            ("statusFile", &self.status_file),
        ] {
            if !value.is_absolute() {
                return Err(PlanError::Relative {
                    field,
                    value: value.clone(),
                });
            }
        }
        Ok(self)
    }

    /// The usual paths of a scope, where nothing is declared.
    ///
    /// # Errors
    /// When the user's home is not known, or a path is not absolute.
    pub fn usual(scope: Scope, environment: &Environment) -> Result<Self, PlanError> {
        let of = environment;
        let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
        let (data, config, place, cache) = match scope {
            Scope::System => {
                let data = PathBuf::from("/var/lib/ai-optimizer");
                let config = of.data_root.as_ref().unwrap_or(&data).join("config");
                (
                    data,
                    config,
                    PathBuf::from("/srv/AI-Optimizer"),
                    PathBuf::from("/var/cache"),
                )
            }
            Scope::User => {
                let home = absolute(&of.home).ok_or(PlanError::NoHome)?;
                let below = |base: &Option<PathBuf>, usual: &str| {
                    absolute(base).unwrap_or_else(|| home.join(usual))
                };
                (
                    below(&of.data_home, ".local/share").join("ai-optimizer"),
                    below(&of.config_home, ".config").join("ai-optimizer"),
                    home.join("Documents/AI-Optimizer"),
                    below(&of.cache_home, ".cache"),
                )
            }
        };
        Self {
            schema: SCHEMA,
            scope,
            user: None,
            data_root: of.data_root.clone().unwrap_or(data),
            config_root: of.config_root.clone().unwrap_or(config),
            expected_location: of.expected_location.clone().unwrap_or(place),
            status_file: cache.join("nixos-quick-deploy/integration/ai-optimizer.json"),
            network_name: "aidb-network".to_owned(),
            ports: PORTS
                .into_iter()
                .filter_map(|(name, port)| {
                    let port = Port {
                        port: NonZeroU16::new(port)?,
                        option: format!("services.aiOptimizerPrep.ports.{name}"),
                    };
                    Some((name.to_owned(), port))
                })
                .collect(),
            gpus: None,
        }
        .check()
    }
}
