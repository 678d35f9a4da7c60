//! Whether the machine is as its stacks declare it.

mod device;
mod host;
mod service;
mod stores;

use std::path::Path;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use aistack_machine::cgroup::Manager;
use aistack_machine::command::search_path;
use aistack_machine::sockets::Listening;
use aistack_machine::systemd::{Systemctl, UnitState};
use aistack_machine::{text, users};
use aistack_schema::{Loaded, Probe, Scope, Service};

use crate::device::{Device, Machine};
use crate::finding::{Check, Found, Kind};
use crate::probe::{Outcome, run_all};

pub use host::user_scope;

/// A question to the machine that runs in a thread of its own.
type Asked<'scope, T> = ScopedJoinHandle<'scope, T>;

/// The message for a thread that panicked.
const ENDED: &str = "the thread that asked ended early";

/// One service, and what is being found out about it.
struct Examined<'a, 'scope> {
    name: &'a str,
    service: &'a Service,
    device: Option<Asked<'scope, Device>>,
    stored: Asked<'scope, Vec<stores::Line>>,
    outcome: Option<Outcome>,
}

/// All checks of the stacks' services of the given names (all of them, where there are no
/// names); whatever can wait for others at the same time. `root`: where /etc, /proc, /run
/// and the data are; each health probe may take `limit`.
#[must_use]
pub fn examine(stacks: &[Loaded], names: &[String], root: &Path, limit: Duration) -> Vec<Check> {
    let machine = Machine::new(root, search_path(), limit);
    let systemctls: Vec<Result<Systemctl, String>> = stacks
        .iter()
        .map(|loaded| loaded.systemctl().map_err(|error| text::chain(&error)))
        .collect();
    thread::scope(|threads| {
        let listening = threads.spawn(|| Listening::read(root));
        let (machine, mut running) = (&machine, Vec::new());
        for (loaded, systemctl) in stacks.iter().zip(&systemctls) {
            let owner = match loaded.stack.scope {
                Scope::System => Manager::System,
                Scope::User => Manager::User(users::effective_uid()),
            };
            let units = threads.spawn(move || states_of(loaded, names));
            let host = threads.spawn(move || host::of_host(root, loaded));
            let services: Vec<Examined> = loaded
                .stack
                .chosen(names)
                .map(|(name, service)| Examined {
                    name,
                    service,
                    device: service
                        .gpu
                        .as_ref()
                        .map(|_| threads.spawn(move || device::used(machine, owner, service))),
                    stored: threads.spawn(move || {
                        let systemctl = systemctl.as_ref().map_err(String::as_str);
                        stores::examine(root, systemctl, name, service, limit)
                    }),
                    outcome: None,
                })
                .collect();
            running.push((loaded.stack.scope, units, host, services));
        }
        probe_all(running.iter_mut().flat_map(|stack| &mut stack.3), limit);

        let listening = match listening.join() {
            Ok(listening) => {
                listening.map_err(|error| format!("what listens can't be seen: {error}"))
            }
            Err(_) => Err(ENDED.to_owned()),
        };
        let mut checks = Vec::new();
        for (scope, units, host, services) in running {
            checks.extend(host.join().unwrap_or_default());
            let asked = units.join().unwrap_or_else(|_| Err(ENDED.to_owned()));
            let mut states = match asked {
                Ok(states) => states,
                Err(message) => {
                    checks.push(Check::host(scope, "systemd", Err((message, None))));
                    Vec::new()
                }
            }
            .into_iter();
            for examined in services {
                let Examined { name, service, .. } = examined;
                let seen = service::Seen {
                    unit: states.next(),
                    listening: listening.as_ref(),
                    outcome: examined.outcome,
                    device: examined.device.map(|device| {
                        device
                            .join()
                            .unwrap_or_else(|_| Device::Unknown(ENDED.to_owned()))
                    }),
                    stored: examined.stored.join().unwrap_or_else(|_| {
                        let found = Found::Unseen(ENDED.to_owned());
                        vec![(Kind::Data, "what it holds".to_owned(), found)]
                    }),
                };
                checks.extend(service::of_service(root, scope, name, service, seen));
            }
        }
        checks
    })
}

/// Runs the health probes of the services that have one.
fn probe_all<'a: 'b, 'b, 'scope: 'b>(
    services: impl Iterator<Item = &'b mut Examined<'a, 'scope>>,
    limit: Duration,
) {
    let mut with_probe: Vec<_> = services
        .filter(|examined| examined.service.health.is_some())
        .collect();
    let probes: Vec<&Probe> = with_probe
        .iter()
        .filter_map(|examined| examined.service.health.as_ref())
        .collect();
    for (examined, outcome) in with_probe.iter_mut().zip(run_all(&probes, limit)) {
        examined.outcome = Some(outcome);
    }
}

/// The states of the services' units, in their order, or why systemd could not be asked.
fn states_of(loaded: &Loaded, names: &[String]) -> Result<Vec<UnitState>, String> {
    let units: Vec<&str> = loaded
        .stack
        .chosen(names)
        .map(|(_, service)| service.unit.as_str())
        .collect();
    let systemctl = loaded.systemctl();
    systemctl
        .and_then(|systemctl| systemctl.show(&units))
        .map_err(|error| text::chain(&error))
}
