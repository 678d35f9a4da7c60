//! The machine that steps run on, and what they leave for each other.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aistack_machine::command::{Bounds, Finished};
use aistack_machine::journal::{Cursor, Journal};
use aistack_machine::podman::{Container, Podman};
use aistack_machine::systemd::Systemctl;
use aistack_schema::{Protocol, Scope, Service, Stack};

use crate::matchers::EXCERPT;
use crate::plan::NamedService;
use crate::states::StateCache;
use crate::steps::Socket;

/// The largest answer or file that is read, in bytes.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// Why a step did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// It failed: what was found instead.
    Failed(String),
    /// It has no verdict: why.
    Skipped(String),
}

/// What became of one try of a step.
pub type StepResult<T = ()> = Result<T, StepError>;

/// A failure with this message.
pub(crate) fn failed(why: impl Display) -> StepError {
    StepError::Failed(why.to_string())
}

/// A failure with what is wrong; passes when that is nothing.
pub(crate) fn none_of(wrong: &[String]) -> StepResult {
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(failed(wrong.join("; ")))
    }
}

/// An error with all its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// How a program ended, with the beginning of what it printed.
pub(crate) fn ended(done: &Finished) -> String {
    let printed = if done.stderr.is_empty() {
        aistack_machine::text::bytes(&done.stdout, EXCERPT)
    } else {
        aistack_machine::text::bytes(done.stderr.as_bytes(), EXCERPT)
    };
    let printed = if printed.is_empty() {
        "it said nothing".to_owned()
    } else {
        printed
    };
    format!("`{}` ended with {}: {printed}", done.command, done.status)
}

/// Locks; a thread that panicked leaves the value as it is.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The machine that the steps run on, and what they leave for each other.
pub struct Machine {
    pub(crate) root: PathBuf,
    pub(crate) path: Option<OsString>,
    pub(crate) scope: Scope,
    pub(crate) states: StateCache,
    /// The services, for the values of their secrets.
    pub(crate) services: BTreeMap<String, Service>,
    /// For each secret's file, the places that show its value; searched once.
    pub(crate) exposed: Mutex<Option<BTreeMap<PathBuf, Vec<&'static str>>>>,
    /// Ports that steps hold.
    pub(crate) sockets: Mutex<BTreeMap<(Protocol, SocketAddr), Socket>>,
    /// Ids of the containers at the beginning, or that were killed, stopped, re-created
    /// or reset since.
    old: Mutex<BTreeMap<String, String>>,
    /// The end of the journal when the scenario began.
    journal_start: Mutex<Option<Result<Cursor, String>>>,
}

impl Machine {
    /// The machine below `root` with its stack, and programs from `path` (the value of
    /// `PATH`). `units`: further units whose states the steps need.
    #[must_use]
    pub fn new<'a>(
        root: &Path,
        path: Option<OsString>,
        stack: &'a Stack,
        units: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        Self {
            root: root.to_owned(),
            path,
            scope: stack.scope,
            states: StateCache::new(stack, units),
            services: stack.services.clone(),
            exposed: Mutex::default(),
            sockets: Mutex::default(),
            old: Mutex::default(),
            journal_start: Mutex::default(),
        }
    }

    pub(crate) fn podman(&self, bounds: &Bounds) -> StepResult<Podman> {
        Podman::new(self.path.as_deref())
            .map(|podman| podman.bounded(bounds))
            .map_err(failed)
    }

    pub(crate) fn systemctl(&self, bounds: &Bounds) -> StepResult<Systemctl> {
        Systemctl::new(self.scope, self.path.as_deref())
            .map(|systemctl| systemctl.bounded(bounds))
            .map_err(failed)
    }

    /// The stack's containers that podman knows, by their names.
    pub(crate) fn containers(
        &self,
        bounds: &Bounds,
    ) -> StepResult<Arc<BTreeMap<String, Container>>> {
        self.states
            .containers(&self.podman(bounds)?)
            .map_err(failed)
    }

    /// Runs a program in a service's container.
    pub(crate) fn exec(
        &self,
        container: &str,
        argv: &[String],
        input: Option<Vec<u8>>,
        bounds: &Bounds,
    ) -> StepResult<Finished> {
        self.podman(bounds)?
            .exec_captured(container, argv, input)
            .map_err(failed)
    }

    /// Marks the place in the journal after which lines count.
    pub(crate) fn begin_journal(&self, bounds: &Bounds) {
        let cursor = Journal::new(self.scope, self.path.as_deref())
            .and_then(|journal| journal.end(bounds))
            .map_err(|error| error.to_string());
        *lock(&self.journal_start) = Some(cursor);
    }

    /// The lines of the journal since [`Machine::begin_journal`], of one unit or of all.
    pub(crate) fn journal(&self, unit: Option<&str>, bounds: &Bounds) -> StepResult<String> {
        let start = match &*lock(&self.journal_start) {
            Some(Ok(cursor)) => cursor.clone(),
            Some(Err(error)) => return Err(failed(error)),
            None => return Err(failed("the journal's end was not looked for")),
        };
        Journal::new(self.scope, self.path.as_deref())
            .and_then(|journal| journal.after(&start, unit, bounds))
            .map_err(failed)
    }

    /// Closes every port that is still held.
    pub(crate) fn release_all(&self) {
        lock(&self.sockets).clear();
    }

    /// Id of the container that the service had at the beginning, or when a step last
    /// changed it.
    pub(crate) fn old_container(&self, service: &NamedService) -> Option<String> {
        lock(&self.old).get(&service.name).cloned()
    }

    /// Remembers the id of a container that is about to go; none is no error.
    pub(crate) fn remember(
        &self,
        podman: &Podman,
        service: &NamedService,
    ) -> StepResult<Option<String>> {
        let container = podman.container(&service.container).map_err(failed)?;
        let id = container.map(|container| container.id);
        if let Some(id) = &id {
            lock(&self.old).insert(service.name.clone(), id.clone());
        }
        Ok(id)
    }

    /// Remembers the ids of all containers. When podman gives no answer now, the steps
    /// that compare them fail.
    pub(crate) fn remember_all(&self, bounds: &Bounds) {
        let Ok(podman) = self.podman(bounds) else {
            return;
        };
        let present = podman
            .containers(&self.states.container_names())
            .unwrap_or_default();
        let mut old = lock(&self.old);
        for (name, service) in &self.services {
            if let Some(container) = present.get(&service.container) {
                old.insert(name.clone(), container.id.clone());
            }
        }
    }
}
