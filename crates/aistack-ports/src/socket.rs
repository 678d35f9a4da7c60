//! Sockets that wait for peers, with what the kernel knows of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use aistack_host::sockets::{self, SocketsError, Transport};

use crate::diag;

/// One socket that waits for peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// TCP or UDP.
    pub transport: Transport,
    /// Where it waits.
    pub local: SocketAddr,
    /// Inode, as in a process's `fd/N -> socket:[inode]`.
    pub inode: u64,
    /// User id that made it.
    pub uid: u32,
    /// Whether a v6 socket leaves v4 peers to others; none: not known.
    pub only_v6: Option<bool>,
    /// The cgroup that it was made in (inode of its directory); none: not known.
    pub cgroup: Option<u64>,
}

impl Socket {
    /// All sockets of this network namespace that wait for peers.
    ///
    /// The running system (`root` is `/`) is asked by netlink, and where that
    /// doesn't answer, and below another root, the tables are read.
    ///
    /// # Errors
    /// When the tables can't be read either.
    pub fn all(root: &Path) -> Result<Vec<Self>, SocketsError> {
        if root == Path::new("/")
            && let Ok(sockets) = diag::waiting()
        {
            return Ok(sockets);
        }
        Self::from_tables(root)
    }

    /// The same from `/proc/net/{tcp,tcp6,udp,udp6}` below `root`.
    ///
    /// # Errors
    /// When a table can't be read or isn't in the kernel's format.
    pub fn from_tables(root: &Path) -> Result<Vec<Self>, SocketsError> {
        Ok(sockets::waiting(root)?
            .into_iter()
            .map(|socket| Self {
                transport: socket.transport,
                local: socket.local,
                inode: socket.inode,
                uid: socket.uid,
                only_v6: None,
                cgroup: None,
            })
            .collect())
    }

    /// The address, a v4 one in v6 clothes as v4.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.local.ip().to_canonical()
    }

    /// Whether nobody else can listen on `address` while this one is there.
    #[must_use]
    pub fn meets(&self, address: IpAddr) -> bool {
        let (mine, other) = (self.address(), address.to_canonical());
        if mine.is_unspecified() || other.is_unspecified() {
            // A v6 wildcard takes v4 peers as well unless it was told not to.
            match (mine, other) {
                (IpAddr::V6(_), IpAddr::V4(_)) => {
                    mine.is_unspecified() && self.only_v6 != Some(true)
                }
                // What is declared on :: is opened for both families.
                (IpAddr::V4(_), IpAddr::V6(_)) => other.is_unspecified(),
                _ => true,
            }
        } else {
            mine == other
        }
    }

    /// Whether this is what a declaration of `address` asks for.
    #[must_use]
    pub fn is_as_declared(&self, address: IpAddr) -> bool {
        let (mine, wanted) = (self.address(), address.to_canonical());
        mine == wanted
            // Programs in Go open :: for 0.0.0.0.
            || (wanted == IpAddr::V4(Ipv4Addr::UNSPECIFIED)
                && mine == IpAddr::V6(Ipv6Addr::UNSPECIFIED))
            // … and others open both for ::.
            || (wanted == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && mine == IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(local: &str, only_v6: Option<bool>) -> Socket {
        Socket {
            transport: Transport::Tcp,
            local: local.parse().unwrap(),
            inode: 1,
            uid: 0,
            only_v6,
            cgroup: None,
        }
    }

    #[test]
    fn wildcards_meet_what_the_kernel_refuses_beside_them() {
        for (socket, only_v6, address, meets) in [
            ("127.0.0.1:1", None, "127.0.0.1", true),
            ("127.0.0.1:1", None, "127.0.0.2", false),
            ("127.0.0.1:1", None, "0.0.0.0", true),
            ("0.0.0.0:1", None, "127.0.0.1", true),
            ("0.0.0.0:1", None, "::1", false),
            ("0.0.0.0:1", None, "::", true),
            ("[::]:1", None, "127.0.0.1", true),
            ("[::]:1", Some(false), "0.0.0.0", true),
            ("[::]:1", Some(true), "127.0.0.1", false),
            ("[::]:1", Some(true), "0.0.0.0", false),
            ("[::]:1", Some(true), "::1", true),
            ("[::1]:1", None, "0.0.0.0", false),
            ("[::1]:1", None, "127.0.0.1", false),
            ("[::ffff:127.0.0.1]:1", None, "127.0.0.1", true),
        ] {
            assert_eq!(
                at(socket, only_v6).meets(address.parse().unwrap()),
                meets,
                "{socket} {only_v6:?} {address}"
            );
        }
    }
}
