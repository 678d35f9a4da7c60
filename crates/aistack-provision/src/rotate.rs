//! Restarts a service whose secrets changed.

use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::command::search_path;
use aistack_machine::podman::{Held, Podman};
use aistack_machine::secret::{self, SecretError};
use aistack_machine::systemd::SystemdError;
use aistack_machine::{complain, contained, say};
use aistack_schema::{Loaded, Service};

use crate::setup;

/// How long a secret may be missing or empty: a secret manager that swaps its files
/// takes the old ones away first.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(100);

/// Restarts a service where podman has another value of one of its secrets, and sets the
/// passwords that a server keeps. Whether all of it is done; the rest is printed.
///
/// # Errors
/// When podman or systemd cannot be asked.
pub fn rotate(name: &str, loaded: &Loaded, service: &Service) -> Result<bool, SystemdError> {
    let changed = match changed(service) {
        Ok(changed) => changed,
        Err(problems) => {
            for problem in problems {
                complain!("aistack: {} was not restarted: {problem}", name);
            }
            return Ok(false);
        }
    };
    let state = loaded.systemctl()?.show(&[&service.unit])?.pop();
    // What is stopped takes its secrets when it is started; nobody asked for that now.
    let stopped = state
        .as_ref()
        .is_some_and(|state| matches!(state.active.as_str(), "inactive"));
    let is_up = state.as_ref().is_some_and(contained::is_up);
    if changed.is_empty() {
        return unchanged(name, loaded, service, is_up);
    }
    let names = changed.join(", ");
    if stopped {
        say!(
            "{}: secret {names} changed; it is stopped, and takes that when it is started",
            name
        );
        return Ok(true);
    }
    restart(name, loaded, service, &names)
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
fn unchanged(
    name: &str,
    loaded: &Loaded,
    service: &Service,
    is_up: bool,
) -> Result<bool, SystemdError> {
    say!("{name}: no secret changed, so it is not restarted");
    let keeps_passwords = service
        .postgres
        .as_ref()
        .is_some_and(|postgres| !postgres.roles.is_empty());
    if !keeps_passwords {
        return Ok(true);
    }
    if !is_up {
        say!(
            "{name}: {} is not up; the passwords of its users are set when it is started",
            service.unit
        );
        return Ok(true);
    }
    setup::bring(name, loaded, service).map_err(SystemdError::Program)
}

fn restart(
    name: &str,
    loaded: &Loaded,
    service: &Service,
    names: &str,
) -> Result<bool, SystemdError> {
    match loaded.systemctl()?.restart_no_block(&[&service.unit]) {
        Ok(()) => {
            say!("{name}: secret {names} changed, so it is restarted");
            Ok(true)
        }
        Err(error) => {
            complain!("aistack: {name} was not restarted, though secret {names} changed: {error}");
            Ok(false)
        }
    }
}
