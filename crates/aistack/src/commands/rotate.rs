//! `aistack rotate`: restarts a service whose secrets changed.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::contained;
use aistack_machine::podman::{Held, Podman};
use aistack_machine::secret::{self, SecretError};
use aistack_schema::Service;
use anyhow::Result;

use super::select::{self, Loaded, search_path};
use super::setup;
use crate::cli::Verdict;

/// How long a secret may be missing or empty: a secret manager that swaps its files
/// takes the old ones away first.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(100);

/// Restart a service whose secrets are not those that podman has
///
/// Runs when the file of a secret changes. Each file is compared with what podman
/// handed to the container; where one differs, the service's unit is restarted,
/// without waiting for it. Passwords of a database's users are no secrets of podman's:
/// they are set in the running server, without a restart.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, or nothing to do; 1 a secret can't be read or the restart \
                  failed; 2 could not run."
)]
pub struct Args {
    /// The service
    service: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = select::load(&args.stack)?;
    loaded.check_owner()?;
    let service = loaded.service(&args.service)?;
    let changed = match changed(service) {
        Ok(changed) => changed,
        Err(problems) => {
            for problem in problems {
                eprintln!("aistack: {} was not restarted: {problem}", args.service);
            }
            return Ok(Verdict::Differs);
        }
    };
    let state = loaded.systemctl()?.show(&[&service.unit])?.pop();
    // What is stopped takes its secrets when it is started; nobody asked for that now.
    let stopped = state
        .as_ref()
        .is_some_and(|state| matches!(state.active.as_str(), "inactive"));
    let is_up = state.as_ref().is_some_and(contained::is_up);
    if changed.is_empty() {
        return unchanged(&args.service, &loaded, service, is_up);
    }
    let names = changed.join(", ");
    if stopped {
        println!(
            "{}: secret {names} changed; it is stopped, and takes that when it is started",
            args.service
        );
        return Ok(Verdict::AsDeclared);
    }
    restart(&args.service, &loaded, service, &names)
}

/// The names of the secrets that podman has another value of, or none.
fn changed(service: &Service) -> Result<Vec<&str>, Vec<String>> {
    if service.secrets.is_empty() {
        return Ok(Vec::new());
    }
    let podman = Podman::new(search_path().as_deref()).map_err(|error| vec![error.to_string()])?;
    let deadline = Instant::now() + PATIENCE;
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    for entry in &service.secrets {
        let held = loop {
            match secret::read(&entry.source) {
                Err(error) if may_pass(&error) && Instant::now() < deadline => {
                    thread::sleep(INTERVAL);
                }
                Err(error) => break Err(error.to_string()),
                Ok(value) => {
                    break podman
                        .holds_secret(&entry.name, &value)
                        .map_err(|error| error.to_string());
                }
            }
        };
        match held {
            Ok(Held::Same) => {}
            Ok(Held::Other | Held::Missing) => changed.push(entry.name.as_str()),
            Err(error) => {
                problems.push(format!("secret {} ({}): {error}", entry.name, entry.option));
            }
        }
    }
    if problems.is_empty() {
        Ok(changed)
    } else {
        Err(problems)
    }
}

/// Whether it may be the middle of a swap.
fn may_pass(error: &SecretError) -> bool {
    matches!(
        error,
        SecretError::Missing { .. } | SecretError::Dangling { .. } | SecretError::Empty { .. }
    )
}

/// Nothing of podman's changed: what is left are the passwords that a server keeps. One
/// whose container does not run sets them when it is started; until then another program
/// may have its port.
fn unchanged(name: &str, loaded: &Loaded, service: &Service, is_up: bool) -> Result<Verdict> {
    println!("{name}: no secret changed, so it is not restarted");
    let keeps_passwords = service
        .postgres
        .as_ref()
        .is_some_and(|postgres| !postgres.roles.is_empty());
    if !keeps_passwords {
        return Ok(Verdict::AsDeclared);
    }
    if !is_up {
        println!(
            "{name}: {} is not up; the passwords of its users are set when it is started",
            service.unit
        );
        return Ok(Verdict::AsDeclared);
    }
    setup::bring(name, loaded, service)
}

fn restart(name: &str, loaded: &Loaded, service: &Service, names: &str) -> Result<Verdict> {
    match loaded.systemctl()?.restart_no_block(&[&service.unit]) {
        Ok(()) => {
            println!("{name}: secret {names} changed, so it is restarted");
            Ok(Verdict::AsDeclared)
        }
        Err(error) => {
            eprintln!("aistack: {name} was not restarted, though secret {names} changed: {error}");
            Ok(Verdict::Differs)
        }
    }
}
