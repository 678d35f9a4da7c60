//! What to do about a port that somebody else has.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use aistack_machine::cgroup::{Engine, Manager};
use aistack_machine::owner::{Owner, Seen, describe};
use aistack_machine::sockets::Socket;
use aistack_schema::{Protocol, Scope};
use serde::Serialize;

use crate::ports::survey::{Claim, Declared, Row, Verdict};

/// The ways out of one clash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Advice {
    /// The port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// What is wrong, in one line.
    pub problem: String,
    /// A port that nobody has and nobody declares; none: there is none left.
    pub free_port: Option<u16>,
    /// Each of these alone is enough.
    pub steps: Vec<Step>,
}

/// One way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// What it does, in a few words.
    pub what: String,
    /// The line of Nix or the command that does it.
    pub how: String,
}

/// Modules of NixOS whose unit is known by its name: the option that moves it.
const KNOWN: [(&str, &str); 21] = [
    ("ollama.service", "services.ollama.port"),
    ("open-webui.service", "services.open-webui.port"),
    ("llama-cpp.service", "services.llama-cpp.port"),
    ("litellm.service", "services.litellm.port"),
    ("chromadb.service", "services.chromadb.port"),
    ("tabby.service", "services.tabby.port"),
    (
        "qdrant.service",
        "services.qdrant.settings.service.http_port",
    ),
    ("postgresql.service", "services.postgresql.settings.port"),
    ("redis.service", "services.redis.servers.\"\".port"),
    ("prometheus.service", "services.prometheus.port"),
    (
        "grafana.service",
        "services.grafana.settings.server.http_port",
    ),
    (
        "loki.service",
        "services.loki.configuration.server.http_listen_port",
    ),
    ("gitea.service", "services.gitea.settings.server.HTTP_PORT"),
    (
        "forgejo.service",
        "services.forgejo.settings.server.HTTP_PORT",
    ),
    ("docker-registry.service", "services.dockerRegistry.port"),
    ("jupyter.service", "services.jupyter.port"),
    ("jupyterhub.service", "services.jupyterhub.port"),
    ("nginx.service", "services.nginx.defaultHTTPListenPort"),
    ("caddy.service", "services.caddy.httpPort"),
    ("mysql.service", "services.mysql.settings.mysqld.port"),
    ("sshd.service", "services.openssh.ports"),
];

/// Advice for every foreign owner and every port that is declared twice.
pub(crate) fn all(
    rows: &[Row],
    twice: &[Claim],
    declared: &[Declared],
    found: &[(Socket, Owner)],
) -> Vec<Advice> {
    let mut taken: BTreeSet<u16> = found
        .iter()
        .map(|(socket, _)| socket.local.port())
        .collect();
    taken.extend(declared.iter().map(|port| port.port));
    // One new number for each declared port, however many are in its way.
    let mut numbers: BTreeMap<(String, u16), Option<u16>> = BTreeMap::new();
    let mut number = |port: &Declared| {
        *numbers
            .entry((port.option.clone(), port.port))
            .or_insert_with(|| {
                let free = free_port(port.port, &taken);
                taken.extend(free);
                free
            })
    };
    let mut advice = Vec::new();
    for row in rows {
        if let (Some(Verdict::Foreign), Some(port), Some(owner), Some(address)) =
            (row.verdict, &row.declared, &row.owner, row.address)
        {
            let free = number(port);
            let mut steps = vec![move_ours(port, free)];
            steps.extend(theirs(owner, port, declared, free));
            advice.push(Advice {
                port: port.port,
                protocol: port.protocol,
                problem: format!(
                    "{} of {} is taken: {} has {}",
                    shown(port.address, port.port, port.protocol),
                    port.option,
                    describe(owner),
                    shown(address, port.port, port.protocol)
                ),
                free_port: free,
                steps,
            });
        }
    }
    for claim in twice {
        let free = number(&claim.other);
        let one_free = number(&claim.one);
        advice.push(Advice {
            port: claim.one.port,
            protocol: claim.one.protocol,
            problem: format!(
                "{} is declared twice: {}{} and {}{}",
                shown(claim.one.address, claim.one.port, claim.one.protocol),
                claim.one.option,
                whose(&claim.one),
                claim.other.option,
                whose(&claim.other)
            ),
            free_port: free,
            steps: vec![
                move_ours(&claim.other, free),
                move_ours(&claim.one, one_free),
            ],
        });
    }
    advice
}

/// The next port upwards that nobody has, else the next from 1024.
fn free_port(near: u16, taken: &BTreeSet<u16>) -> Option<u16> {
    (near.max(1023).saturating_add(1)..=u16::MAX)
        .chain(1024..near)
        .find(|port| !taken.contains(port))
}

fn whose(port: &Declared) -> String {
    match (port.scope, &port.user) {
        (Scope::System, _) => " (system)".to_owned(),
        (Scope::User, Some(user)) => format!(" (user {user})"),
        (Scope::User, None) => " (user)".to_owned(),
    }
}

fn move_ours(port: &Declared, free: Option<u16>) -> Step {
    Step {
        what: format!("move {}{}", port.service, whose(port)),
        how: match free {
            Some(free) => format!("{} = {free};", port.option),
            None => format!("{} = …; (no port is free)", port.option),
        },
    }
}

fn theirs(owner: &Owner, port: &Declared, declared: &[Declared], free: Option<u16>) -> Vec<Step> {
    let step = |what: String, how: String| Step { what, how };
    let mut steps = Vec::new();
    let user = owner.user.clone().unwrap_or_else(|| owner.uid.to_string());
    // Another service of a stack that we know.
    if let Some(other) = declared
        .iter()
        .find(|other| other.is_of(owner) && other.option != port.option)
    {
        let same_port = declared.iter().find(|other| {
            other.is_of(owner) && (other.port, other.protocol) == (port.port, port.protocol)
        });
        match same_port {
            Some(same) => steps.push(move_ours(same, free)),
            None => steps.push(step(
                format!(
                    "apply what is declared for {}{}, which still has the port",
                    other.service,
                    whose(other)
                ),
                format!("systemctl{} restart {}", other.scope.flag(), other.unit),
            )),
        }
        return steps;
    }
    match (&owner.unit, owner.manager, &owner.container) {
        // docker's own unit has its forwarders; stopping it would stop all of them.
        (Some(unit), Some(manager), container)
            if unit.strip_suffix(".service").is_some()
                && container
                    .as_ref()
                    .is_none_or(|container| container.engine == Engine::Podman) =>
        {
            let number = free.map_or_else(|| "…".to_owned(), |free| free.to_string());
            if manager == Manager::System
                && let Some(option) = known(unit)
            {
                steps.push(step(
                    format!("move {unit}, where NixOS declares it"),
                    format!("{option} = {number};"),
                ));
            }
            let (flag, by) = match manager {
                Manager::System => (String::new(), "root".to_owned()),
                Manager::User(_) => (" --user".to_owned(), user),
            };
            steps.push(step(
                format!("stop {unit} (as {by})"),
                format!("systemctl{flag} stop {unit}"),
            ));
        }
        (_, _, Some(container)) => steps.push(match container.engine {
            Engine::Podman => step(
                format!("stop the container {} (as {user})", container.label()),
                format!("podman stop {}", container.label()),
            ),
            Engine::Docker => step(
                "stop the docker container (as root)".to_owned(),
                format!("docker stop $(docker ps -q --filter publish={})", port.port),
            ),
        }),
        _ => match (&owner.process, owner.seen) {
            (Some(process), _) if process.name.as_deref() == Some("systemd") => steps.push(step(
                "stop the socket unit that systemd keeps it for".to_owned(),
                "systemctl list-sockets   # then: systemctl stop NAME.socket".to_owned(),
            )),
            (Some(process), _) => steps.push(step(
                format!(
                    "stop the program {} (as {user})",
                    process.name.as_deref().unwrap_or("that had it")
                ),
                format!("kill {}", process.pid),
            )),
            (None, Seen::Hidden) => steps.push(step(
                format!("see which program of user {user} it is"),
                "sudo aistack ports".to_owned(),
            )),
            (None, _) => {}
        },
    }
    steps
}

fn known(unit: &str) -> Option<String> {
    if let Some((_, option)) = KNOWN.iter().find(|(name, _)| *name == unit) {
        return Some((*option).to_owned());
    }
    let bare = unit.strip_suffix(".service")?;
    if let Some(name) = bare.strip_prefix("redis-") {
        return Some(format!("services.redis.servers.{name}.port"));
    }
    let exporter = bare
        .strip_prefix("prometheus-")?
        .strip_suffix("-exporter")?;
    Some(format!("services.prometheus.exporters.{exporter}.port"))
}

fn shown(address: IpAddr, port: u16, protocol: Protocol) -> String {
    format!("{}/{protocol}", std::net::SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_is_the_next_one_that_nobody_has() {
        let taken = BTreeSet::from([11434, 11435, 80, u16::MAX]);
        assert_eq!(free_port(11434, &taken), Some(11436));
        assert_eq!(free_port(80, &taken), Some(1024));
        assert_eq!(free_port(u16::MAX, &taken), Some(1024));
        assert_eq!(free_port(5, &(0..=u16::MAX).collect()), None);
    }

    #[test]
    fn options_of_known_units() {
        assert_eq!(
            known("ollama.service").as_deref(),
            Some("services.ollama.port")
        );
        assert_eq!(
            known("redis-cache.service").as_deref(),
            Some("services.redis.servers.cache.port")
        );
        assert_eq!(
            known("prometheus-node-exporter.service").as_deref(),
            Some("services.prometheus.exporters.node.port")
        );
        assert_eq!(known("mine.service"), None);
    }
}
