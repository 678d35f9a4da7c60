//! Sockets that wait for peers, from `/proc/net/{tcp,tcp6,udp,udp6}`.
//!
//! Format: the kernel's `Documentation/networking/proc_net_tcp.rst`. The second
//! column is `ADDRESS:PORT` in hexadecimal, the address as 32-bit words in the
//! machine's byte order, the port as a number; the fourth is the state: `0A`
//! (`TCP_LISTEN`) for TCP, `07` (`TCP_CLOSE`, i.e. unconnected) for UDP. The
//! eighth and the tenth are the owner's user id and the socket's inode.

mod diag;
mod socket;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use crate::Protocol;
use crate::address::{self, Bound, Fit};
use crate::command::below;
use crate::file;

pub use socket::Socket;

/// The largest table that is read, in bytes: a million sockets.
const MAX_TABLE: u64 = 256 * 1024 * 1024;

/// Why the sockets could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// A table is missing or unreadable.
    #[error("{} cannot be read: {cause}; is /proc mounted here?", path.display())]
    Unreadable {
        /// The table.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A line isn't in the kernel's format.
    #[error("{} has a line that is not in the kernel's format: {line:?}", path.display())]
    Garbled {
        /// The table.
        path: PathBuf,
        /// The line, shortened.
        line: String,
    },
}

/// Every socket of this network namespace that waits for peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    tcp: BTreeSet<SocketAddr>,
    udp: BTreeSet<SocketAddr>,
}

/// How a declared address and port relate to what listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// It listens on the declared address.
    AsDeclared,
    /// It listens on an address that includes the declared one and more.
    Wider(IpAddr),
    /// The port is open, but on other addresses only.
    Elsewhere(Vec<IpAddr>),
    /// Nothing listens on the port.
    Nothing,
}

impl Listening {
    /// Reads the four tables below `root`, as [`waiting`] does.
    ///
    /// # Errors
    /// When a table can't be read or isn't in the kernel's format.
    pub fn read(root: &Path) -> Result<Self, SocketsError> {
        let mut found = Self::default();
        for socket in waiting(root)? {
            found.of_mut(socket.protocol).insert(socket.local);
        }
        Ok(found)
    }

    /// The sockets of one protocol, in order of address.
    #[must_use]
    pub fn of(&self, protocol: Protocol) -> &BTreeSet<SocketAddr> {
        match protocol {
            Protocol::Tcp => &self.tcp,
            Protocol::Udp => &self.udp,
        }
    }

    fn of_mut(&mut self, protocol: Protocol) -> &mut BTreeSet<SocketAddr> {
        match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
        }
    }

    /// Compares a declared socket with what listens, by the rule of [`address`].
    ///
    /// The tables don't show whether a socket on `::` takes IPv6 peers alone; it is taken
    /// for one that takes both.
    #[must_use]
    pub fn exposure(&self, protocol: Protocol, declared: SocketAddr) -> Exposure {
        let seen: BTreeSet<IpAddr> = self
            .of(protocol)
            .iter()
            .filter(|socket| socket.port() == declared.port())
            .map(|socket| address::canonical(socket.ip()))
            .collect();
        let fit = |&address: &IpAddr| {
            let bound = Bound {
                address,
                only_v6: None,
            };
            bound.fit(declared.ip())
        };
        if seen.is_empty() {
            Exposure::Nothing
        } else if seen.iter().any(|address| fit(address) == Fit::AsDeclared) {
            Exposure::AsDeclared
        } else if let Some(wider) = seen.iter().rev().find(|at| fit(at) == Fit::Wider) {
            Exposure::Wider(*wider)
        } else {
            Exposure::Elsewhere(seen.into_iter().collect())
        }
    }
}

/// Tries to bind a socket and lets go of it: whether a container's port is free.
///
/// With `SO_REUSEADDR`, as podman binds it: connections that are only waiting
/// for their end don't count.
///
/// # Errors
/// What the system says: `AddrInUse`, `AddrNotAvailable` (no interface has the
/// address), `PermissionDenied` (a port below 1024).
pub fn try_bind(protocol: Protocol, socket: SocketAddr) -> io::Result<()> {
    match protocol {
        Protocol::Tcp => TcpListener::bind(socket).map(drop),
        Protocol::Udp => UdpSocket::bind(socket).map(drop),
    }
}

/// Reads the four tables below `root`, each socket by itself. A kernel without
/// IPv6 has no `tcp6` and `udp6`, and one without UDP no `udp`; `tcp` must be there.
///
/// # Errors
/// When a table can't be read or isn't in the kernel's format.
pub fn waiting(root: &Path) -> Result<Vec<Socket>, SocketsError> {
    let mut found = Vec::new();
    for (table, protocol, required) in [
        ("tcp", Protocol::Tcp, true),
        ("tcp6", Protocol::Tcp, false),
        ("udp", Protocol::Udp, false),
        ("udp6", Protocol::Udp, false),
    ] {
        let path = below(root, &Path::new("/proc/net").join(table));
        let text = match file::text(&path, MAX_TABLE) {
            Ok(text) => text,
            Err(error) if error.is_missing() && !required => continue,
            Err(error) => {
                return Err(SocketsError::Unreadable {
                    path,
                    cause: error.into(),
                });
            }
        };
        for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
            match entry(line, protocol) {
                Some(Entry::Waiting(socket)) => found.push(socket),
                Some(Entry::Other) => {}
                None => {
                    return Err(SocketsError::Garbled {
                        path,
                        line: line.chars().take(80).collect(),
                    });
                }
            }
        }
    }
    Ok(found)
}

enum Entry {
    Waiting(Socket),
    Other,
}

fn entry(line: &str, protocol: Protocol) -> Option<Entry> {
    let mut columns = line.split_ascii_whitespace();
    let local = columns.nth(1)?;
    let peer = columns.next()?;
    let state = u8::from_str_radix(columns.next()?, 16).ok()?;
    let local = socket(local)?;
    let waiting = match protocol {
        Protocol::Tcp => state == 0x0A,
        Protocol::Udp => state == 0x07 && socket(peer)?.port() == 0,
    };
    if !waiting {
        return Some(Entry::Other);
    }
    // Lines of old kernels end earlier; the addresses alone are of use as well.
    let uid = columns.nth(3).and_then(|uid| uid.parse().ok());
    let inode = columns.nth(1).and_then(|inode| inode.parse().ok());
    Some(Entry::Waiting(Socket {
        protocol,
        local,
        inode: inode.unwrap_or(0),
        uid: uid.unwrap_or(0),
        only_v6: None,
        cgroup: None,
    }))
}

fn socket(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at * 8..at * 8 + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let ip = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}
