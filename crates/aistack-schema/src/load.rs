//! From a path to a [`Stack`].

use std::io;
use std::path::{Path, PathBuf};

use aistack_machine::Scope;
use aistack_machine::file::{self, ReadError};
use serde::Deserialize;

use crate::model::{SCHEMA, Stack};

/// The largest `stack.json` that is read, in bytes.
///
/// A real one has some kilobytes; the bound keeps a wrong path (a device, a
/// database) from filling the memory.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// Why a `stack.json` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file.
    #[error(
        "{} does not exist: it is written by a switch with services.aiStack.enable = true; \
         run `nixos-rebuild switch` or `home-manager switch`, or name another file with --stack",
        path.display()
    )]
    NotFound {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The file is there but can't be read.
    #[error("{} cannot be read: {cause}; {hint}", path.display())]
    Unreadable {
        /// The path that was tried.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The file is far larger than any `stack.json`.
    #[error(
        "{} is larger than {} MiB, so it is no stack.json: check the path",
        path.display(), MAX_BYTES / 1024 / 1024
    )]
    TooLarge {
        /// The path that was tried.
        path: PathBuf,
    },
    /// The text is not JSON (cut short, or something else).
    #[error(
        "{} is not valid JSON: {}; it is a generated file: switch again to write it anew",
        path.display(), aistack_machine::text::error(cause)
    )]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: serde_json::Error,
    },
    /// The file is JSON of another schema.
    #[error(
        "{} has schema {seen}, this aistack reads schema {SCHEMA}: {}",
        path.display(), schema_hint(*.number)
    )]
    WrongSchema {
        /// The file.
        path: PathBuf,
        /// What stands in the place of the number, for the message.
        seen: String,
        /// The number that was seen, where it is one.
        number: Option<u64>,
    },
    /// A field is missing, unknown or of another kind than the schema says.
    #[error(
        "{} does not follow schema {SCHEMA} at {}: {}; the aistack program and the modules \
         are probably of different revisions: switch again with both from the same flake input",
        path.display(), aistack_machine::text::line(at, aistack_machine::text::QUOTE), aistack_machine::text::error(cause)
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// Place in the document, e.g. `services.qdrant.ports[0].host`.
        at: String,
        /// What was wrong there.
        cause: serde_json::Error,
    },
    /// The fields are well formed but don't agree with each other.
    #[error("{} contradicts itself:\n  {}", path.display(), problems.join("\n  "))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Each contradiction, with its place and what to do.
        problems: Vec<String>,
    },
}

fn schema_hint(number: Option<u64>) -> &'static str {
    match number {
        Some(number) if number > SCHEMA => {
            "the modules are newer than this program; switch again so that both come from the same \
             revision, and run the aistack of that switch"
        }
        Some(_) => {
            "the file is older than this program; switch again so that the modules write it anew"
        }
        None => "is it a stack.json at all? Check the path",
    }
}

/// The number alone: everything else may differ in another schema.
#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    schema: serde_json::Value,
}

impl Stack {
    /// Reads and validates the file at `path`.
    ///
    /// # Errors
    /// When the file can't be read, isn't JSON, has another schema number
    /// (looked at first), doesn't follow the schema, or contradicts itself.
    pub fn load(path: &Path) -> Result<Self, LoadError> {
        let text = read(path)?;
        Self::parse(path, &text)
    }

    /// Parses and validates `text`; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`Stack::load`], except for reading.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, LoadError> {
        // Not an object, but JSON: the schema error is the helpful one.
        let header: serde_json::Value =
            serde_json::from_slice(text).map_err(|cause| LoadError::NotJson {
                path: path.to_owned(),
                cause,
            })?;
        let seen = serde_json::from_value::<Header>(header)
            .map_or(serde_json::Value::Null, |header| header.schema);
        if seen.as_u64() != Some(SCHEMA) {
            return Err(LoadError::WrongSchema {
                path: path.to_owned(),
                number: seen.as_u64(),
                seen: if seen.is_null() {
                    "no number".to_owned()
                } else {
                    aistack_machine::text::line(&seen.to_string(), 40)
                },
            });
        }

        let mut reader = serde_json::Deserializer::from_slice(text);
        let stack: Self = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
            let at = error.path().to_string();
            LoadError::Shape {
                path: path.to_owned(),
                at: if at == "." {
                    "the top level".to_owned()
                } else {
                    at
                },
                cause: error.into_inner(),
            }
        })?;
        let problems = stack.problems();
        if problems.is_empty() {
            Ok(stack)
        } else {
            Err(LoadError::Invalid {
                path: path.to_owned(),
                problems: problems
                    .iter()
                    .map(|problem| {
                        aistack_machine::text::line(problem, aistack_machine::text::ERROR)
                    })
                    .collect(),
            })
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => LoadError::NotFound {
            path: path.to_owned(),
        },
        kind => LoadError::Unreadable {
            path: path.to_owned(),
            hint: match kind {
                io::ErrorKind::PermissionDenied => {
                    "run aistack as the user who owns the stack (root for the system's)"
                }
                io::ErrorKind::IsADirectory => "name the file itself, …/stack.json",
                _ => "check the path and the disk below it",
            },
            cause,
        },
    };
    file::read(path, MAX_BYTES).map_err(|error| match error {
        ReadError::TooLong(_) => LoadError::TooLarge {
            path: path.to_owned(),
        },
        ReadError::NoFile("a directory") => unreadable(io::ErrorKind::IsADirectory.into()),
        other => unreadable(other.into()),
    })
}

/// Where the modules write the `stack.json` of a scope.
///
/// `config_home` is `$XDG_CONFIG_HOME` and `home` is `$HOME`; empty or relative
/// values are as good as unset, as the XDG base directory specification says.
/// None: neither is known.
#[must_use]
pub fn default_path(
    scope: Scope,
    config_home: Option<&Path>,
    home: Option<&Path>,
) -> Option<PathBuf> {
    match scope {
        Scope::System => Some(PathBuf::from("/etc/aistack/stack.json")),
        Scope::User => config_home
            .filter(|path| path.is_absolute())
            .map(Path::to_owned)
            .or_else(|| {
                home.filter(|path| path.is_absolute())
                    .map(|home| home.join(".config"))
            })
            .map(|config| config.join("aistack/stack.json")),
    }
}
