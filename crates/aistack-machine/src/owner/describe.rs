//! An owner in words.

use super::{Owner, Seen};
use crate::cgroup::Manager;

/// An owner in a few words: unit, container, process, user, as far as known.
#[must_use]
pub fn describe(owner: &Owner) -> String {
    let user = || match &owner.user {
        Some(user) => format!("user {user}"),
        None => format!("user id {}", owner.uid),
    };
    let mut about = Vec::new();
    let unit = owner.unit.as_ref().map(|unit| match owner.manager {
        Some(Manager::User(_)) => format!("{unit} of {}", user()),
        _ => unit.clone(),
    });
    if let Some(container) = &owner.container {
        about.push(format!(
            "{} container {}",
            container.engine.name(),
            container.label()
        ));
    }
    if let Some(process) = &owner.process {
        about.push(match &process.name {
            Some(name) => format!("{name}[{}]", process.pid),
            None => format!("process {}, which has ended", process.pid),
        });
    }
    let session = owner
        .unit
        .as_ref()
        .is_some_and(|unit| unit.strip_suffix(".scope").is_some());
    if owner.uid != 0 && !matches!(owner.manager, Some(Manager::User(_))) || unit.is_none() {
        about.push(user());
    }
    match (unit, session) {
        (Some(unit), false) => {
            if about.is_empty() {
                unit
            } else {
                format!("{unit} ({})", about.join(", "))
            }
        }
        // A session says less than the program in it.
        _ => match owner.seen {
            Seen::NoProcess => "no process (the kernel, or another PID namespace)".to_owned(),
            Seen::Hidden => format!("hidden ({})", user()),
            Seen::Process | Seen::ControlGroup => {
                let mut parts = about.into_iter();
                let first = parts.next().unwrap_or_default();
                let rest: Vec<String> = parts.collect();
                if rest.is_empty() {
                    first
                } else {
                    format!("{first} ({})", rest.join(", "))
                }
            }
        },
    }
}
