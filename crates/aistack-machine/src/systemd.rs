//! Units, as `systemctl show` describes them.
//!
//! The output is the documented, stable one of systemctl(1): `Key=Value` lines,
//! a block a unit, blocks apart by an empty line, in the order that was asked.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::Scope;
use crate::command::{self, Bounds, CommandError, Finished, find};

/// How long `systemctl show` may take: it answers in milliseconds or hangs.
const SHOW_LIMIT: Duration = Duration::from_secs(10);

/// How long systemd may be out of reach while it re-executes itself.
const BROKEN_PATIENCE: Duration = Duration::from_secs(10);
const BROKEN_INTERVAL: Duration = Duration::from_millis(200);

/// What systemctl says of a connection that broke or that nobody takes: systemd,
/// src/shared/bus-wait-for-jobs.c, and errno(3).
const BROKEN: [&str; 6] = [
    "D-Bus connection terminated",
    "Connection reset by peer",
    "Transport endpoint is not connected",
    "Connection refused",
    "Broken pipe",
    "Remote peer disconnected",
];

fn is_broken_connection(stderr: &str) -> bool {
    BROKEN.iter().any(|words| stderr.contains(words))
}

const PROPERTIES: &str = "--property=Id,LoadState,ActiveState,SubState,Result,NRestarts,\
ExecMainStatus,ActiveEnterTimestamp,StateChangeTimestamp,StateChangeTimestampMonotonic,ControlGroup";

/// Why systemd could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// A program is missing.
    #[error(transparent)]
    Program(CommandError),
    /// systemctl gave no answer.
    #[error("systemd could not be asked")]
    Command(#[from] CommandError),
    /// The answer lacks a unit that was asked for.
    #[error("`systemctl show` said nothing of {unit}")]
    Missing {
        /// The unit.
        unit: String,
    },
}

/// One unit's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    /// `loaded`, `not-found`, `bad-setting`, `error`, `masked`.
    pub load: String,
    /// `active`, `reloading`, `inactive`, `failed`, `activating`, `deactivating`.
    pub active: String,
    /// The unit type's finer state: `running`, `exited`, `start-pre`, `auto-restart` …
    pub sub: String,
    /// Why it ended last: `success`, `exit-code`, `signal`, `timeout`, `oom-kill` …
    pub result: String,
    /// How many times systemd restarted it since it was last started by hand.
    pub restarts: Option<u32>,
    /// Exit status of the main process when it ended last.
    pub exit_status: Option<i32>,
    /// When it last became active, in systemd's words; none: never since boot.
    pub active_since: Option<String>,
    /// When its state last changed, in systemd's words.
    pub changed: Option<String>,
    /// The same on the monotonic clock, since boot.
    pub changed_monotonic: Option<Duration>,
    /// The control group of its processes, from the root of the hierarchy; none: it has none.
    pub control_group: Option<String>,
}

impl UnitState {
    /// Whether it is up (a unit that reloads still is).
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether it has ended and systemd waits to start it again.
    #[must_use]
    pub fn waits_for_restart(&self) -> bool {
        self.active == "activating" && self.sub.starts_with("auto-restart")
    }

    /// Whether it runs, starts or stops: what it comes to is not known yet. For a unit that
    /// does its work and ends.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.is_active() || matches!(self.active.as_str(), "activating" | "deactivating")
    }

    /// Whether systemd knows the unit.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.load == "loaded"
    }

    /// Whether it ended badly.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.active == "failed" || !matches!(self.result.as_str(), "success" | "")
    }

    /// How long it has been in this state, on the monotonic clock.
    #[must_use]
    pub fn unchanged_for(&self) -> Option<Duration> {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = Duration::try_from(now).ok()?;
        Some(now.saturating_sub(self.changed_monotonic?))
    }

    /// State and, where it says more, the reason: `failed (exit-code, status 1)`.
    #[must_use]
    pub fn summary(&self) -> String {
        if !self.is_loaded() {
            return self.load.clone();
        }
        match (self.active.as_str(), self.result.as_str()) {
            ("failed", "exit-code") => format!(
                "failed (exit-code, status {})",
                self.exit_status
                    .map_or_else(|| "unknown".to_owned(), |status| status.to_string())
            ),
            ("failed", result) => format!("failed ({result})"),
            (active, _) => format!("{active} ({})", self.sub),
        }
    }
}

/// systemctl, for one manager.
#[derive(Clone, Debug)]
pub struct Systemctl {
    program: PathBuf,
    scope: Scope,
    runtime_dir: Option<PathBuf>,
    bounds: Option<Bounds>,
}

impl Systemctl {
    /// Finds the program in `path` (the value of `PATH`), then in the usual places.
    ///
    /// # Errors
    /// When there is none.
    pub fn new(scope: Scope, path: Option<&OsStr>) -> Result<Self, CommandError> {
        let program =
            find(Path::new("/"), path, &[], "systemctl").ok_or(CommandError::NotFound {
                program: "systemctl",
            })?;
        // `su` and `sudo` leave it unset, and systemctl --user can't find its manager then.
        let runtime_dir = (scope == Scope::User && std::env::var_os("XDG_RUNTIME_DIR").is_none())
            .then(|| PathBuf::from(format!("/run/user/{}", crate::users::effective_uid())))
            .filter(|directory| directory.is_dir());
        Ok(Self {
            program,
            scope,
            runtime_dir,
            bounds: None,
        })
    }

    /// Whose systemd it asks.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The same, where every call ends within the bounds.
    #[must_use]
    pub fn bounded(&self, bounds: &Bounds) -> Self {
        Self {
            bounds: Some(bounds.clone()),
            ..self.clone()
        }
    }

    /// Runs the command that `make` makes, again while the connection to systemd breaks: a
    /// switch of NixOS re-executes the users' managers. To ask twice for a start or a restart
    /// is as good as once.
    fn run(&self, make: impl Fn() -> Command, limit: Duration) -> Result<Finished, CommandError> {
        let deadline = Instant::now() + BROKEN_PATIENCE;
        loop {
            let done = self.run_once(make(), limit)?;
            if done.status.success()
                || !is_broken_connection(&done.stderr)
                || Instant::now() >= deadline
            {
                return Ok(done);
            }
            thread::sleep(BROKEN_INTERVAL);
        }
    }

    fn run_once(&self, command: Command, limit: Duration) -> Result<Finished, CommandError> {
        match &self.bounds {
            None => command::run(command, None, limit),
            Some(bounds) => {
                let bounds = Bounds {
                    limit: bounds.limit.min(limit),
                    stop: bounds.stop.clone(),
                };
                command::run_bounded(command, None, &bounds)
            }
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        if self.scope == Scope::User {
            command.arg("--user");
        }
        if let Some(directory) = &self.runtime_dir {
            command.env("XDG_RUNTIME_DIR", directory);
        }
        command
            .env("SYSTEMD_COLORS", "0")
            .env("LC_ALL", "C")
            .arg("--no-pager");
        command
    }

    /// The states of `units` from one call, in their order.
    ///
    /// # Errors
    /// When systemd can't be asked or leaves a unit out. A unit that it doesn't
    /// know is no error: its `load` is `not-found`.
    pub fn show(&self, units: &[&str]) -> Result<Vec<UnitState>, SystemdError> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let make = || {
            let mut command = self.command();
            command.arg("show").args(units).arg(PROPERTIES);
            command
        };
        let done = self.run(make, SHOW_LIMIT)?;
        if !done.status.success() {
            return Err(done.into_error().into());
        }
        parse_show(&String::from_utf8_lossy(&done.stdout), units)
    }

    /// Which of the byte strings systemd shows of its units to whoever asks.
    ///
    /// # Errors
    /// When systemctl can't be run or fails.
    pub fn search(&self, strings: &[Vec<u8>], bounds: &Bounds) -> Result<Vec<bool>, CommandError> {
        let mut command = self.command();
        command.args(["show", "*"]);
        command::search(command, strings, bounds)
    }

    /// The names of the units that have failed.
    ///
    /// # Errors
    /// When systemctl can't be run or fails.
    pub fn failed(&self) -> Result<Vec<String>, CommandError> {
        let make = || {
            let mut command = self.command();
            command.args(["list-units", "--state=failed", "--plain", "--no-legend"]);
            command
        };
        let done = self.run(make, SHOW_LIMIT)?;
        if !done.status.success() {
            return Err(done.into_error());
        }
        Ok(String::from_utf8_lossy(&done.stdout)
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .map(str::to_owned)
            .collect())
    }

    /// The file that a unit was made from: for one that podman generates, its quadlet.
    /// None: it was made from none, or systemd does not know it.
    ///
    /// # Errors
    /// When systemctl can't be run or fails.
    pub fn source(&self, unit: &str) -> Result<Option<PathBuf>, CommandError> {
        let make = || {
            let mut command = self.command();
            command.args(["show", "--property=SourcePath", "--value", "--", unit]);
            command
        };
        let done = self.run(make, SHOW_LIMIT)?;
        if !done.status.success() {
            return Err(done.into_error());
        }
        let path = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        Ok(Some(path)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from))
    }

    /// Starts `units` in one transaction and waits for them, as long as it takes.
    ///
    /// One that fails doesn't keep the others from starting.
    ///
    /// # Errors
    /// When systemctl can't be run, or says that a unit failed; which one,
    /// [`Systemctl::show`] tells.
    pub fn start(&self, units: &[&str]) -> Result<(), CommandError> {
        self.verb(&["start"], units)
    }

    /// Asks for `units` to be started and doesn't wait.
    ///
    /// # Errors
    /// When systemctl can't be run or refuses a unit.
    pub fn start_no_block(&self, units: &[&str]) -> Result<(), CommandError> {
        self.verb(&["start", "--no-block"], units)
    }

    /// Asks for `units` to be restarted and doesn't wait.
    ///
    /// # Errors
    /// When systemctl can't be run or refuses a unit.
    pub fn restart_no_block(&self, units: &[&str]) -> Result<(), CommandError> {
        self.verb(&["restart", "--no-block"], units)
    }

    /// Restarts `units` and waits for them.
    ///
    /// # Errors
    /// When systemctl can't be run or says that a unit failed.
    pub fn restart(&self, units: &[&str]) -> Result<(), CommandError> {
        self.verb(&["restart"], units)
    }

    /// Stops `units` and waits for them.
    ///
    /// # Errors
    /// When systemctl can't be run or says that a unit could not be stopped.
    pub fn stop(&self, units: &[&str]) -> Result<(), CommandError> {
        self.verb(&["stop"], units)
    }

    fn verb(&self, verb: &[&str], units: &[&str]) -> Result<(), CommandError> {
        if units.is_empty() {
            return Ok(());
        }
        let make = || {
            let mut command = self.command();
            command.args(verb).arg("--").args(units);
            command
        };
        // As long as the units' own time-outs.
        let done: Finished = self.run(make, Duration::from_hours(7 * 24))?;
        if done.status.success() {
            Ok(())
        } else {
            Err(done.into_error())
        }
    }
}

/// Parses what `systemctl show` prints for `units`.
///
/// # Errors
/// When there are fewer blocks than units.
pub fn parse_show(text: &str, units: &[&str]) -> Result<Vec<UnitState>, SystemdError> {
    let mut blocks = text
        .split("\n\n")
        .map(|block| {
            block
                .lines()
                .filter_map(|line| line.split_once('='))
                .collect::<BTreeMap<_, _>>()
        })
        .filter(|block| !block.is_empty());
    units
        .iter()
        .map(|unit| {
            // By position: under an alias the Id differs from what was asked.
            blocks
                .next()
                .map(|block| state(&block))
                .ok_or_else(|| SystemdError::Missing {
                    unit: (*unit).to_owned(),
                })
        })
        .collect()
}

fn state(block: &BTreeMap<&str, &str>) -> UnitState {
    let text = |key: &str| (*block.get(key).unwrap_or(&"")).to_owned();
    let set = |key: &str| Some(text(key)).filter(|value| !value.is_empty() && value != "n/a");
    UnitState {
        load: text("LoadState"),
        active: text("ActiveState"),
        sub: text("SubState"),
        result: text("Result"),
        restarts: text("NRestarts").parse().ok(),
        exit_status: text("ExecMainStatus").parse().ok(),
        active_since: set("ActiveEnterTimestamp"),
        changed: set("StateChangeTimestamp"),
        changed_monotonic: text("StateChangeTimestampMonotonic")
            .parse()
            .ok()
            .filter(|&microseconds| microseconds > 0)
            .map(Duration::from_micros),
        control_group: set("ControlGroup"),
    }
}
