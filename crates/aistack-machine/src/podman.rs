//! podman, as far as the stack needs it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::beginning::beginning;
use crate::command::{self, Bounds, CommandError, Finished, extended_path, find};

/// How long a question about the local storage may take; another podman that
/// pulls can hold its lock for a while.
const QUESTION_LIMIT: Duration = Duration::from_mins(2);

/// The largest secret that podman takes, in bytes (`secrets.go`: "secret data
/// must be larger than 0 and less than 512000 bytes").
pub const MAX_SECRET_BYTES: usize = 511_999;

/// The podman program.
#[derive(Clone, Debug)]
pub struct Podman {
    program: PathBuf,
    path: OsString,
    bounds: Option<Bounds>,
}

/// A container as podman sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its id: another one is another container.
    pub id: String,
    /// `running`, `exited`, `paused`, `created` …
    pub status: String,
    /// Process id of its first process on the host; none: it has none.
    pub pid: Option<u32>,
    /// `healthy`, `unhealthy`, `starting`; none: it has no health check.
    pub health: Option<String>,
}

impl Podman {
    /// Finds the program in `path` (the value of `PATH`), then in the usual places.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(path: Option<&OsStr>) -> Result<Self, CommandError> {
        let program = find(Path::new("/"), path, &[], "podman")
            .ok_or(CommandError::NotFound { program: "podman" })?;
        Ok(Self {
            program,
            path: extended_path(path),
            bounds: None,
        })
    }

    /// The same, where every question ends within the bounds.
    #[must_use]
    pub fn bounded(&self, bounds: &Bounds) -> Self {
        Self {
            bounds: Some(bounds.clone()),
            ..self.clone()
        }
    }

    fn command(&self, arguments: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("PATH", &self.path).args(arguments);
        command
    }

    fn ask(&self, arguments: &[&OsStr], input: Option<Vec<u8>>) -> Result<Finished, CommandError> {
        let command = self.command(arguments);
        match &self.bounds {
            None => command::run(command, input, QUESTION_LIMIT),
            Some(bounds) => command::run_bounded(command, input, bounds),
        }
    }

    /// The beginning of what a container wrote to its log, within `limit`.
    ///
    /// # Errors
    /// Why it can't be read, in words.
    pub fn log(&self, container: &str, limit: Duration) -> Result<String, String> {
        let arguments = [OsStr::new("logs"), OsStr::new(container)];
        beginning(self.command(&arguments), limit)
    }

    /// The container of that name; none: podman knows of none.
    ///
    /// # Errors
    /// When podman can't be run, or answers something else.
    pub fn container(&self, name: &str) -> Result<Option<Container>, CommandError> {
        Ok(self.containers(&[name])?.remove(name))
    }

    /// Those of the containers that podman knows, by their names, from one call.
    ///
    /// # Errors
    /// When podman can't be run, or answers something else.
    pub fn containers(&self, names: &[&str]) -> Result<BTreeMap<String, Container>, CommandError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            id: String,
            name: String,
            state: State,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct State {
            status: String,
            #[serde(default)]
            pid: u32,
            #[serde(default)]
            health: Option<Health>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Health {
            #[serde(default)]
            status: String,
        }
        if names.is_empty() {
            return Ok(BTreeMap::new());
        }
        let arguments: Vec<&OsStr> = ["container", "inspect"]
            .iter()
            .chain(names)
            .map(OsStr::new)
            .collect();
        let done = self.ask(&arguments, None)?;
        // It prints those that it knows, whatever it says of the others.
        if !done.status.success() && !done.stderr.contains("no such container") {
            return Err(done.into_error());
        }
        let Ok(answers) = serde_json::from_slice::<Vec<Answer>>(&done.stdout) else {
            return Err(CommandError::Unexpected {
                command: done.command,
                wanted: "containers in JSON",
            });
        };
        Ok(answers
            .into_iter()
            .map(|answer| {
                let container = Container {
                    id: answer.id,
                    status: answer.state.status,
                    pid: Some(answer.state.pid).filter(|&pid| pid != 0),
                    health: answer
                        .state
                        .health
                        .map(|health| health.status)
                        .filter(|status| !status.is_empty()),
                };
                (answer.name, container)
            })
            .collect())
    }

    /// Which of the byte strings podman shows to whoever looks at these containers.
    ///
    /// # Errors
    /// When podman can't be run, or does not know one of the containers.
    pub fn search(
        &self,
        containers: &[&str],
        strings: &[Vec<u8>],
        bounds: &Bounds,
    ) -> Result<Vec<bool>, CommandError> {
        let arguments: Vec<&OsStr> = ["container", "inspect"]
            .iter()
            .chain(containers)
            .map(OsStr::new)
            .collect();
        command::search(self.command(&arguments), strings, bounds)
    }

    /// Sends a signal (`KILL`, `STOP`, `CONT`) to a container's first process.
    ///
    /// # Errors
    /// When podman can't be run or there is no such running container.
    pub fn kill(&self, container: &str, signal: &str) -> Result<(), CommandError> {
        self.obey(&["kill", "--signal", signal, container].map(OsStr::new))
    }

    /// Removes every container, image, network and volume of this user's podman.
    ///
    /// # Errors
    /// When podman can't be run or doesn't bring it to an end.
    pub fn reset_storage(&self) -> Result<(), CommandError> {
        self.obey(&["system", "reset", "--force"].map(OsStr::new))
    }

    /// Runs a command inside a running container and keeps what it writes.
    ///
    /// # Errors
    /// When podman can't be run or doesn't end in time. A status that isn't zero is
    /// no error here; podman's own are 125 and above.
    pub fn exec_captured(
        &self,
        container: &str,
        command: &[String],
        input: Option<Vec<u8>>,
    ) -> Result<Finished, CommandError> {
        let mut arguments = vec![OsStr::new("exec")];
        if input.is_some() {
            arguments.push(OsStr::new("--interactive"));
        }
        arguments.push(OsStr::new(container));
        arguments.extend(command.iter().map(OsStr::new));
        self.ask(&arguments, input)
    }

    fn obey(&self, arguments: &[&OsStr]) -> Result<(), CommandError> {
        let done = self.ask(arguments, None)?;
        if done.status.success() {
            Ok(())
        } else {
            Err(done.into_error())
        }
    }

    /// The options that a network was created with. `None` when no network has that name.
    ///
    /// # Errors
    /// When podman can't be run, or answers something else.
    pub fn network_options(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, CommandError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            options: Option<BTreeMap<String, String>>,
        }
        // One call where the network exists, as at each start but the first.
        let done = self.ask(&["network", "inspect", name].map(OsStr::new), None)?;
        if !done.status.success() {
            // Versions differ in the code for a missing one; `podman network exists`: 0 yes, 1 no.
            let exists = self.ask(&["network", "exists", name].map(OsStr::new), None)?;
            return match exists.status.code() {
                Some(1) => Ok(None),
                Some(0) => Err(done.into_error()),
                _ => Err(exists.into_error()),
            };
        }
        let answers = serde_json::from_slice::<Vec<Answer>>(&done.stdout).ok();
        match answers.and_then(|mut answers| answers.pop()) {
            Some(answer) => Ok(Some(answer.options.unwrap_or_default())),
            None => Err(CommandError::Unexpected {
                command: done.command,
                wanted: "a network in JSON",
            }),
        }
    }

    /// Removes a network that no container uses.
    ///
    /// # Errors
    /// When podman can't be run, or containers use it.
    pub fn remove_network(&self, name: &str) -> Result<(), CommandError> {
        self.obey(&["network", "rm", name].map(OsStr::new))
    }

    /// Whether the local storage has the image (`podman image exists`: 0 yes, 1 no).
    ///
    /// # Errors
    /// When podman can't be run or can't look.
    pub fn image_exists(&self, reference: &str) -> Result<bool, CommandError> {
        let done = self.ask(&["image", "exists", reference].map(OsStr::new), None)?;
        match done.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(done.into_error()),
        }
    }

    /// Pulls the image, with podman's progress on the standard error. podman itself waits
    /// for ever for a registry that does not answer.
    ///
    /// # Errors
    /// When podman can't be run, the pull fails, or nothing arrives for `silence`.
    pub fn pull(&self, reference: &str, silence: Duration) -> Result<(), CommandError> {
        let command = self.command(&["pull", "--quiet", reference].map(OsStr::new));
        command::run_watched(command, silence)
    }

    /// Loads the images of an archive, with podman's words on the standard error.
    ///
    /// # Errors
    /// When podman can't be run or doesn't take the archive.
    pub fn load(&self, archive: &Path) -> Result<(), CommandError> {
        let command = self.command(&["load".as_ref(), "--input".as_ref(), archive.as_os_str()]);
        command::run_shown(command)
    }

    /// Runs a command inside a running container, with its output shown as it comes.
    ///
    /// # Errors
    /// When podman can't be run or the command fails.
    pub fn exec(&self, container: &str, command: &[String]) -> Result<(), CommandError> {
        let mut arguments = vec![OsStr::new("exec"), OsStr::new(container)];
        arguments.extend(command.iter().map(OsStr::new));
        command::run_shown(self.command(&arguments))
    }

    /// Runs a command inside a running container with `input` on its standard input,
    /// where no list of processes shows it; what it writes is only kept for the error.
    ///
    /// # Errors
    /// When podman can't be run, the command fails, or doesn't end within two minutes.
    pub fn exec_with_input(
        &self,
        container: &str,
        command: &[&str],
        input: Vec<u8>,
    ) -> Result<(), CommandError> {
        let mut arguments = ["exec", "--interactive", container]
            .map(OsStr::new)
            .to_vec();
        arguments.extend(command.iter().map(OsStr::new));
        let done = self.ask(&arguments, Some(input))?;
        if done.status.success() {
            Ok(())
        } else {
            Err(done.into_error())
        }
    }

    /// Makes or replaces a secret. The value goes through a pipe: it is never
    /// on a command line or in the environment, where others could read it.
    ///
    /// # Errors
    /// When podman can't be run or doesn't take it.
    pub fn replace_secret(&self, name: &str, value: Vec<u8>) -> Result<(), CommandError> {
        let arguments = ["secret", "create", "--replace", name, "-"].map(OsStr::new);
        let done = self.ask(&arguments, Some(value))?;
        if done.status.success() {
            Ok(())
        } else {
            Err(done.into_error())
        }
    }

    /// Whether podman has this value for a secret; [`Held::Missing`]: it has none.
    ///
    /// # Errors
    /// When podman can't be run, is older than 4.7 (which can't show a value), or
    /// answers something else. No error holds a value.
    pub fn holds_secret(&self, name: &str, value: &[u8]) -> Result<Held, CommandError> {
        let arguments = ["secret", "inspect", "--showsecret", name].map(OsStr::new);
        let done = self.ask(&arguments, None)?;
        if !done.status.success() {
            return if done.stderr.contains("no such secret") {
                Ok(Held::Missing)
            } else {
                Err(done.into_error())
            };
        }
        compare(&done.stdout, name, value).ok_or(CommandError::Unexpected {
            command: done.command,
            wanted: "a secret with its value in JSON",
        })
    }
}

/// What `podman secret inspect --showsecret` prints of a secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    spec: Spec,
    secret_data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    name: String,
}

/// None: the answer is something else.
fn compare(answer: &[u8], name: &str, value: &[u8]) -> Option<Held> {
    let secrets: Vec<Inspected> = serde_json::from_slice(answer).ok()?;
    let [held] = secrets.as_slice() else {
        return None;
    };
    // podman takes the beginning of an id, too, and then shows another secret.
    Some(if held.spec.name != name {
        Held::Missing
    } else if held.secret_data == as_go_writes(value) {
        Held::Same
    } else {
        Held::Other
    })
}

/// What podman has in the place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// The same value.
    Same,
    /// Another value.
    Other,
    /// No secret of that name.
    Missing,
}

/// Bytes as Go's `encoding/json` writes them into a string: each byte that is no
/// UTF-8 becomes a replacement character. Two values that differ in such bytes alone
/// look the same.
fn as_go_writes(value: &[u8]) -> String {
    value.utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_of_that_name_is_compared() {
        let answer = br#"[{"ID":"ab1","Spec":{"Name":"one","Labels":{}},"SecretData":"v"}]"#;
        for (name, value, held) in [
            ("one", "v", Held::Same),
            ("one", "w", Held::Other),
            ("ab", "v", Held::Missing),
        ] {
            assert_eq!(
                compare(answer, name, value.as_bytes()),
                Some(held),
                "{name} {value}"
            );
        }
        for other in ["", "[]", "{}", r#"[{"ID":"ab1","Spec":{"Name":"one"}}]"#] {
            assert_eq!(compare(other.as_bytes(), "one", b"v"), None, "{other}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_each_replaced() {
        for (value, text) in [
            (&b"a\nb"[..], "a\nb"),
            ("ä€".as_bytes(), "ä€"),
            (b"a\xffb", "a\u{fffd}b"),
            // The beginning of a longer character: Go takes each byte by itself.
            (b"\xe2\x82", "\u{fffd}\u{fffd}"),
            (b"", ""),
        ] {
            assert_eq!(as_go_writes(value), text, "{value:?}");
        }
    }
}
