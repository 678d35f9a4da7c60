//! Ports in strings: what a container publishes, and flags of command lines.

use std::net::IpAddr;

use crate::portscan::Protocol;
use crate::portscan::resolve::UNKNOWN;

/// More ports than this in one range are a mistake or a game server's.
const LONGEST_RANGE: u16 = 2_000;

/// Ports of the host that a string claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    pub first: u16,
    pub last: u16,
    pub protocol: Protocol,
    /// None: every address.
    pub address: Option<IpAddr>,
}

/// What a string was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Claim(Ports),
    /// A part of it is computed.
    Computed,
    /// It claims no port of the host that is known beforehand.
    Nothing,
}

/// `[[address:]host:]container[/protocol]`, as podman's and docker's `--publish` take it.
pub(crate) fn published(text: &str) -> Found {
    if text.contains(UNKNOWN) {
        return Found::Computed;
    }
    let (text, protocol) = match text.rsplit_once('/') {
        None => (text, Protocol::Tcp),
        Some((text, "tcp")) => (text, Protocol::Tcp),
        Some((text, "udp")) => (text, Protocol::Udp),
        Some(_) => return Found::Nothing,
    };
    let Some((before, _container)) = text.rsplit_once(':') else {
        return Found::Nothing;
    };
    let (address, host) = match before.rsplit_once(':') {
        None => (None, before),
        Some((address, host)) => {
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            match bare.parse::<IpAddr>() {
                Ok(address) => (Some(address), host),
                Err(_) if bare.is_empty() => (None, host),
                Err(_) => return Found::Nothing,
            }
        }
    };
    let range = match host.split_once('-') {
        None => host.parse().ok().map(|port: u16| (port, port)),
        Some((first, last)) => first.parse().ok().zip(last.parse().ok()),
    };
    match range {
        Some((first, last)) if first > 0 && first <= last && last - first < LONGEST_RANGE => {
            Found::Claim(Ports {
                first,
                last,
                protocol,
                address: address.filter(|address| !address.is_unspecified()),
            })
        }
        _ => Found::Nothing,
    }
}

/// `[address:]port` of a socket unit.
pub(crate) fn stream(text: &str, protocol: Protocol) -> Found {
    if text.contains(UNKNOWN) {
        return Found::Computed;
    }
    let (address, port) = match text.rsplit_once(':') {
        None => (None, text),
        Some((address, port)) => {
            let bare = address.trim_start_matches('[').trim_end_matches(']');
            match bare.parse::<IpAddr>() {
                Ok(address) => (Some(address), port),
                Err(_) => return Found::Nothing,
            }
        }
    };
    match port.parse() {
        Ok(port) if port > 0 => Found::Claim(Ports {
            first: port,
            last: port,
            protocol,
            address: address.filter(|address| !address.is_unspecified()),
        }),
        _ => Found::Nothing,
    }
}

/// What the arguments of a container's engine publish; none: it has the host's or
/// another container's network, so that nothing is published.
pub(crate) fn arguments(words: &[String]) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    let mut left = words.iter().flat_map(|word| word.split_ascii_whitespace());
    while let Some(word) = left.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (word, None),
        };
        match flag {
            "-p" | "--publish" => found.extend(value.or_else(|| left.next()).map(published)),
            "--network" | "--net" => {
                let network = value.or_else(|| left.next()).unwrap_or_default();
                if network == "host" || network.starts_with("container:") {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(found)
}

/// Programs whose `--port` is where they connect to, or that only start others.
const CLIENTS: [&str; 29] = [
    "autossh",
    "borg",
    "curl",
    "dig",
    "ftp",
    "mariadb",
    "mkdir",
    "mongodump",
    "mongosh",
    "mosquitto_pub",
    "mosquitto_sub",
    "mysql",
    "mysqldump",
    "nc",
    "ncat",
    "pg_dump",
    "pg_isready",
    "psql",
    "redis-cli",
    "rsync",
    "scp",
    "sftp",
    "socat",
    "ssh",
    "sshfs",
    "telnet",
    "wget",
    "env",
    "bash",
];

/// What a command line listens on: `--port 8080`, `--port=8080`, `-p 8080`,
/// `--listen 127.0.0.1:8080`; for podman and docker what they publish.
pub(crate) fn command(text: &str) -> Vec<Found> {
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let Some(program) = words
        .first()
        .map(|word| word.trim_start_matches(['@', '-', ':', '+', '!']))
        .and_then(|word| word.rsplit('/').next())
        .filter(|name| !name.contains(UNKNOWN))
    else {
        return Vec::new();
    };
    if CLIENTS.contains(&program) || program == "sh" {
        return Vec::new();
    }
    if matches!(program, "podman" | "docker") {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        return arguments(&words).unwrap_or_default();
    }
    let value = |flag: &str| {
        words.iter().enumerate().find_map(|(at, word)| {
            if *word == flag {
                return words.get(at + 1).copied();
            }
            word.strip_prefix(flag)?.strip_prefix('=')
        })
    };
    let address = [
        "--host",
        "--address",
        "--bind",
        "--listen-address",
        "--bind-address",
    ]
    .iter()
    .find_map(|flag| value(flag));
    let address = match address {
        None => None,
        Some("localhost") => Some(IpAddr::from([127, 0, 0, 1])),
        Some(text) => match text.parse::<IpAddr>() {
            Ok(address) => Some(address),
            // A host to connect to, or computed.
            Err(_) => return vec![Found::Computed],
        },
    };
    let mut found = Vec::new();
    for flag in ["--port", "--http-port", "--listen-port", "-p", "-port"] {
        if let Some(text) = value(flag) {
            let text = text.trim_matches(['"', '\'']);
            found.push(match text.parse::<u16>() {
                Ok(0) => Found::Nothing,
                Ok(port) if flag != "-p" || port >= 1024 => Found::Claim(Ports {
                    first: port,
                    last: port,
                    protocol: Protocol::Tcp,
                    address: address.filter(|address| !address.is_unspecified()),
                }),
                Err(_) if text.contains(UNKNOWN) => Found::Computed,
                _ => Found::Nothing,
            });
        }
    }
    if let Some(text) = value("--listen") {
        let text = text.trim_start_matches("http://");
        let text = text.strip_prefix(':').unwrap_or(text);
        if text.contains(':') || text.parse::<u16>().is_ok() {
            found.push(stream(text, Protocol::Tcp));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(first: u16, last: u16, protocol: Protocol, address: Option<&str>) -> Found {
        Found::Claim(Ports {
            first,
            last,
            protocol,
            address: address.map(|address| address.parse().unwrap()),
        })
    }

    #[test]
    fn what_is_published() {
        let tcp = Protocol::Tcp;
        for (text, expected) in [
            ("8080:80", claim(8080, 8080, tcp, None)),
            (
                "127.0.0.1:8080:80",
                claim(8080, 8080, tcp, Some("127.0.0.1")),
            ),
            ("0.0.0.0:8080:80", claim(8080, 8080, tcp, None)),
            ("[::1]:8080:80/tcp", claim(8080, 8080, tcp, Some("::1"))),
            ("53:53/udp", claim(53, 53, Protocol::Udp, None)),
            ("8000-8010:8000-8010", claim(8000, 8010, tcp, None)),
            ("80", Found::Nothing),
            (":80", Found::Nothing),
            ("127.0.0.1::80", Found::Nothing),
            ("x:80:80", Found::Nothing),
            ("99999:80", Found::Nothing),
            ("\u{fffc}:80", Found::Computed),
        ] {
            assert_eq!(published(text), expected, "{text}");
        }
    }

    #[test]
    fn command_lines() {
        let local = Some("127.0.0.1");
        for (text, expected) in [
            (
                "\u{fffc}/bin/server --port 8080",
                vec![claim(8080, 8080, Protocol::Tcp, None)],
            ),
            (
                "/bin/server --host=localhost --port=8080",
                vec![claim(8080, 8080, Protocol::Tcp, local)],
            ),
            ("\u{fffc}/bin/ssh -p 2222 host", vec![]),
            (
                "/bin/server --host db.example.org --port 5432",
                vec![Found::Computed],
            ),
            ("/bin/server -p 755", vec![Found::Nothing]),
            ("\u{fffc} --port 80", vec![]),
            (
                "/bin/podman run -p 8080:80 image",
                vec![claim(8080, 8080, Protocol::Tcp, None)],
            ),
            ("/bin/podman run --network=host -p 8080:80 image", vec![]),
            (
                "/bin/x --listen 127.0.0.1:9000",
                vec![claim(9000, 9000, Protocol::Tcp, local)],
            ),
            ("/bin/x --listen fd://", vec![Found::Nothing]),
        ] {
            assert_eq!(command(text), expected, "{text}");
        }
    }
}
