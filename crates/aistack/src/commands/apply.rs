//! `aistack apply`: brings what runs to what is declared.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::command::CommandError;
use aistack_machine::command::search_path;
use aistack_machine::podman::Podman;
use aistack_machine::systemd::{Systemctl, UnitState};
use aistack_machine::users;
use aistack_machine::{file, lock};
use aistack_schema::Loaded;
use aistack_schema::{Scope, Service};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::cli::Verdict;

/// Bring the running services to what stack.json declares
///
/// Runs in the background after a switch and after boot. Gets all images at the
/// same time, restarts each service whose declaration changed since it was started
/// as soon as its own image is there, starts the rest, and records what runs. A
/// running service whose new image or secret can't be had is left as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 1 an image or a restart failed, 2 could not run.")]
pub struct Args {
    /// The stack.json to apply
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask again for an image that the last run could not get
    #[arg(long)]
    settled: bool,

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
    /// Those whose image could not be had, with the declaration that wanted it.
    #[serde(default)]
    without_image: BTreeMap<String, String>,
}

impl Record {
    fn new() -> Self {
        Self {
            schema: RECORD_SCHEMA,
            config_hashes: BTreeMap::new(),
            without_image: BTreeMap::new(),
        }
    }
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
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
        settled: args.settled,
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

/// Empty: nothing was recorded since boot. An unusable record is as good as that:
/// the running services are then taken for current, which restarts nothing.
fn read_record(path: &Path) -> Record {
    let text = match file::read(path, MAX_RECORD) {
        Ok(text) => text,
        Err(error) if error.is_missing() => return Record::new(),
        Err(error) => {
            eprintln!(
                "aistack: {} cannot be read: {error}; no service is restarted for a change before now",
                path.display()
            );
            return Record::new();
        }
    };
    match serde_json::from_slice::<Record>(&text) {
        Ok(record) if record.schema == RECORD_SCHEMA => record,
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
            Record::new()
        }
    }
}

/// How long all images may take to be looked at before the services whose image is here
/// are started: the others are then being fetched, which nobody waits for.
const GRACE: Duration = Duration::from_secs(3);
const FIRST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(2);

struct Apply<'a> {
    loaded: &'a Loaded,
    systemctl: Systemctl,
    podman: Option<Podman>,
    dry_run: bool,
    settled: bool,
}

/// What has come of a service's image.
#[derive(Clone, Copy)]
enum Image {
    Here,
    Missing,
    BeingFetched,
}

/// Services by their names.
type Named<'a> = Vec<(&'a str, &'a Service)>;

impl<'a> Apply<'a> {
    fn run(&self, recorded: Record, record_path: &Path) -> Result<Verdict> {
        let services = &self.loaded.stack.services;
        let mut run = Run {
            record: recorded,
            well: true,
        };
        run.record
            .config_hashes
            .retain(|name, _| services.contains_key(name));
        let failed = std::mem::take(&mut run.record.without_image);
        let all = services
            .iter()
            .map(|(name, service)| (name.as_str(), service));
        if self.dry_run {
            self.announce_pulls();
            self.decide(&mut run, &all.collect::<Vec<_>>(), Image::Here)?;
            println!("{}: would be started", self.loaded.stack.target);
            return Ok(Verdict::AsDeclared);
        }
        let (refused, asked): (Named, Named) = all.partition(|(name, service)| {
            self.settled && failed.get(*name) == Some(&service.config_hash)
        });
        for (name, service) in &refused {
            eprintln!(
                "aistack: no image for {name} ({}.image): the last attempt ended a moment ago",
                service.option
            );
        }
        self.decide(&mut run, &refused, Image::Missing)?;
        self.bring(&mut run, asked, record_path)?;
        Ok(Verdict::of(run.well))
    }

    /// Asks for the images, starts the stack, and restarts what changed as its image comes.
    fn bring(&self, run: &mut Run, mut open: Named<'a>, record_path: &Path) -> Result<()> {
        let asked = self.ask_for_images(&open);
        let began = Instant::now();
        let mut pause = FIRST_LOOK;
        let mut started = false;
        loop {
            let (here, missing) = self.look(&mut open, asked.as_ref().err())?;
            self.decide(run, &here, Image::Here)?;
            self.decide(run, &missing, Image::Missing)?;
            let changed = !here.is_empty() || !missing.is_empty();
            let start = !started && (open.is_empty() || began.elapsed() >= GRACE);
            if start {
                self.decide(run, &open, Image::BeingFetched)?;
            }
            if start || (started && changed) {
                // Before the target starts, so that a failure there loses nothing.
                write_record(record_path, &run.record)?;
            }
            if start {
                let target = &self.loaded.stack.target;
                self.systemctl.start_no_block(&[target])?;
                println!("{target}: is started");
                started = true;
            }
            if open.is_empty() {
                return Ok(());
            }
            thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    /// Restarts those of the services that run and have changed, unless something of theirs
    /// is missing, and notes what runs.
    fn decide(&self, run: &mut Run, services: &[(&str, &Service)], image: Image) -> Result<()> {
        let units: Vec<&str> = services.iter().map(|(_, s)| s.unit.as_str()).collect();
        let states = self.systemctl.show(&units)?;
        for (&(name, service), state) in services.iter().zip(&states) {
            let hash = &service.config_hash;
            if let Image::Missing = image {
                run.well = false;
                run.record
                    .without_image
                    .insert(name.to_owned(), hash.clone());
            }
            // Without a record what runs is taken for current: nothing differs from nothing.
            let recorded = run.record.config_hashes.get(name);
            let changed = is_running(state) && recorded.is_some_and(|old| old != hash);
            // Running as declared, or about to be started as declared.
            if !changed || self.replace(run, name, service, image) {
                run.record
                    .config_hashes
                    .insert(name.to_owned(), hash.clone());
            }
        }
        Ok(())
    }

    /// Whether a service that runs and has changed was restarted.
    fn replace(&self, run: &mut Run, name: &str, service: &Service, image: Image) -> bool {
        match image {
            Image::BeingFetched => return false,
            Image::Missing => {
                println!(
                    "{name}: changed, but left running as it is, since its new image is not there"
                );
                return false;
            }
            Image::Here => {}
        }
        if let Some(problem) = missing_secret(service) {
            run.well = false;
            println!("{name}: changed, but left running as it is: {problem}");
            return false;
        }
        if self.dry_run {
            println!("{name}: changed, would be restarted");
            return false;
        }
        println!("{name}: changed, is restarted");
        // One at a time: a unit that systemd refuses must not stop the others.
        match self.systemctl.restart_no_block(&[&service.unit]) {
            Ok(()) => true,
            Err(error) => {
                run.well = false;
                eprintln!("aistack: {name} was not restarted: {error}");
                false
            }
        }
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

    /// Starts the units that fetch the images; they have started once their programs have.
    fn ask_for_images(&self, services: &[(&str, &Service)]) -> Result<(), CommandError> {
        let units: BTreeSet<&str> = services.iter().map(|(_, s)| s.pull_unit.as_str()).collect();
        let units: Vec<&str> = units.into_iter().collect();
        self.systemctl.start(&units)
    }

    /// Takes those services out of `open` whose image unit has ended: with the image, and
    /// without. `refused` is what systemd said when the units were started.
    fn look(
        &self,
        open: &mut Named<'a>,
        refused: Option<&CommandError>,
    ) -> Result<(Named<'a>, Named<'a>)> {
        let units: Vec<&str> = open.iter().map(|(_, s)| s.pull_unit.as_str()).collect();
        let states = self.systemctl.show(&units)?;
        let (mut here, mut missing) = (Vec::new(), Vec::new());
        for ((name, service), state) in std::mem::take(open).into_iter().zip(states) {
            if state.is_loaded() && state.is_at_work() {
                open.push((name, service));
            } else if state.is_loaded() && !state.has_failed() {
                here.push((name, service));
            } else {
                let unit = &service.pull_unit;
                let why = refused.map_or_else(String::new, |error| format!(" ({error})"));
                eprintln!(
                    "aistack: no image for {name} ({}.image): {unit} is {}{why}; \
                     `journalctl{} -u {unit}` says why",
                    service.option,
                    state.summary(),
                    self.loaded.stack.scope.flag()
                );
                missing.push((name, service));
            }
        }
        Ok((here, missing))
    }
}

/// What a run has done so far.
struct Run {
    record: Record,
    well: bool,
}

/// A secret that its owner brings and that is missing: the container that runs has the value
/// of before, a new one would not start.
fn missing_secret(service: &Service) -> Option<String> {
    let secret = service
        .secrets
        .iter()
        .find(|secret| !secret.generate && !secret.source.exists())?;
    Some(format!(
        "secret {} ({}): {} does not exist; write the value there",
        secret.name,
        secret.option,
        secret.source.display()
    ))
}

/// Whether there is a container that a restart would replace. One that systemd
/// is about to start anyway takes the new declaration by itself.
fn is_running(state: &UnitState) -> bool {
    state.is_active() || (state.active == "activating" && !state.waits_for_restart())
}

fn write_record(path: &Path, record: &Record) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(record).context("the record is not JSON")?;
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
