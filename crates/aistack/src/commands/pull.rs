//! `aistack pull`: makes a service's image present.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aistack_machine::command::search_path;
use aistack_machine::output::parse_seconds;
use aistack_machine::podman::Podman;
use aistack_machine::systemd::UnitState;
use aistack_provision::images::{ArchiveError, Checked};
use aistack_schema::Loaded;
use aistack_schema::{Image, Service};
use anyhow::Result;

use crate::cli::Verdict;

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// Make a service's image present: from its archive, or from its registry
///
/// Runs in the image's unit. Nothing is done when podman has the
/// image already. A failed download is tried again, each time after a wait twice
/// as long (at most 60 s), and so is one in which nothing arrives. A service that waits
/// for the image is started once it is there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 the image is there, 1 it is not, 2 could not run.")]
pub struct Args {
    /// The service
    service: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// How often a download is tried
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,

    /// Seconds between the first two attempts
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    wait: Duration,

    /// Seconds in which nothing at all arrives before a download counts as failed
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = parse_seconds)]
    silence: Duration,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    loaded.check_owner()?;
    let service = loaded.service(&args.service)?;
    let podman = Podman::new(search_path().as_deref())?;
    let image = &service.image;
    if podman.image_exists(&image.reference)? {
        println!("{} is there", image.reference);
        return Ok(Verdict::AsDeclared);
    }
    let result = match &image.archive {
        Some(_) => from_archive(&podman, image),
        None => from_registry(&podman, &image.reference, args),
    };
    match result {
        Ok(()) => {
            println!("{} is there now", image.reference);
            wake(&loaded, service);
            Ok(Verdict::AsDeclared)
        }
        Err(problem) => {
            eprintln!(
                "aistack: no image for {} ({}.image): {problem}",
                args.service, service.option
            );
            Ok(Verdict::Differs)
        }
    }
}

/// Looks into the archive: it must bring the declared image alone. What lies in the Nix
/// store has its hash in its path, and nobody can change it.
fn archive_of(image: &Image, archive: &Path) -> Result<Checked, ArchiveError> {
    let wanted = format!(
        "{}:{}",
        image.name,
        image.tag.as_deref().unwrap_or("latest")
    );
    aistack_provision::images::check(archive, &wanted, image.archive_sha256.as_deref())
}

fn from_archive(podman: &Podman, image: &Image) -> Result<(), String> {
    let Some(archive) = &image.archive else {
        return Ok(());
    };
    if !archive.exists() {
        return Err(format!(
            "its archive {} does not exist: copy it there or change the option",
            archive.display()
        ));
    }
    println!("loading {} from {}", image.reference, archive.display());
    let checked = archive_of(image, archive).map_err(|error| error.to_string())?;
    podman
        .load(checked.path())
        .map_err(|error| error.to_string())?;
    match podman.image_exists(&image.reference) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "{} was loaded, but does not hold {}: make the archive with the name that is declared \
             (`podman images` shows what came out of it)",
            archive.display(),
            image.reference
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Starts the service now when it waits for its next attempt: `aistack prestart` refused
/// while the image was missing. What it does besides is left alone.
fn wake(loaded: &Loaded, service: &Service) {
    let woken = || -> Result<()> {
        let systemctl = loaded.systemctl()?;
        let states = systemctl.show(&[&service.unit])?;
        if states.iter().any(UnitState::waits_for_restart) {
            systemctl.restart_no_block(&[&service.unit])?;
        }
        Ok(())
    };
    if let Err(error) = woken() {
        eprintln!(
            "aistack: {} was not woken: {error:#}; it starts with its next attempt",
            service.unit
        );
    }
}

fn from_registry(podman: &Podman, reference: &str, args: &Args) -> Result<(), String> {
    let (attempts, mut wait) = (args.attempts, args.wait);
    for attempt in 1.. {
        println!("pulling {reference} (attempt {attempt} of {attempts})");
        let error = match podman.pull(reference, args.silence) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if attempt >= attempts {
            return Err(format!(
                "{attempts} attempts failed, the last with: {error}"
            ));
        }
        eprintln!("{error}; next attempt in {} s", wait.as_secs_f64());
        thread::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Ok(())
}
