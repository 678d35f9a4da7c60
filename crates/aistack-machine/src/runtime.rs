//! A container runtime of any make, asked by questions that start nothing.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::cgroup::Engine;
use crate::command::{self, CommandError, Finished};

/// How long a question may take; a storage that another podman uses answers late.
const LIMIT: Duration = Duration::from_secs(30);

/// A runtime that works.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Which one.
    pub engine: Engine,
    /// Its version, as it says.
    pub version: String,
    /// What its networks are made by: `netavark`, `cni`; docker: `bridge`.
    pub network_backend: String,
    /// Whether names of containers are resolved in its networks, as far as it says.
    pub dns: Option<bool>,
    program: PathBuf,
    path: OsString,
}

impl Runtime {
    /// Asks it a question.
    ///
    /// # Errors
    /// When it can't be run or doesn't answer in time. A status that isn't zero is none.
    pub fn ask(&self, arguments: &[&str]) -> Result<Finished, CommandError> {
        ask(&self.program, &self.path, arguments)
    }
}

/// Asks a program a question; `path` is the `PATH` that it gets.
///
/// # Errors
/// When it can't be run or doesn't answer in time.
pub fn ask(program: &Path, path: &OsStr, arguments: &[&str]) -> Result<Finished, CommandError> {
    let mut command = Command::new(program);
    command.env("PATH", path).args(arguments);
    command::run(command, None, LIMIT)
}

/// `info` is the question that needs storage, control groups and the daemon, and starts
/// nothing.
///
/// # Errors
/// Why it does not work, in words.
pub fn look(program: &Path, path: &OsStr) -> Result<Runtime, String> {
    let podman = program.file_name() == Some(OsStr::new("podman"));
    let arguments: &[&str] = if podman {
        &["info", "--format", "json"]
    } else {
        &["info", "--format", "{{json .}}"]
    };
    let done = ask(program, path, arguments).map_err(|error| error.to_string())?;
    let info: Option<Value> = serde_json::from_slice(&done.stdout).ok();
    if !done.status.success() {
        return Err(done.into_error().to_string());
    }
    let info = info.ok_or_else(|| format!("`{}` did not answer JSON", done.command))?;
    let text = |pointer: &str| {
        info.pointer(pointer)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(|text| text.chars().filter(|c| !c.is_control()).take(60).collect())
    };
    if info.get("host").is_some() {
        let backend: String =
            text("/host/networkBackend").unwrap_or_else(|| "an unnamed backend".to_owned());
        // The path of its resolver; older versions don't tell.
        let dns = info.pointer("/host/networkBackendInfo/dns").map(|dns| {
            dns.get("path")
                .and_then(Value::as_str)
                .is_some_and(|p| !p.is_empty())
        });
        return Ok(Runtime {
            engine: Engine::Podman,
            version: text("/version/Version").unwrap_or_else(|| "of unknown version".to_owned()),
            network_backend: backend,
            dns,
            program: program.to_owned(),
            path: path.to_owned(),
        });
    }
    // The client alone answers with an error in its field, and status 0 in some versions.
    match text("/ServerVersion") {
        Some(version) => Ok(Runtime {
            engine: Engine::Docker,
            version,
            network_backend: "bridge".to_owned(),
            // Networks that are made have names; the default one has none.
            dns: Some(true),
            program: program.to_owned(),
            path: path.to_owned(),
        }),
        None => Err(
            match info.pointer("/ServerErrors/0").and_then(Value::as_str) {
                Some(error) => error
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(200)
                    .collect(),
                None => format!("`{}` named no server", done.command),
            },
        ),
    }
}
