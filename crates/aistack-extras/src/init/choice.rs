//! Which services a machine gets, from its memory, its GPU and its free ports.

use std::collections::BTreeSet;

use crate::init::Machine;
use crate::init::catalog::Catalog;

/// Below this memory (MiB) only an engine with one small model and its interface run well.
const SMALL_MIB: u64 = 8 * 1024;
/// From this memory (MiB) on the databases fit beside a model of 7 to 8 billion parameters.
const LARGE_MIB: u64 = 15 * 1024;

/// A service that the new configuration turns on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name in `services.aiStack`.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Host port by the port's name, as configured.
    pub ports: Vec<(String, u16)>,
    /// Ports that are not the default ones, because those are taken here.
    pub moved: Vec<Moved>,
    /// Further options, as Nix text: `(path, value)`.
    pub options: Vec<(String, String)>,
}

/// A port that was moved out of the way of something that listens here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The port's name.
    pub port: String,
    /// Its default.
    pub from: u16,
    /// What it is instead.
    pub to: u16,
}

impl Moved {
    /// The move in words for people.
    #[must_use]
    pub fn note(&self, service: &str) -> String {
        format!(
            "port {} is in use on this machine; {service} gets {} instead (services.aiStack.{service}.ports.{} in stack.nix)",
            self.from, self.to, self.port
        )
    }
}

/// What was chosen, and why.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The services that are on, in the order of the file.
    pub services: Vec<Service>,
    /// Services that were left out, with the reason.
    pub left_out: Vec<(String, String)>,
}

/// Chooses services and their ports.
pub fn choose(catalog: &Catalog, machine: &Machine<'_>) -> Choice {
    let memory = machine.facts.memory.total_mib;
    let small = memory.is_some_and(|m| m < SMALL_MIB);
    let large = memory.is_some_and(|m| m >= LARGE_MIB);
    let mut wanted: Vec<(&str, Vec<(String, String)>)> = Vec::new();
    let mut left_out = Vec::new();

    // One model, one request at a time: what a small machine can hold.
    let modest = [("parallel", "1"), ("maxLoadedModels", "1")];
    wanted.push((
        "ollama",
        if small {
            modest
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        } else {
            Vec::new()
        },
    ));
    wanted.push(("open-webui", Vec::new()));
    match machine.model {
        Some(file) => wanted.push((
            "llama-cpp",
            vec![("model".to_owned(), crate::init::template::nix_string(file))],
        )),
        None => left_out.push((
            "llama-cpp".to_owned(),
            "it serves one GGUF file: set `model` to its name when it is there".to_owned(),
        )),
    }
    for (name, fits, why) in [
        (
            "qdrant",
            !small,
            "this machine has less than 8 GiB of memory",
        ),
        (
            "postgres",
            large,
            "this machine has less than 16 GiB of memory",
        ),
        (
            "redis",
            large,
            "this machine has less than 16 GiB of memory",
        ),
    ] {
        if fits {
            wanted.push((name, Vec::new()));
        } else {
            left_out.push((name.to_owned(), why.to_owned()));
        }
    }

    // Ports that somebody holds: the defaults of all chosen services count too, so that a
    // moved port never lands on another service's.
    let mut held: BTreeSet<u16> = catalog
        .values()
        .flat_map(|e| e.ports.values().copied())
        .collect();
    let services = wanted
        .into_iter()
        .filter_map(|(name, options)| Some((name, catalog.get(name)?, options)))
        .map(|(name, entry, options)| {
            let mut moved = Vec::new();
            let ports = entry
                .ports
                .iter()
                .map(|(port, &default)| {
                    let host = if (machine.port_taken)(default) {
                        let free = next_free(default, &held, machine.port_taken);
                        moved.push(Moved {
                            port: port.clone(),
                            from: default,
                            to: free,
                        });
                        held.insert(free);
                        free
                    } else {
                        default
                    };
                    (port.clone(), host)
                })
                .collect();
            Service {
                name: name.to_owned(),
                description: entry.description.clone(),
                ports,
                moved,
                options,
            }
        })
        .collect();
    Choice { services, left_out }
}

/// The first port after `from` that is neither held nor taken; `from` itself when the
/// machine has none left, which then fails as it would have anyway.
fn next_free(from: u16, held: &BTreeSet<u16>, taken: &dyn Fn(u16) -> bool) -> u16 {
    (from.saturating_add(1)..=u16::MAX)
        .chain(1024..from)
        .find(|p| !held.contains(p) && !taken(*p))
        .unwrap_or(from)
}
