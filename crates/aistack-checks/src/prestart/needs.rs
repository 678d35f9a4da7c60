//! Services that another one cannot run without.

use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::systemd::SystemdError;
use aistack_schema::{Loaded, Service};

use super::image_here;

/// How long a service that this one needs may take to come up: it is usually on
/// its way, and each failed start makes the next one later.
const NEED_PATIENCE: Duration = Duration::from_secs(45);
const NEED_INTERVAL: Duration = Duration::from_secs(1);

/// The services that this one needs and that do not come up.
///
/// An order alone does not tell a failed start from a good one, and `Requires=`
/// would give this unit up for good instead of trying again.
pub fn absent(loaded: &Loaded, service: &Service) -> Result<Vec<String>, SystemdError> {
    if service.needs.is_empty() {
        return Ok(Vec::new());
    }
    let systemctl = loaded.systemctl()?;
    let needs: Vec<(&str, &str)> = service
        .needs
        .iter()
        .filter_map(|name| {
            Some((
                name.as_str(),
                loaded.stack.services.get(name)?.unit.as_str(),
            ))
        })
        .collect();
    let units: Vec<&str> = needs.iter().map(|(_, unit)| *unit).collect();
    let deadline = Instant::now() + NEED_PATIENCE;
    loop {
        let states = systemctl.show(&units)?;
        let absent: Vec<String> = needs
            .iter()
            .zip(&states)
            .filter(|(_, state)| !state.is_active())
            .map(|((name, unit), state)| {
                format!(
                    "it needs {name}, and {unit} is {}: `journalctl{} -u {unit} -n 50` says why; \
                     this service is tried again ({}.needs)",
                    state.summary(),
                    loaded.stack.scope.flag(),
                    service.option
                )
            })
            .collect();
        // Nobody starts what is stopped, and a download takes longer than this waits.
        let may_come =
            needs.iter().zip(&states).any(|((name, _), state)| {
                matches!(state.active.as_str(), "activating" | "deactivating")
                    && !(state.waits_for_restart()
                        && loaded.stack.services.get(*name).is_some_and(|needed| {
                            image_here(&needed.image.reference) == Some(false)
                        }))
            });
        if absent.is_empty() || !may_come || Instant::now() >= deadline {
            return Ok(absent);
        }
        thread::sleep(NEED_INTERVAL);
    }
}
