//! What one service's unit, ports, probe and folders are like.

use std::path::Path;

use aistack_machine::command::below;
use aistack_machine::directory::{self, DirectoryError};
use aistack_machine::output;
use aistack_machine::secret::{self, SecretError};
use aistack_machine::sockets::{Exposure, Listening};
use aistack_machine::systemd::UnitState;
use aistack_schema::{DataDirectory, Port, Scope, Service};

use super::{device, stores};
use crate::device::Device;
use crate::finding::{Check, Found, Kind};
use crate::prestart::directory_hint;
use crate::probe::{Outcome, ProbeError};

/// What was seen of a service by those who ran at the same time.
pub(super) struct Seen<'a> {
    pub unit: Option<UnitState>,
    pub listening: Result<&'a Listening, &'a String>,
    pub outcome: Option<Outcome>,
    pub device: Option<Device>,
    pub stored: Vec<stores::Line>,
}

/// The lines of one service.
pub(super) fn of_service(
    root: &Path,
    scope: Scope,
    name: &str,
    service: &Service,
    seen: Seen<'_>,
) -> Vec<Check> {
    let check = |kind, subject, found| Check::new(scope, Some(name), kind, subject, found);
    let mut checks = vec![check(
        Kind::Unit,
        service.unit.clone(),
        unit(scope, service, seen.unit),
    )];
    for declared in &service.ports {
        let subject = format!(
            "{} {}/{}",
            declared.name,
            declared.socket(),
            declared.protocol
        );
        let found = port(scope, service, declared, seen.listening);
        checks.push(check(Kind::Port, subject, found));
    }
    if let (Some(probe), Some(outcome)) = (&service.health, seen.outcome) {
        let latency = outcome.latency;
        let mut check = check(
            Kind::Health,
            crate::probe::target(probe),
            health(scope, service, outcome),
        );
        check.latency_ms = Some((latency.as_secs_f64() * 1e5).round() / 1e2);
        checks.push(check);
    }
    if let (Some(declared), Some(device)) = (&service.gpu, seen.device)
        && let Some(found) = device::computes_on(scope, service, declared.backend, device)
    {
        let subject = device::backend_name(declared.backend).to_owned();
        checks.push(check(Kind::Device, subject, found));
    }
    for declared in &service.data {
        let found = data(root, scope, declared);
        checks.push(check(Kind::Data, declared.name.clone(), found));
    }
    for (kind, subject, found) in seen.stored {
        checks.push(check(kind, subject, found));
    }
    checks
}

pub(super) fn journal(scope: Scope, service: &Service) -> String {
    format!(
        "`journalctl{} -u {} -n 50` says why",
        scope.flag(),
        service.unit
    )
}

/// The first secret that somebody has to bring and that is not there.
fn missing_secret(service: &Service) -> Option<String> {
    let mut brought = service.secrets.iter().filter(|entry| !entry.generate);
    brought.find_map(|entry| match secret::read(&entry.source) {
        Err(error @ (SecretError::Missing { .. } | SecretError::Dangling { .. })) => {
            Some(format!("secret {} ({}): {error}", entry.name, entry.option))
        }
        _ => None,
    })
}

fn unit(scope: Scope, service: &Service, state: Option<UnitState>) -> Found {
    let Some(state) = state else {
        return Found::Unseen("systemd could not be asked".to_owned());
    };
    let flag = scope.flag();
    let since = state
        .unchanged_for()
        .map(|duration| format!(" for {}", output::span(duration)))
        .unwrap_or_default();
    if state.is_active() {
        return Found::Well(match state.restarts {
            Some(count) if count > 0 => format!("active{since}, restarted {count} times"),
            _ => format!("active{since}"),
        });
    }
    let hint = match (state.load.as_str(), state.active.as_str()) {
        ("not-found", _) => format!(
            "switch again, or `systemctl{flag} daemon-reload`; podman's quadlet generator makes \
             this unit"
        ),
        ("masked", _) => format!("`systemctl{flag} unmask {}`", service.unit),
        ("loaded", "inactive") => format!("`systemctl{flag} start {}`", service.unit),
        _ => missing_secret(service).unwrap_or_else(|| journal(scope, service)),
    };
    Found::Bad(format!("{}{since}", state.summary()), Some(hint))
}

fn port(
    scope: Scope,
    service: &Service,
    declared: &Port,
    listening: Result<&Listening, &String>,
) -> Found {
    let listening = match listening {
        Ok(listening) => listening,
        Err(message) => return Found::Bad(message.clone(), None),
    };
    match listening.exposure(declared.protocol, declared.socket()) {
        Exposure::AsDeclared => Found::Well("listens".to_owned()),
        Exposure::Nothing => Found::Bad(
            "nothing listens there".to_owned(),
            Some(journal(scope, service)),
        ),
        Exposure::Wider(seen) => Found::Bad(
            format!(
                "wrong address: it listens on {seen}, so it can be reached from more than {}",
                declared.address
            ),
            Some(format!(
                "restart {} to apply {}, or stop the other program that has the port",
                service.unit, declared.option
            )),
        ),
        Exposure::Elsewhere(seen) => Found::Bad(
            format!(
                "wrong address: it listens on {} only",
                seen.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            Some(format!(
                "restart {} to apply {}, or stop the other program that has the port",
                service.unit, declared.option
            )),
        ),
    }
}

fn health(scope: Scope, service: &Service, outcome: Outcome) -> Found {
    let latency = outcome.latency.as_secs_f64() * 1000.0;
    match outcome.result {
        Ok(well) => Found::Well(format!("{} in {latency:.0} ms", well.answer)),
        Err(error) => {
            let hint = match &error {
                ProbeError::Url { .. } => format!("change {}.health", service.option),
                ProbeError::Garbage { .. } | ProbeError::Redirect { .. } => format!(
                    "is it {} that answers there? `aistack status` and `ss -ltnp` tell",
                    service.container
                ),
                ProbeError::NotReady { .. } => "wait, then check again".to_owned(),
                _ => journal(scope, service),
            };
            Found::Bad(error.to_string(), Some(hint))
        }
    }
}

fn data(root: &Path, scope: Scope, declared: &DataDirectory) -> Found {
    let owner = declared.owner.map(|owner| (owner.uid, owner.gid));
    match directory::examine(&below(root, &declared.host), owner) {
        Ok(()) => Found::Well(format!("{} is there", declared.host.display())),
        Err(error @ DirectoryError::Hidden { .. }) => Found::Unseen(error.to_string()),
        Err(error) => Found::Bad(error.to_string(), directory_hint(scope, &error)),
    }
}
