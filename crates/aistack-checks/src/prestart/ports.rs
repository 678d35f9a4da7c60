//! Ports that something else has.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::sockets::try_bind;
use aistack_schema::{Port, Protocol};

/// How long ports may stay taken: the unit's last container may still be
/// letting go of them.
const PORT_PATIENCE: Duration = Duration::from_secs(5);
const PORT_INTERVAL: Duration = Duration::from_millis(100);

/// The ports that stay taken, each with its option.
pub fn taken(ports: &[Port]) -> Vec<String> {
    let deadline = Instant::now() + PORT_PATIENCE;
    loop {
        let failures: Vec<(&Port, io::Error)> = ports
            .iter()
            .filter_map(|port| {
                let error = try_bind(port.protocol, port.socket()).err()?;
                Some((port, error))
            })
            .collect();
        // Who may not bind a port now may not in five seconds.
        let may_change = failures.iter().any(|(_, error)| {
            matches!(
                error.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
            )
        });
        if !may_change || Instant::now() >= deadline {
            return failures
                .iter()
                .map(|(port, error)| port_problem(port, error))
                .collect();
        }
        thread::sleep(PORT_INTERVAL);
    }
}

fn port_problem(port: &Port, error: &io::Error) -> String {
    let socket = port.socket();
    let what = format!(
        "port {} ({}): {socket}/{}",
        port.name, port.option, port.protocol
    );
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{what} is taken by another program: `ss -lnp{} 'sport = :{}'` shows which (as root: \
             also other users'), `aistack status` whether it is one of the stack; stop it or \
             change the option",
            match port.protocol {
                Protocol::Tcp => 't',
                Protocol::Udp => 'u',
            },
            port.host
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "{what}: no network interface has the address {}: `ip address` shows those that are \
             there",
            port.address
        ),
        io::ErrorKind::PermissionDenied => format!(
            "{what}: ports below net.ipv4.ip_unprivileged_port_start (1024) are root's: choose a \
             higher one"
        ),
        _ => format!("{what} can't be opened: {error}"),
    }
}
