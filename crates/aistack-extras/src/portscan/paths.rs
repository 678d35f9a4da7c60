//! Which options claim a port of the host: decided by the option's path alone.
//!
//! A report that is wrong costs more than one that is missing. So only paths count
//! that are known to listen; what may as well be the port of a server to connect to
//! (`services.gitea.database.port`) does not.

use crate::portscan::Protocol;

/// Options of NixOS and Home Manager that begin a module's own settings.
const ROOTS: [&str; 4] = ["services", "virtualisation", "systemd", "networking"];

/// Names of options that say where a program listens.
const PORTS: [&str; 36] = [
    "port",
    "Port",
    "PORT",
    "ports",
    "listenPort",
    "listenPorts",
    "listeningPort",
    "listen_port",
    "listening-port",
    "http_listen_port",
    "grpc_listen_port",
    "httpPort",
    "httpsPort",
    "http_port",
    "https_port",
    "http-port",
    "https-port",
    "HTTP_PORT",
    "HTTPS_PORT",
    "grpcPort",
    "grpc_port",
    "bindPort",
    "webPort",
    "web_port",
    "uiPort",
    "webuiPort",
    "webUIPort",
    "guiPort",
    "apiPort",
    "adminPort",
    "metricsPort",
    "rpcPort",
    "sshPort",
    "udpPort",
    "defaultHTTPListenPort",
    "defaultSSLListenPort",
];

/// What may stand between a service and its port without making it another
/// program's.
const BETWEEN: [&str; 25] = [
    "settings",
    "config",
    "configuration",
    "server",
    "service",
    "http",
    "https",
    "web",
    "webui",
    "webUI",
    "webserver",
    "api",
    "listen",
    "listener",
    "bind",
    "gui",
    "ui",
    "rpc",
    "grpc",
    "metrics",
    "admin",
    "network",
    "frontend",
    "dashboard",
    "mysqld",
];

/// Services whose own `port` is that of a server elsewhere.
const CLIENTS: [&str; 16] = [
    "autossh",
    "borgbackup",
    "borgmatic",
    "datadog-agent",
    "ddclient",
    "duplicati-client",
    "mpd-discord-rpc",
    "mpdris2",
    "mpdscribble",
    "msmtp",
    "nullmailer",
    "offlineimap",
    "ssmtp",
    "telegraf",
    "upsmon",
    "vdirsyncer",
];

/// Services whose `port` is one of UDP.
const UDP: [&str; 12] = [
    "factorio",
    "murmur",
    "nebula",
    "openvpn",
    "quake3-server",
    "snmpd",
    "statsd",
    "tailscale",
    "tftpd",
    "atftpd",
    "wireguard",
    "zerotierone",
];

/// Where a module's settings are in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What stands before them: which of several hosts of one file they are for.
    pub frame: String,
    /// The Home Manager user that they are for.
    pub user: Option<String>,
    /// The option, from its root on.
    pub option: Vec<String>,
}

/// Splits a path of attributes into host, user and option. None: no known option.
pub(crate) fn place(path: &[String]) -> Option<Place> {
    let at = path
        .iter()
        .position(|part| ROOTS.contains(&part.as_str()))?;
    // A machine in the machine.
    let at = match path.get(at..) {
        Some([virtualisation, inner, rest @ ..])
            if virtualisation == "virtualisation" && inner.starts_with("vmVariant") =>
        {
            at + 2
                + rest
                    .iter()
                    .position(|part| ROOTS.contains(&part.as_str()))?
        }
        _ => at,
    };
    let (before, option) = path.split_at_checked(at)?;
    let mut frame = before;
    let mut user = None;
    if let [rest @ .., manager, users, name] = frame
        && manager == "home-manager"
        && users == "users"
    {
        user = Some(name.clone());
        frame = rest;
    }
    if let [rest @ .., config] = frame
        && config == "config"
        && rest.is_empty()
    {
        frame = rest;
    }
    Some(Place {
        frame: frame.join("."),
        user,
        option: option.to_vec(),
    })
}

/// How a claim was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A number, or a list of numbers.
    Number(Protocol),
    /// A list of `[address:]port:port[/protocol]`.
    Published,
    /// Arguments of podman or docker.
    Arguments,
    /// A command line.
    Command,
    /// A list of `[address:]port`.
    Streams(Protocol),
    /// Not a claim, but a hole in the firewall.
    Opening,
}

/// What claims a port, and how it is written. None: nothing does.
pub(crate) fn claim(option: &[String]) -> Option<(Vec<String>, Kind)> {
    let parts: Vec<&str> = option.iter().map(String::as_str).collect();
    let last = *parts.last()?;
    let owner = |length: usize| -> Option<Vec<String>> { Some(option.get(..length)?.to_vec()) };
    match parts.as_slice() {
        [
            "networking",
            "firewall",
            ..,
            "allowedTCPPorts" | "allowedUDPPorts",
        ] => Some((owner(2)?, Kind::Opening)),
        [
            "networking",
            "wireguard" | "wg-quick",
            "interfaces",
            _,
            "listenPort",
        ] => Some((owner(4)?, Kind::Number(Protocol::Udp))),
        ["systemd", "services", _, "serviceConfig", "ExecStart"] => {
            Some((owner(3)?, Kind::Command))
        }
        [
            "systemd",
            "user",
            "services",
            _,
            "serviceConfig" | "Service",
            "ExecStart",
        ] => Some((owner(4)?, Kind::Command)),
        ["systemd", "sockets", _, "listenStreams"] => {
            Some((owner(3)?, Kind::Streams(Protocol::Tcp)))
        }
        ["systemd", "sockets", _, "listenDatagrams"] => {
            Some((owner(3)?, Kind::Streams(Protocol::Udp)))
        }
        ["virtualisation", "oci-containers", "containers", _, rest]
        | ["services", "podman", "containers", _, rest] => {
            let kind = match *rest {
                "ports" => Kind::Published,
                "extraOptions" | "extraPodmanArgs" => Kind::Arguments,
                _ => return None,
            };
            Some((owner(4)?, kind))
        }
        [
            "virtualisation",
            "quadlet",
            "containers" | "pods",
            _,
            _,
            rest,
        ] => {
            let kind = match *rest {
                "publishPorts" => Kind::Published,
                "podmanArgs" => Kind::Arguments,
                _ => return None,
            };
            Some((owner(4)?, kind))
        }
        [
            "virtualisation",
            "arion",
            "projects",
            _,
            "settings",
            "services",
            _,
            "service",
            "ports",
        ] => Some((owner(7)?, Kind::Published)),
        ["services", "redis", "servers", _, "port"]
        | ["services", "prometheus", "exporters", _, "port"] => {
            Some((owner(4)?, Kind::Number(Protocol::Tcp)))
        }
        ["services", "aiStack", "ledger" | "aiOptimizerPrep", ..] => None,
        ["services", "aiStack", _, "ports", _] => Some((owner(3)?, Kind::Number(Protocol::Tcp))),
        ["services", service, between @ .., _] if !CLIENTS.contains(service) => {
            let (between, known) = match between {
                // ports.http = 8080
                [before @ .., "ports"] => (before, true),
                before => (before, PORTS.contains(&last)),
            };
            let fits = known && between.iter().all(|part| BETWEEN.contains(part));
            let protocol = if last == "udpPort" || UDP.contains(service) {
                Protocol::Udp
            } else {
                Protocol::Tcp
            };
            fits.then_some((owner(2)?, Kind::Number(protocol)))
        }
        _ => None,
    }
}

/// The owner whose `enable` this is.
pub(crate) fn enables(option: &[String]) -> Option<Vec<String>> {
    let (last, owner) = option.split_last()?;
    let of_owner = matches!(
        owner
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .as_slice(),
        ["services", _]
            | ["services", "redis", "servers", _]
            | ["services", "prometheus", "exporters", _]
            | ["services", "aiStack", _]
            | ["services", "podman", "containers", _]
            | ["systemd", "services" | "sockets", _]
            | ["virtualisation", "quadlet", "containers", _]
    );
    (last == "enable" && of_owner).then(|| owner.to_vec())
}

/// Names of options beside a port that say on which address, or of which host.
pub(crate) fn is_address(name: &str) -> bool {
    matches!(
        name,
        "address"
            | "addr"
            | "bind"
            | "bindAddress"
            | "bind_addr"
            | "bind_address"
            | "bindaddress"
            | "bind-address"
            | "host"
            | "Host"
            | "hostname"
            | "http_addr"
            | "HTTP_ADDR"
            | "http_listen_address"
            | "ip"
            | "listen"
            | "listenAddress"
            | "listenHost"
            | "listen_address"
            | "listen-address"
            | "interface"
            | "server"
    )
}

/// The name by which different options mean one program.
pub(crate) fn program(owner: &[String]) -> String {
    let name = owner.last().map(String::as_str).unwrap_or_default();
    let bare = name
        .trim_start_matches("podman-")
        .trim_start_matches("docker-");
    bare.to_lowercase()
}

/// Whether two owners are one program: its module and its unit, a service and
/// its socket, a container and a unit beside it.
pub(crate) fn same_program(one: &str, other: &str) -> bool {
    let begins = |long: &str, short: &str| {
        long.strip_prefix(short)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '@', '_']))
    };
    begins(one, other) || begins(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str) -> Vec<String> {
        path.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn hosts_users_and_options() {
        for (path, frame, user, option) in [
            ("services.a.port", "", None, "services.a.port"),
            ("config.services.a.port", "", None, "services.a.port"),
            (
                "nodes.x.services.a.port",
                "nodes.x",
                None,
                "services.a.port",
            ),
            (
                "containers.x.config.services.a.port",
                "containers.x.config",
                None,
                "services.a.port",
            ),
            (
                "virtualisation.vmVariant.services.a.port",
                "virtualisation.vmVariant",
                None,
                "services.a.port",
            ),
            (
                "home-manager.users.ai.services.a.port",
                "",
                Some("ai"),
                "services.a.port",
            ),
        ] {
            let place = place(&split(path)).unwrap();
            assert_eq!(
                (place.frame.as_str(), place.user.as_deref()),
                (frame, user),
                "{path}"
            );
            assert_eq!(place.option, split(option), "{path}");
        }
        assert_eq!(place(&split("programs.ssh.port")), None);
    }

    #[test]
    fn only_what_listens() {
        for (option, owner) in [
            ("services.a.port", Some("services.a")),
            ("services.a.settings.server.http_port", Some("services.a")),
            ("services.a.ports.http", Some("services.a")),
            (
                "services.aiStack.qdrant.ports.grpc",
                Some("services.aiStack.qdrant"),
            ),
            (
                "services.redis.servers.x.port",
                Some("services.redis.servers.x"),
            ),
            ("services.gitea.database.port", None),
            ("services.a.settings.smtp.port", None),
            ("services.a.dbPort", None),
            ("services.mpdscribble.port", None),
            ("services.a.settings.redis.port", None),
            ("services.aiStack.ledger.extra.ports.x", None),
            ("services.a.openFirewall", None),
        ] {
            let found = claim(&split(option)).map(|(owner, _)| owner);
            assert_eq!(found, owner.map(split), "{option}");
        }
    }

    #[test]
    fn one_program_by_two_options() {
        assert!(same_program("web", "web"));
        assert!(same_program("web-worker", "web"));
        assert!(!same_program("website", "web"));
        assert_eq!(program(&split("systemd.services.podman-Web")), "web");
    }
}
