//! Whether the stack's ports are free, or its own containers have them.

use std::path::Path;

use aistack_machine::Protocol;
use aistack_machine::owner::{Seen, describe, holders_of};
use aistack_machine::users;
use serde::{Deserialize, Serialize};

use crate::prep::check::Check;
use crate::prep::plan::Plan;

/// Who has a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// Nobody.
    Free,
    /// A container of the stack.
    Ours,
    /// Somebody else.
    Taken,
    /// Somebody who could not be seen, or the sockets could not.
    Unknown,
}

/// One port of the stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Port {
    /// Its name.
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub name: String,
    /// The host port.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub port: u16,
    /// Who has it.
    pub holder: Holder,
    /// Who that is, in words; none: nobody.
    pub owner: Option<String>,
}

/// Looks at every port of the plan below `root`; `ours` are the names of the stack's
/// containers that run.
#[must_use]
pub fn look(plan: &Plan, root: &Path, ours: &[String]) -> (Vec<Port>, Vec<Check>) {
    let mut ports = Vec::new();
    let mut checks = Vec::new();
    for (name, declared) in &plan.ports {
        let number = declared.port.get();
        let (holder, owner) = match holders_of(root, Protocol::Tcp, number) {
            Err(error) => (Holder::Unknown, Some(error.to_string())),
            Ok(holders) => match holders.first() {
                None => (Holder::Free, None),
                Some((_, owner)) => {
                    let is_ours = holders.iter().all(|(_, owner)| {
                        owner
                            .container
                            .as_ref()
                            .and_then(|container| container.name.as_ref())
                            .is_some_and(|name| ours.contains(name))
                            // A name alone is anybody's to choose.
                            && (owner.account == Some(0)
                                || owner.account == Some(users::effective_uid()))
                    });
                    let words = Some(describe(owner));
                    if is_ours {
                        (Holder::Ours, words)
                    } else if owner.seen == Seen::Hidden && !ours.is_empty() {
                        (Holder::Unknown, words)
                    } else {
                        (Holder::Taken, words)
                    }
                }
            },
        };
        let subject = format!("port {number}");
        let who = owner.clone().unwrap_or_default();
        checks.push(match holder {
            Holder::Free => Check::ok(subject, format!("{number} ({name}) is free")),
            Holder::Ours => Check::ok(subject, format!("{number} ({name}) is its own: {who}")),
            Holder::Taken => Check::not_ok(
                subject,
                format!("{number} ({name}) is taken: {who} has it"),
                format!(
                    "stop that one, or choose another port here and in the compose file: {}",
                    declared.option
                ),
            ),
            Holder::Unknown => Check::skipped(
                subject,
                format!("who has {number} ({name}) could not be seen: {who}"),
            ),
        });
        ports.push(Port {
            name: name.clone(),
            port: number,
            holder,
            owner,
        });
    }
    (ports, checks)
}
