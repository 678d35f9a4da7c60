//! Whether an address of the host is, at this moment, the declared container's.
//!
//! A port number proves nothing. When a container is stopped, any account may listen on a
//! port above 1023 and gets what is sent there. So nothing secret goes to a published port
//! before [`prove`] has said yes:
//!
//! - The container's unit is up. systemd is asked, whose answer no other account can forge.
//! - Each socket of this host that would take the connection is held by a process of the
//!   unit. The kernel's tables tell the socket's inode (`/proc/net/tcp`, `tcp6`), and the
//!   control group of the process that holds it (`/proc/PID/cgroup`,
//!   <https://docs.kernel.org/admin-guide/cgroup-v2.html>); no process can leave a control
//!   group for one that its account may not write to. Names and arguments of processes
//!   prove nothing and are not read. Who holds the port differs: conmon for root's
//!   containers, which keeps it reserved, and rootlessport or pasta for those of a user.
//!   In a user's stack another process of the same user is accepted as well: it could read
//!   the secret's file itself.
//! - No socket at all is right too, as long as the unit is up: then the kernel forwards
//!   the port to the container by itself (destination NAT), before any socket is looked for.
//!
//! What remains is the moment between the proof and the connection; the unit would have to
//! end and a stranger to take the port within it.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::Protocol;
use crate::Scope;
use crate::command::below;
use crate::sockets::{self, SocketsError};
use crate::systemd::{Systemctl, SystemdError, UnitState};
use crate::users;
use crate::{file, holders};

/// The largest `/proc/PID/cgroup` that is read, in bytes.
const MAX_GROUP: u64 = 64 * 1024;

/// Why an address is not known to be the declared container's.
#[derive(Debug, thiserror::Error)]
pub enum NotContained {
    /// The container's unit is not up.
    #[error("{unit} is {state}, so that whatever listens on {address} is not its container")]
    Down {
        /// The unit.
        unit: String,
        /// Its state, in words.
        state: String,
        /// The address.
        address: SocketAddr,
    },
    /// Somebody else listens.
    #[error(
        "the socket on {listening} belongs to user id {uid} and to no process of {unit}: another \
         program has the port. `aistack ports` says which"
    )]
    Stranger {
        /// The unit.
        unit: String,
        /// Where the stranger listens.
        listening: SocketAddr,
        /// The user id that made the socket.
        uid: u32,
    },
    /// systemd could not be asked.
    #[error("the state of {unit} is not known")]
    Unknown {
        /// The unit.
        unit: String,
        /// Why.
        #[source]
        cause: SystemdError,
    },
    /// The sockets could not be read.
    #[error(transparent)]
    Sockets(#[from] SocketsError),
}

/// Proves that a connection to `address` now reaches the container of `unit`.
///
/// Below `root` is the `/proc` that is read.
///
/// # Errors
/// When it does not, or it can't be known.
pub fn prove(
    root: &Path,
    systemctl: &Systemctl,
    unit: &str,
    address: SocketAddr,
) -> Result<(), NotContained> {
    let unknown = |cause| NotContained::Unknown {
        unit: unit.to_owned(),
        cause,
    };
    let state = systemctl
        .show(&[unit])
        .map_err(unknown)?
        .pop()
        .ok_or_else(|| {
            unknown(SystemdError::Missing {
                unit: unit.to_owned(),
            })
        })?;
    if !is_up(&state) {
        return Err(NotContained::Down {
            unit: unit.to_owned(),
            state: state.summary(),
            address,
        });
    }
    let listening: Vec<_> = sockets::waiting(root)?
        .into_iter()
        .filter(|socket| socket.protocol == Protocol::Tcp && takes(socket.local, address))
        .collect();
    if listening.is_empty() {
        return Ok(());
    }
    let own = match &state.control_group {
        Some(group) => inodes(root, group),
        None => BTreeSet::new(),
    };
    let user = (systemctl.scope() == Scope::User).then(users::effective_uid);
    for socket in listening {
        let is_own = socket.inode != 0 && own.contains(&socket.inode);
        if !is_own && user != Some(socket.uid) {
            return Err(NotContained::Stranger {
                unit: unit.to_owned(),
                listening: socket.local,
                uid: socket.uid,
            });
        }
    }
    Ok(())
}

/// Whether the unit's container runs: also while the unit does what is to be done once
/// the container is ready (`ExecStartPost=`), where systemd calls it `activating` still.
#[must_use]
pub fn is_up(state: &UnitState) -> bool {
    state.is_active() || (state.active == "activating" && state.sub == "start-post")
}

/// Whether a socket at `local` takes connections to `address`.
fn takes(local: SocketAddr, address: SocketAddr) -> bool {
    let (at, to) = (local.ip().to_canonical(), address.ip().to_canonical());
    local.port() == address.port()
        && (at == to
            || at == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
            || (at == IpAddr::V4(Ipv4Addr::UNSPECIFIED) && to.is_ipv4()))
}

/// The sockets that the processes of a control group and of those below it hold.
fn inodes(root: &Path, group: &str) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let Ok((_, processes)) = holders::processes(root) else {
        return found;
    };
    for pid in processes {
        let path = below(root, Path::new(&format!("/proc/{pid}/cgroup")));
        // One that has ended, or that this user may not look into, proves nothing.
        let is_within = file::text(&path, MAX_GROUP)
            .is_ok_and(|text| text.lines().any(|line| is_below(line, group)));
        if is_within {
            found.extend(holders::sockets(root, pid));
        }
    }
    found
}

/// Whether a line of `/proc/PID/cgroup` (`0::/a/b`, or `1:name=systemd:/a/b`, the two
/// that systemd manages) is the group or one below it.
fn is_below(line: &str, group: &str) -> bool {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next(), parts.next(), parts.next());
    let managed =
        (number == Some("0") && controllers == Some("")) || controllers == Some("name=systemd");
    managed
        && path
            .and_then(|path| path.strip_prefix(group))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || group.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_take_a_connection() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (local, to, yes) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:81", "127.0.0.1:80", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "[::1]:80", false),
            ("[::]:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::1]:80", "127.0.0.1:80", false),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
        ] {
            assert_eq!(takes(at(local), at(to)), yes, "{local} {to}");
        }
    }

    #[test]
    fn control_groups() {
        let group = "/system.slice/local-ai-x.service";
        for (line, yes) in [
            ("0::/system.slice/local-ai-x.service", true),
            ("0::/system.slice/local-ai-x.service/supervisor", true),
            ("1:name=systemd:/system.slice/local-ai-x.service/a", true),
            ("0::/system.slice/local-ai-x.service.evil", false),
            ("0::/user.slice/system.slice/local-ai-x.service", false),
            // A group of another hierarchy, which systemd does not manage.
            ("4:memory:/system.slice/local-ai-x.service", false),
            ("0::/", false),
            ("", false),
        ] {
            assert_eq!(is_below(line, group), yes, "{line}");
        }
        assert!(is_below("0::/anything", "/"));
    }

    #[test]
    fn a_unit_is_up_once_its_container_runs() {
        let state = |active: &str, sub: &str| UnitState {
            active: active.to_owned(),
            sub: sub.to_owned(),
            ..UnitState::default()
        };
        assert!(is_up(&state("active", "running")));
        assert!(is_up(&state("reloading", "reload")));
        assert!(is_up(&state("activating", "start-post")));
        for (active, sub) in [
            ("activating", "start"),
            ("activating", "start-pre"),
            ("activating", "auto-restart"),
            ("deactivating", "stop"),
            ("inactive", "dead"),
            ("failed", "failed"),
        ] {
            assert!(!is_up(&state(active, sub)), "{active} {sub}");
        }
    }
}
