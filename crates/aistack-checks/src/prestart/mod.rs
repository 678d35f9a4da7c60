//! The rules that must hold before a container starts.

mod data;
mod gpu;
mod needs;
mod ports;
mod secrets;

use std::io;
use std::path::Path;
use std::thread;

use aistack_machine::command::search_path;
use aistack_machine::guard;
use aistack_machine::podman::Podman;
use aistack_machine::systemd::SystemdError;
use aistack_machine::users;
use aistack_schema::{Loaded, RequiredPath, Scope, Service, Stack};

pub use data::directory_hint;

/// The problems that keep a service from starting, each with the option to change; empty
/// when it may start. Its secrets are then podman's.
///
/// # Errors
/// When systemd, which is asked for the services that it needs, gives no answer.
pub fn problems(
    root: &Path,
    loaded: &Loaded,
    service: &Service,
) -> Result<Vec<String>, SystemdError> {
    let problems = verify(root, loaded, service);
    if problems.is_empty() {
        // Last, because it may wait: what the machine lacks is said at once.
        return needs::absent(loaded, service);
    }
    Ok(problems)
}

fn verify(root: &Path, loaded: &Loaded, service: &Service) -> Vec<String> {
    let mut problems = Vec::new();
    let user = match loaded.stack.scope {
        Scope::System => None,
        Scope::User => users::current(),
    };
    // Ports and GPUs may need a while, the rest doesn't: at the same time.
    thread::scope(|scope| {
        let ports = scope.spawn(|| ports::taken(&service.ports));
        let image = scope.spawn(|| missing_image(loaded, service));
        let devices = scope.spawn(|| match &service.gpu {
            Some(declared) => gpu::missing(root, &declared.devices, user.as_deref()),
            None => Vec::new(),
        });
        problems.extend(data::take_over(&loaded.stack, service));
        problems.extend(data::directories(&loaded.stack, service));
        problems.extend(exposed(root, &loaded.stack));
        // Not below a disk that isn't mounted: the value would be gone with the mount.
        let may_generate = problems.is_empty();
        secrets::hand_over(&service.secrets, may_generate, &mut problems);
        problems.extend(secrets::others(service));
        problems.extend(data::stored(service));
        let missing = service.files.iter();
        problems.extend(missing.filter_map(|file| file_problem(loaded.stack.scope, file)));
        problems.extend(
            ports
                .join()
                .unwrap_or_else(|_| vec!["its ports could not be tried".to_owned()]),
        );
        problems.extend(image.join().unwrap_or(None));
        problems.extend(
            devices
                .join()
                .unwrap_or_else(|_| vec!["its GPUs could not be looked for".to_owned()]),
        );
    });
    problems
}

/// That the image is missing; its unit is then told to fetch it. The container does not
/// wait for that: a job that waits for a download keeps systemd's boot from ever ending.
fn missing_image(loaded: &Loaded, service: &Service) -> Option<String> {
    let reference = &service.image.reference;
    // podman's own words follow from its own start when it cannot be asked.
    if image_here(reference) != Some(false) {
        return None;
    }
    let fetched = loaded
        .systemctl()
        .and_then(|systemctl| Ok(systemctl.start_no_block(&[&service.pull_unit])?));
    Some(match fetched {
        Ok(()) => format!(
            "its image {reference} is not here yet ({}.image): {} fetches it, and \
             `journalctl{} -u {}` shows how far it is; the service starts once it is here",
            service.option,
            service.pull_unit,
            loaded.stack.scope.flag(),
            service.pull_unit
        ),
        Err(error) => format!(
            "its image {reference} is not here ({}.image), and {} could not be started: {error:#}",
            service.option, service.pull_unit
        ),
    })
}

/// Whether podman has the image; none when it could not be asked.
fn image_here(reference: &str) -> Option<bool> {
    Podman::new(search_path().as_deref())
        .and_then(|podman| podman.image_exists(reference))
        .ok()
}

/// What is wrong with a file that must be there; none when it is.
fn file_problem(scope: Scope, file: &RequiredPath) -> Option<String> {
    let error = file.path.metadata().err()?;
    let what = match (error.kind(), &file.unit) {
        (io::ErrorKind::NotFound, None) => {
            "does not exist: create it or change the option".to_owned()
        }
        (io::ErrorKind::NotFound, Some(unit)) => format!(
            "does not exist yet: {unit} fetches it, and `journalctl{} -u {unit}` shows how far it \
             is",
            scope.flag()
        ),
        _ => format!("cannot be seen: {error}"),
    };
    Some(format!("{} ({}): {what}", file.path.display(), file.option))
}

/// Refuses to start a container that other machines could reach past its published ports.
fn exposed(root: &Path, stack: &Stack) -> Option<String> {
    // A stack without options for its network is on one that somebody else looks after.
    if stack.scope != Scope::System || stack.network_options.is_empty() {
        return None;
    }
    guard::close(root, &stack.network)
        .err()
        .map(|error| error.to_string())
}
