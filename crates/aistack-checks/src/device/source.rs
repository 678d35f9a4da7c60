//! Where what is said of an engine comes from.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::command::{extended_path, find};
use ureq::Agent;

use aistack_machine::cgroup::Manager;
use aistack_machine::handles::{Handles, Units};

use crate::device::Question;

/// The largest answer of an API that is read, in bytes.
const MAX_ANSWER: u64 = 256 * 1024;

/// How much of each stream of a log is read, in bytes. What engines say of their
/// devices stands in the first kilobytes after the model's own list of tokens.
const MAX_LOG: u64 = 4 * 1024 * 1024;

/// Asks an engine and the system that it runs on.
pub trait Source: Sync {
    /// The body of a successful GET.
    ///
    /// # Errors
    /// Why there is none, in words for people.
    fn get(&self, url: &str) -> Result<String, String>;

    /// The beginning of what the running container wrote.
    ///
    /// # Errors
    /// Why it can't be read, in words for people.
    fn log(&self, question: &Question<'_>) -> Result<String, String>;

    /// What the processes of a unit hold open.
    fn handles(&self, owner: Manager, unit: &str) -> Handles;
}

/// The machine that this runs on.
#[derive(Debug)]
pub struct Machine {
    root: PathBuf,
    path: Option<OsString>,
    limit: Duration,
    units: OnceLock<Units>,
}

impl Machine {
    /// The machine whose `/proc` lies below `root`; programs are looked for in
    /// `path` (the value of `PATH`) and may take `limit`, as may an API.
    #[must_use]
    pub fn new(root: &Path, path: Option<OsString>, limit: Duration) -> Self {
        Self {
            root: root.to_owned(),
            path,
            limit,
            units: OnceLock::new(),
        }
    }

    fn command(&self, program: &str) -> Result<Command, String> {
        let file = find(Path::new("/"), self.path.as_deref(), &[], program)
            .ok_or_else(|| format!("{program} was not found"))?;
        let mut command = Command::new(file);
        command.env("PATH", extended_path(self.path.as_deref()));
        Ok(command)
    }
}

impl Source for Machine {
    fn get(&self, url: &str) -> Result<String, String> {
        let agent: Agent = Agent::config_builder()
            .timeout_global(Some(self.limit))
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("aistack/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(0)
            .build()
            .new_agent();
        let mut body = Vec::new();
        agent
            .get(url)
            .header("connection", "close")
            .call()
            .map_err(|error| error.to_string())?
            .body_mut()
            .as_reader()
            .take(MAX_ANSWER)
            .read_to_end(&mut body)
            .map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    fn log(&self, question: &Question<'_>) -> Result<String, String> {
        let mut podman = self.command("podman")?;
        podman.args(["logs", question.container]);
        // podman reads it from its own file or from the journal, wherever the
        // container logs to, and only what this container wrote: a new one is
        // made at each start of the unit.
        beginning(podman, self.limit)
    }

    fn handles(&self, owner: Manager, unit: &str) -> Handles {
        // One walk serves all engines.
        self.units
            .get_or_init(|| Units::read(&self.root))
            .of(owner, unit)
    }
}

/// The beginning of what a program writes to both of its streams, within a
/// bounded time. It is stopped when that is enough.
fn beginning(mut command: Command, limit: Duration) -> Result<String, String> {
    let line = aistack_machine::command::line(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{line}` could not be started: {error}"))?;
    let deadline = Instant::now() + limit;
    let streams = [
        child.stdout.take().map(read_in_thread),
        child.stderr.take().map(read_in_thread),
    ];
    let mut text = String::new();
    let mut is_whole = true;
    for stream in streams.into_iter().flatten() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(bytes) = stream.recv_timeout(left) else {
            drop(child.kill());
            drop(child.wait());
            return Err(format!("`{line}` gave no answer within {limit:?}"));
        };
        is_whole &= (bytes.len() as u64) < MAX_LOG;
        text.push_str(&String::from_utf8_lossy(&bytes));
        text.push('\n');
    }
    if !is_whole {
        drop(child.kill());
    }
    match child.wait() {
        Ok(status) if !status.success() && is_whole => Err(format!(
            "`{line}` failed: {}",
            aistack_machine::text::line(&text, aistack_machine::text::QUOTE)
        )),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("`{line}` could not be waited for: {error}")),
    }
}

fn read_in_thread(stream: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error still counts.
        let _: io::Result<usize> = stream.take(MAX_LOG).read_to_end(&mut bytes);
        drop(sender.send(bytes));
    });
    receiver
}
