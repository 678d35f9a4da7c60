//! Sockets that wait for peers, with what the kernel knows of them.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::SocketsError;
use super::diag;
use crate::Protocol;
use crate::address::{self, Bound};

/// One socket that waits for peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it waits.
    pub local: SocketAddr,
    /// Inode, as in a process's `fd/N -> socket:[inode]`; 0: none any more.
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
        super::waiting(root)
    }

    /// The local address; an IPv4-mapped IPv6 one as IPv4.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        address::canonical(self.local.ip())
    }

    /// What it listens on, for the rule of [`address`].
    #[must_use]
    pub fn bound(&self) -> Bound {
        Bound {
            address: self.address(),
            only_v6: self.only_v6,
        }
    }
}
