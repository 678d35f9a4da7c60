//! Where what is said of an engine comes from.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use aistack_machine::cgroup::Manager;
use aistack_machine::handles::{Handles, Units};
use aistack_machine::podman::Podman;
use aistack_machine::probe::client;

use crate::device::Question;

/// The largest answer of an API that is read, in bytes.
const MAX_ANSWER: u64 = 256 * 1024;

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
}

impl Source for Machine {
    fn get(&self, url: &str) -> Result<String, String> {
        let agent = client()
            .timeout_global(Some(self.limit))
            .http_status_as_error(true)
            .max_redirects_will_error(true)
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
        let podman =
            Podman::new(self.path.as_deref()).map_err(|_| "podman was not found".to_owned())?;
        // podman reads it from its own file or from the journal, wherever the
        // container logs to, and only what this container wrote: a new one is
        // made at each start of the unit.
        podman.log(question.container, self.limit)
    }

    fn handles(&self, owner: Manager, unit: &str) -> Handles {
        // One walk serves all engines.
        self.units
            .get_or_init(|| Units::read(&self.root))
            .of(owner, unit)
    }
}
