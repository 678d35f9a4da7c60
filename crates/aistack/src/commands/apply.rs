//! `aistack apply`: brings what runs to what is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aistack_host::podman::Podman;
use aistack_host::systemd::{Systemctl, UnitState};
use aistack_host::users;
use aistack_host::{file, lock};
use aistack_stack::{Scope, Service};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::select::{self, Loaded, search_path};
use crate::cli::Verdict;

/// Bring the running services to what stack.json declares
///
/// Runs in the background after a switch and after boot. Gets all images at the
/// same time, restarts the services whose declaration changed since they were
/// started, starts the rest, and records what runs. A running service whose new
/// image can't be had is left as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 1 an image or a restart failed, 2 could not run.")]
pub struct Args {
    /// The stack.json to apply
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    // As help, not as a comment: the variable's name is no code there.
    #[arg(
        long,
        value_name = "FILE",
        help = "Where what runs is recorded [default: /run/aistack/applied-system.json or \
                $XDG_RUNTIME_DIR/aistack/applied.json]"
    )]
    record: Option<PathBuf>,
}

const RECORD_SCHEMA: u64 = 1;
/// The largest record that is read, in bytes; a real one has some kilobytes.
const MAX_RECORD: u64 = 8 * 1024 * 1024;

/// The declarations that the running containers were started with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    schema: u64,
    config_hashes: BTreeMap<String, String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = select::load(&args.stack)?;
    loaded.check_owner()?;
    let systemctl = loaded.systemctl()?;
    let record_path = match &args.record {
        Some(path) => path.clone(),
        None => default_record(loaded.stack.scope),
    };
    // A second one waits for the first, and then finds what it did.
    let _lock = if args.dry_run {
        None
    } else {
        Some(lock(&record_path, args.record.is_none())?)
    };
    let recorded = read_record(&record_path);
    let apply = Apply {
        loaded: &loaded,
        systemctl,
        podman: Podman::new(search_path().as_deref()).ok(),
        dry_run: args.dry_run,
    };
    apply.run(recorded, &record_path)
}

/// How long another `aistack apply` may take. It holds the lock while images are
/// downloaded, which on a slow line takes its time.
const PATIENCE: Duration = Duration::from_hours(1);

/// The lock next to the record, held as long as the file is open.
fn lock(record: &Path, own_folder: bool) -> Result<fs::File> {
    if own_folder && let Some(folder) = record.parent() {
        lock::private_folder(folder)?;
    }
    let path = record.with_extension("lock");
    let waiting = &mut |holder: &str| {
        eprintln!(
            "aistack: {} is locked by {holder}; waiting for it, at most {} min",
            path.display(),
            PATIENCE.as_secs() / 60
        );
    };
    Ok(lock::take(&path, PATIENCE, waiting)?)
}

fn default_record(scope: Scope) -> PathBuf {
    match scope {
        Scope::System => PathBuf::from("/run/aistack/applied-system.json"),
        Scope::User => std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|directory| directory.is_absolute())
            .unwrap_or_else(|| PathBuf::from(format!("/run/user/{}", users::effective_uid())))
            .join("aistack/applied.json"),
    }
}

/// None: nothing was recorded since boot. An unusable record is as good as none:
/// the running services are then taken for current, which restarts nothing.
fn read_record(path: &Path) -> Option<BTreeMap<String, String>> {
    let text = match file::read(path, MAX_RECORD) {
        Ok(text) => text,
        Err(error) if error.is_missing() => return None,
        Err(error) => {
            eprintln!(
                "aistack: {} cannot be read: {error}; no service is restarted for a change before now",
                path.display()
            );
            return None;
        }
    };
    match serde_json::from_slice::<Record>(&text) {
        Ok(record) if record.schema == RECORD_SCHEMA => Some(record.config_hashes),
        other => {
            let seen = other.map_or_else(
                |error| error.to_string(),
                |record| format!("schema {}", record.schema),
            );
            eprintln!(
                "aistack: {} is no usable record ({seen}) and will be replaced; no service is \
                 restarted for a change before now",
                path.display()
            );
            None
        }
    }
}

struct Apply<'a> {
    loaded: &'a Loaded,
    systemctl: Systemctl,
    podman: Option<Podman>,
    dry_run: bool,
}

impl Apply<'_> {
    fn run(
        &self,
        recorded: Option<BTreeMap<String, String>>,
        record_path: &Path,
    ) -> Result<Verdict> {
        let services = &self.loaded.stack.services;
        let without_image = if self.dry_run {
            self.announce_pulls();
            BTreeSet::new()
        } else {
            self.pull()?
        };

        let units: Vec<&str> = services.values().map(|s| s.unit.as_str()).collect();
        let states = self.systemctl.show(&units)?;
        // Without a record what runs is taken for current: nothing differs from nothing.
        let mut record = recorded.unwrap_or_default();
        record.retain(|name, _| services.contains_key(name));
        let mut restarts: Vec<(&str, &Service)> = Vec::new();
        for ((name, service), state) in services.iter().zip(&states) {
            let running = is_running(state);
            let changed = running
                && record
                    .get(name)
                    .is_some_and(|hash| *hash != service.config_hash);
            if changed && without_image.contains(name.as_str()) {
                println!(
                    "{name}: changed, but left running as it is, since its new image is not there"
                );
            } else if changed {
                restarts.push((name, service));
            } else {
                // Running as declared, or about to be started as declared.
                record.insert(name.clone(), service.config_hash.clone());
            }
        }

        let mut well = without_image.is_empty();
        for (name, service) in restarts {
            if self.dry_run {
                println!("{name}: changed, would be restarted");
                continue;
            }
            println!("{name}: changed, is restarted");
            // One at a time: a unit that systemd refuses must not stop the others.
            match self.systemctl.restart_no_block(&[&service.unit]) {
                Ok(()) => {
                    record.insert(name.to_owned(), service.config_hash.clone());
                }
                Err(error) => {
                    well = false;
                    eprintln!("aistack: {name} was not restarted: {error}");
                }
            }
        }
        let target = &self.loaded.stack.target;
        if self.dry_run {
            println!("{target}: would be started");
            return Ok(Verdict::AsDeclared);
        }
        // Recorded before the target starts, so that a failure there loses nothing.
        write_record(record_path, record)?;
        self.systemctl.start_no_block(&[target])?;
        println!("{target}: is started");
        Ok(if well {
            Verdict::AsDeclared
        } else {
            Verdict::Differs
        })
    }

    fn announce_pulls(&self) {
        for (name, service) in &self.loaded.stack.services {
            let reference = &service.image.reference;
            match self
                .podman
                .as_ref()
                .map(|podman| podman.image_exists(reference))
            {
                Some(Ok(true)) => {}
                Some(Ok(false)) => println!("{name}: {reference} would be fetched"),
                Some(Err(error)) => {
                    println!("{name}: whether {reference} is there can't be said: {error}");
                }
                None => println!(
                    "{name}: whether {reference} is there can't be said: no podman was found"
                ),
            }
        }
    }

    /// Starts all pull units and waits; the services whose image isn't there afterwards.
    fn pull(&self) -> Result<BTreeSet<&str>> {
        let services = &self.loaded.stack.services;
        let units: BTreeSet<&str> = services.values().map(|s| s.pull_unit.as_str()).collect();
        let units: Vec<&str> = units.into_iter().collect();
        // Which ones failed is asked of each unit; this says only that some did.
        let started = self.systemctl.start(&units);
        let states: BTreeMap<&str, UnitState> = units
            .iter()
            .copied()
            .zip(self.systemctl.show(&units)?)
            .collect();
        let mut missing = BTreeSet::new();
        for (name, service) in services {
            let unit = service.pull_unit.as_str();
            let failure = match states.get(unit) {
                Some(state) if state.is_loaded() && !state.has_failed() => None,
                Some(state) => Some(state.summary()),
                None => Some("systemd does not know it".to_owned()),
            };
            if let Some(failure) = failure {
                missing.insert(name.as_str());
                eprintln!(
                    "aistack: no image for {name} ({}.image): {unit} is {failure}; \
                     `journalctl{} -u {unit}` says why",
                    service.option,
                    self.loaded.user_flag()
                );
            }
        }
        if let Err(error) = started
            && missing.is_empty()
        {
            // Refused as a whole, or one that failed and was well again by now.
            return Err(error).context("the images could not be asked for");
        }
        Ok(missing)
    }
}

/// Whether there is a container that a restart would replace. One that systemd
/// is about to start anyway takes the new declaration by itself.
fn is_running(state: &UnitState) -> bool {
    state.is_active() || (state.active == "activating" && !state.sub.starts_with("auto-restart"))
}

fn write_record(path: &Path, config_hashes: BTreeMap<String, String>) -> Result<()> {
    let record = Record {
        schema: RECORD_SCHEMA,
        config_hashes,
    };
    let mut text = serde_json::to_vec_pretty(&record).context("the record is not JSON")?;
    text.push(b'\n');
    let directory = path.parent().unwrap_or(Path::new("/"));
    let draft = path.with_extension(format!("{}.tmp", std::process::id()));
    fs::create_dir_all(directory)
        .and_then(|()| fs::File::create(&draft)?.write_all(&text))
        .and_then(|()| fs::rename(&draft, path))
        .inspect_err(|_| drop(fs::remove_file(&draft)))
        .with_context(|| {
            format!(
                "what runs could not be recorded in {}: run as the owner of the stack, or name \
                 another file with --record",
                path.display()
            )
        })
}
