//! The installed stack: whether it is there, and whether its containers run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::prep::runtime::{Engine, Runtimes};

/// What a checkout has one of, the usual one first.
const COMPOSE_FILES: [&str; 5] = [
    "docker-compose.new.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// At least one of its containers runs.
    Running,
    /// It is installed, and none of its containers is seen to run.
    Stopped,
    /// There is no checkout with a compose file.
    NotInstalled,
}

impl State {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::NotInstalled => "not_installed",
        }
    }
}

/// What was seen of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glove {
    /// What it does.
    pub state: State,
    /// Its compose file; none: it isn't installed.
    pub compose_file: Option<PathBuf>,
    /// Names of its containers that run.
    pub containers: Vec<String>,
    /// Why that may not be all.
    pub unsure: Option<String>,
}

/// The compose file below `location`; why it could not be looked for.
///
/// # Errors
/// When the folder may not be looked into.
pub fn installed(location: &Path) -> Result<Option<PathBuf>, String> {
    match std::fs::read_dir(location) {
        Err(error)
            if matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => {
            return Err(format!(
                "{} could not be looked into: {error}",
                location.display()
            ));
        }
        Ok(_) => {}
    }
    Ok(COMPOSE_FILES
        .into_iter()
        .map(|name| location.join(name))
        .find(|path| path.is_file()))
}

/// Looks for the checkout and asks every runtime that works for its containers.
#[must_use]
pub fn look(location: &Path, runtimes: &Runtimes) -> Glove {
    let (compose_file, mut unsure) = match installed(location) {
        Ok(found) => (found, None),
        Err(why) => (None, Some(why)),
    };
    let mut containers = Vec::new();
    if compose_file.is_some() {
        if runtimes.working.is_empty() {
            unsure = Some("no container runtime works, so its containers were not seen".to_owned());
        }
        // What the labels have is the path without links.
        let real = std::fs::canonicalize(location).unwrap_or_else(|_| location.to_owned());
        for runtime in &runtimes.working {
            match running(runtime, location, &real) {
                Ok(names) => containers.extend(names),
                Err(why) => unsure = Some(why),
            }
        }
    }
    containers.sort_unstable();
    containers.dedup();
    Glove {
        state: match (&compose_file, containers.is_empty()) {
            (None, _) => State::NotInstalled,
            (Some(_), true) => State::Stopped,
            (Some(_), false) => State::Running,
        },
        compose_file,
        containers,
        unsure,
    }
}

/// Names of the running containers that compose made in that folder, by its labels.
fn running(
    runtime: &crate::prep::runtime::Runtime,
    location: &Path,
    real: &Path,
) -> Result<Vec<String>, String> {
    let format = match runtime.engine {
        Engine::Podman => "json",
        Engine::Docker => "{{json .}}",
    };
    let done = runtime
        .ask(&["ps", "--no-trunc", "--format", format])
        .map_err(|error| error.to_string())?;
    if !done.status.success() {
        return Err(done.into_error().to_string());
    }
    let rows: Vec<Value> = match runtime.engine {
        Engine::Podman if done.stdout.trim_ascii().is_empty() => Vec::new(),
        Engine::Podman => serde_json::from_slice(&done.stdout)
            .map_err(|_| format!("`{}` did not answer a list in JSON", done.command))?,
        // One object a line.
        Engine::Docker => done
            .stdout
            .split(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect(),
    };
    let here = |path: &str| {
        let path = Path::new(path);
        path == location || path == real || path.starts_with(location) || path.starts_with(real)
    };
    Ok(rows
        .iter()
        .filter(|row| folder_of(row).is_some_and(|folder| here(&folder)))
        .filter_map(name_of)
        .collect())
}

/// The folder that compose was called in.
fn folder_of(row: &Value) -> Option<String> {
    const LABEL: &str = "com.docker.compose.project.working_dir";
    match row.get("Labels")? {
        Value::Object(labels) => labels.get(LABEL)?.as_str().map(str::to_owned),
        // docker prints them as one text: `a=b,c=d`.
        Value::String(labels) => labels.split(',').find_map(|label| {
            label
                .strip_prefix(LABEL)?
                .strip_prefix('=')
                .map(str::to_owned)
        }),
        _ => None,
    }
}

fn name_of(row: &Value) -> Option<String> {
    let names = row.get("Names")?;
    names
        .as_str()
        .or_else(|| names.get(0)?.as_str())
        .map(|name| name.trim_start_matches('/').to_owned())
}
