//! Keeps other machines, other networks and other accounts away from the containers of the
//! system scope.
//!
//! netavark turns on forwarding and rewrites the destination of packets for published ports
//! before the kernel looks whether the destination makes sense. So a neighbour who routes
//! `127.0.0.0/8` or the containers' own network through this machine reaches every service,
//! past a firewall that filters only what is sent to the machine itself. These rules close
//! both ways, and leave the published ports as they are.
//!
//! They stand in a table of their own (nftables) or in chains of their own (iptables), so that
//! the machine's firewall and netavark keep theirs.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::command::{self, CommandError, Finished, extended_path, find};

/// How long one call of a firewall's program may take; another may hold its lock.
const LIMIT: Duration = Duration::from_secs(30);

/// The largest network configuration that is read, in bytes; a real one has about 500.
const MAX_BYTES: u64 = 1024 * 1024;

/// Where netavark keeps the networks of root's podman
/// (`podman info`: `networkBackendInfo`; containers.conf(5), `network_config_dir`).
const NETWORKS: &str = "etc/containers/networks";

/// Why the containers can't be closed off.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// The machine has no firewall that can be told.
    #[error(
        "the containers can't be closed to other machines: neither nft nor iptables works here \
         ({tried}), so nothing is started. Load the kernel's nf_tables, or install nftables"
    )]
    NoFirewall {
        /// What each of them said.
        tried: String,
    },
    /// podman's description of the network.
    #[error("{}: {cause}; `podman network inspect {network}` shows whether the network exists", path.display())]
    Network {
        /// The file.
        path: PathBuf,
        /// The network's name.
        network: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A rule was refused.
    #[error("the containers can't be closed to other machines: {0}")]
    Refused(#[from] CommandError),
}

/// A podman network, as far as its firewall is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Name of its bridge.
    pub bridge: String,
    /// Its subnets, `10.89.0.0/24`.
    pub subnets: Vec<String>,
}

impl Network {
    /// Reads what podman keeps of the network below `root`.
    ///
    /// # Errors
    /// When it is missing, too large, or something else.
    pub fn read(root: &Path, name: &str) -> Result<Self, GuardError> {
        #[derive(Deserialize)]
        struct File {
            network_interface: String,
            #[serde(default)]
            subnets: Vec<Subnet>,
        }
        #[derive(Deserialize)]
        struct Subnet {
            subnet: String,
        }
        let path = root.join(NETWORKS).join(format!("{name}.json"));
        let wrong = |cause: String| GuardError::Network {
            path: path.clone(),
            network: name.to_owned(),
            cause,
        };
        let text = crate::file::read(&path, MAX_BYTES).map_err(|error| wrong(error.to_string()))?;
        let file: File = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        let subnets: Vec<String> = file.subnets.into_iter().map(|s| s.subnet).collect();
        let plain = |text: &str, more: &str| {
            !text.is_empty()
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
        };
        // They become words of a rule.
        if !plain(&file.network_interface, "-_.") || !subnets.iter().all(|s| subnet(s)) {
            return Err(wrong(
                "its bridge or a subnet is not well formed".to_owned(),
            ));
        }
        Ok(Self {
            bridge: file.network_interface,
            subnets,
        })
    }

    fn of_family(&self, v6: bool) -> impl Iterator<Item = &String> {
        self.subnets.iter().filter(move |s| s.contains(':') == v6)
    }
}

fn subnet(text: &str) -> bool {
    text.split_once('/').is_some_and(|(address, length)| {
        address.parse::<IpAddr>().is_ok() && length.parse::<u8>().is_ok_and(|n| n <= 128)
    })
}

/// The name of the table; each network has its own.
#[must_use]
pub fn table(network: &str) -> String {
    format!("aistack-{network}")
}

/// The rules for nftables, to be read by `nft -f`: one transaction, in which an older table of
/// the name is replaced.
///
/// The chains come before the machine's own (priority), and accept nothing: what they let
/// through goes on to those.
#[must_use]
pub fn nft_rules(name: &str, network: &Network) -> String {
    let table = table(name);
    let bridge = &network.bridge;
    let mut gateways = String::new();
    for (family, v6) in [("ip", false), ("ip6", true)] {
        let subnets: Vec<&str> = network.of_family(v6).map(String::as_str).collect();
        if !subnets.is_empty() {
            let _ = writeln!(
                gateways,
                "    iifname != {{ \"lo\", \"{bridge}\" }} {family} daddr {{ {} }} drop",
                subnets.join(", ")
            );
        }
    }
    format!(
        r#"table inet {table} {{ }}
delete table inet {table}
table inet {table} {{
  # A packet for loopback that came over a network: before netavark gives it another destination.
  chain loopback {{
    type filter hook prerouting priority raw; policy accept;
    iifname != "lo" ip daddr 127.0.0.0/8 drop
    iifname != "lo" ip6 daddr ::1 drop
  }}
  # The addresses of the bridge (the containers' resolver): for the containers alone.
  chain gateway {{
    type filter hook input priority filter - 5; policy accept;
{gateways}  }}
  # To a container come answers, and what was sent to a published port.
  chain containers {{
    type filter hook forward priority filter - 5; policy accept;
    iifname != "{bridge}" oifname "{bridge}" ct state new ct status & dnat == 0 drop
  }}
  # Accounts of this machine reach the published ports as well, and root every port.
  chain accounts {{
    type filter hook output priority filter - 5; policy accept;
    oifname "{bridge}" meta skuid != 0 ct state new ct status & dnat == 0 drop
  }}
}}
"#
    )
}

/// A rule of iptables: the table, the built-in chain that leads to ours, and our rules.
struct Chain {
    table: &'static str,
    from: &'static str,
    name: &'static str,
    rules: Vec<String>,
}

/// The same for iptables (`v6`: ip6tables), where nftables can't be had.
fn iptables_chains(network: &Network, v6: bool) -> Vec<Chain> {
    let bridge = &network.bridge;
    let loopback = if v6 { "::1/128" } else { "127.0.0.0/8" };
    let unasked = "-m conntrack --ctstate NEW -m conntrack ! --ctstate DNAT -j DROP";
    let gateway = network
        .of_family(v6)
        .map(|subnet| format!("! -i {bridge} -d {subnet} -j DROP"));
    vec![
        Chain {
            table: "raw",
            from: "PREROUTING",
            name: "AISTACK-LOOPBACK",
            rules: vec![format!("! -i lo -d {loopback} -j DROP")],
        },
        Chain {
            table: "filter",
            from: "INPUT",
            name: "AISTACK-GATEWAY",
            rules: std::iter::once("-i lo -j RETURN".to_owned())
                .chain(gateway)
                .collect(),
        },
        Chain {
            table: "filter",
            from: "FORWARD",
            name: "AISTACK-FORWARD",
            rules: vec![format!("! -i {bridge} -o {bridge} {unasked}")],
        },
        Chain {
            table: "filter",
            from: "OUTPUT",
            name: "AISTACK-OUTPUT",
            rules: vec![format!("-o {bridge} -m owner ! --uid-owner 0 {unasked}")],
        },
    ]
}

/// The rules for `iptables-restore --noflush` (or ip6tables-restore): our chains are emptied
/// and filled again, the others are left.
#[must_use]
pub fn iptables_rules(network: &Network, v6: bool) -> String {
    let mut text = String::new();
    let chains = iptables_chains(network, v6);
    for table in ["raw", "filter"] {
        let _ = writeln!(text, "*{table}");
        let here = || chains.iter().filter(|chain| chain.table == table);
        for chain in here() {
            let _ = writeln!(text, ":{} - [0:0]", chain.name);
        }
        for chain in here() {
            for rule in &chain.rules {
                let _ = writeln!(text, "-A {} {rule}", chain.name);
            }
        }
        text.push_str("COMMIT\n");
    }
    text
}

/// The firewall's programs of this machine.
#[derive(Debug)]
pub struct Firewall<'a> {
    root: &'a Path,
    path: Option<&'a OsStr>,
}

/// Which of the kernel's firewalls holds the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// nftables.
    Nftables,
    /// iptables and ip6tables.
    Iptables,
}

impl<'a> Firewall<'a> {
    /// Looks for programs below `root`: in `path` (the value of `PATH`), then in the usual
    /// places.
    #[must_use]
    pub fn new(root: &'a Path, path: Option<&'a OsStr>) -> Self {
        Self { root, path }
    }

    fn run(
        &self,
        program: &'static str,
        arguments: &[&str],
        input: Option<String>,
    ) -> Result<Finished, CommandError> {
        let at =
            find(self.root, self.path, &[], program).ok_or(CommandError::NotFound { program })?;
        let mut command = Command::new(at);
        command
            .env("PATH", extended_path(self.path))
            .args(arguments);
        let done = command::run(command, input.map(String::into_bytes), LIMIT)?;
        if done.status.success() {
            Ok(done)
        } else {
            Err(done.into_error())
        }
    }

    /// Puts the rules in place, where they are not already.
    ///
    /// # Errors
    /// When neither nftables nor iptables takes them: then nothing may be started.
    pub fn close(&self, name: &str, network: &Network) -> Result<Backend, GuardError> {
        let Err(nft) = self.run("nft", &["-f", "-"], Some(nft_rules(name, network))) else {
            return Ok(Backend::Nftables);
        };
        match self.close_by_iptables(network) {
            Ok(()) => Ok(Backend::Iptables),
            Err(iptables) => Err(GuardError::NoFirewall {
                tried: format!("{nft}; {iptables}"),
            }),
        }
    }

    fn close_by_iptables(&self, network: &Network) -> Result<(), CommandError> {
        for (program, restore, v6) in [
            ("iptables", "iptables-restore", false),
            ("ip6tables", "ip6tables-restore", true),
        ] {
            self.run(
                restore,
                &["--wait", "--noflush"],
                Some(iptables_rules(network, v6)),
            )?;
            for chain in iptables_chains(network, v6) {
                let jump = [chain.from, "-j", chain.name];
                let at = |verb| [&["--wait", "-t", chain.table, verb][..], &jump[..]].concat();
                if self.run(program, &at("-C"), None).is_err() {
                    self.run(program, &at("-I"), None)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the rules stand as they should; none: this user may not look.
    #[must_use]
    pub fn is_closed(&self, name: &str) -> Option<bool> {
        let table = table(name);
        if self
            .run("nft", &["list", "table", "inet", &table], None)
            .is_ok_and(|done| {
                let text = String::from_utf8_lossy(&done.stdout);
                ["chain loopback", "chain containers", "chain accounts"]
                    .iter()
                    .all(|chain| text.contains(chain))
            })
        {
            return Some(true);
        }
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let jumps = [
            ("raw", "PREROUTING", "AISTACK-LOOPBACK"),
            ("filter", "FORWARD", "AISTACK-FORWARD"),
        ];
        Some(jumps.iter().all(|(table, from, to)| {
            self.run(
                "iptables",
                &["--wait", "-t", table, "-C", from, "-j", to],
                None,
            )
            .is_ok()
        }))
    }
}

/// Puts the rules in place, for the network that podman describes below `root`.
///
/// # Errors
/// When the machine has no firewall that takes them, or the network is missing.
pub fn close(root: &Path, name: &str) -> Result<Backend, GuardError> {
    let network = Network::read(root, name)?;
    Firewall::new(Path::new("/"), command::search_path().as_deref()).close(name, &network)
}

#[cfg(test)]
#[path = "../tests/unit/guard.rs"]
mod tests;
