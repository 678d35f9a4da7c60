//! What listens, held against what is declared.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::path::Path;

use aistack_machine::address::{self, Fit};
use aistack_machine::cgroup::{Manager, UnitState, Units};
use aistack_machine::owner::{Owner, PortsError, Resolver, Seen, holders};
use aistack_machine::sockets::Socket;
use aistack_machine::users;
use aistack_schema::{Protocol, Scope, Stack};
use serde::Serialize;

use crate::ports::advice::{self, Advice};

/// A port of one declared service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Declared {
    /// Name of the service.
    pub service: String,
    /// Scope of its stack.
    pub scope: Scope,
    /// Owner of its stack in user scope.
    pub user: Option<String>,
    /// Where it shall listen.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// The option that says so.
    pub option: String,
    /// The unit that shall have it.
    pub unit: String,
    /// The container that shall have it.
    pub container: String,
    /// What that unit does now.
    pub state: UnitState,
    /// Whose systemd runs it; none: the user's id is not known.
    #[serde(skip)]
    manager: Option<Manager>,
}

impl Declared {
    /// Every port of the stacks.
    #[must_use]
    pub fn all(root: &Path, stacks: &[&Stack]) -> Vec<Self> {
        let units = Units::new(root);
        stacks
            .iter()
            .flat_map(|stack| {
                let manager = manager(root, stack);
                stack.services.iter().flat_map({
                    let units = &units;
                    move |(name, service)| {
                        let state = match manager {
                            Some(manager) if !service.ports.is_empty() => {
                                units.state(manager, &service.unit)
                            }
                            _ => UnitState::Unknown,
                        };
                        service.ports.iter().map(move |port| Self {
                            service: name.clone(),
                            scope: stack.scope,
                            user: stack.user.clone(),
                            address: port.address,
                            port: port.host.get(),
                            protocol: port.protocol,
                            option: port.option.clone(),
                            unit: service.unit.clone(),
                            container: service.container.clone(),
                            state,
                            manager,
                        })
                    }
                })
            })
            .collect()
    }

    /// Whether the owner of a socket is this service.
    pub(crate) fn is_of(&self, owner: &Owner) -> bool {
        let manager_fits = |manager: Manager| match (self.scope, self.manager) {
            (_, Some(mine)) => mine == manager,
            (Scope::User, None) => matches!(manager, Manager::User(_)),
            (Scope::System, None) => manager == Manager::System,
        };
        let by_unit =
            owner.unit.as_ref() == Some(&self.unit) && owner.manager.is_some_and(manager_fits);
        let by_container = owner
            .container
            .as_ref()
            .is_some_and(|container| container.name.as_ref() == Some(&self.container))
            && match self.manager {
                Some(Manager::User(uid)) => owner.account == Some(uid),
                Some(Manager::System) => owner.account == Some(0),
                // Whose it must be is not known, so nobody can prove to be it.
                None => false,
            };
        by_unit || by_container
    }

    /// Whether a socket whose process is hidden can't be this service's.
    fn excludes(&self, owner: &Owner) -> bool {
        let other_user = match self.manager {
            Some(Manager::User(uid)) => owner.uid != uid,
            Some(Manager::System) => owner.uid != 0,
            None => false,
        };
        other_user || self.state == UnitState::Stopped
    }
}

fn manager(root: &Path, stack: &Stack) -> Option<Manager> {
    match (stack.scope, &stack.user) {
        (Scope::System, _) => Some(Manager::System),
        (Scope::User, None) => Some(Manager::User(users::effective_uid())),
        (Scope::User, Some(name)) => users::uid_of(root, name).map(Manager::User),
    }
}

/// How a declared port and what listens fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The declared service has it.
    Ours,
    /// Nobody has it, and the service isn't running.
    Free,
    /// Somebody else has it.
    Foreign,
    /// The service runs and nothing listens.
    Missing,
    /// The service listens there on another address than declared.
    WrongAddress,
    /// Somebody has it who could not be seen; it may be the service.
    Unknown,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Free => "free",
            Self::Foreign => "foreign",
            Self::Missing => "missing",
            Self::WrongAddress => "wrong address",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a switch goes well with it.
    #[must_use]
    pub fn is_well(self) -> bool {
        matches!(self, Self::Ours | Self::Free)
    }
}

/// One line of the table: a socket, a declared port, or both.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row {
    /// The port.
    pub port: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where it is listened on; none: nowhere.
    pub address: Option<IpAddr>,
    /// Who listens.
    pub owner: Option<Owner>,
    /// What is declared for the port.
    pub declared: Option<Declared>,
    /// How they fit; none: nothing is declared.
    pub verdict: Option<Verdict>,
}

/// Two declared ports that can't both be opened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// One of them.
    pub one: Declared,
    /// The other.
    pub other: Declared,
}

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Survey {
    /// By port, protocol and address.
    pub rows: Vec<Row>,
    /// Ports that are declared twice.
    pub declared_twice: Vec<Claim>,
    /// What to do about each foreign owner and each port that is declared twice.
    pub advice: Vec<Advice>,
    /// How many sockets have an owner who could not be seen.
    pub hidden_owners: usize,
    /// How many processes did not show their sockets.
    pub hidden_processes: usize,
}

impl Survey {
    /// Whether a switch would not clash and what runs is as declared.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.declared_twice.is_empty()
            && self
                .rows
                .iter()
                .filter_map(|row| row.verdict)
                .all(Verdict::is_well)
    }
}

/// Looks at every listening socket below `root` and holds it against `declared`.
///
/// # Errors
/// When sockets or processes can't be read.
pub fn survey(root: &Path, declared: &[Declared]) -> Result<Survey, PortsError> {
    let sockets = Socket::all(root)?;
    let holders = holders(root, &sockets)?;
    let mut resolver = Resolver::new(root, &holders);
    let found: Vec<(Socket, Owner)> = sockets
        .into_iter()
        .map(|socket| (socket, resolver.owner(&socket)))
        .collect();
    let hidden_owners = found
        .iter()
        .filter(|(_, owner)| owner.seen == Seen::Hidden)
        .count();

    let mut rows = judge(&found, declared);
    // A row is of hundreds of bytes: each is moved once.
    rows.sort_by_cached_key(|row| {
        let option = row
            .declared
            .as_ref()
            .map(|declared| declared.option.clone());
        (row.port, row.protocol, row.address, option)
    });
    let declared_twice = twice(declared);
    let advice = advice::all(&rows, &declared_twice, declared, &found);
    Ok(Survey {
        rows,
        declared_twice,
        advice,
        hidden_owners,
        hidden_processes: holders.hidden,
    })
}

fn judge(found: &[(Socket, Owner)], declared: &[Declared]) -> Vec<Row> {
    let mut by_port: HashMap<(Protocol, u16), Vec<usize>> = HashMap::new();
    for (at, (socket, _)) in found.iter().enumerate() {
        by_port
            .entry((socket.protocol, socket.local.port()))
            .or_default()
            .push(at);
    }
    let mut told = BTreeSet::new();
    let mut rows = Vec::new();
    for port in declared {
        let mut listens = false;
        let numbers = by_port.get(&(port.protocol, port.port));
        let on_port: Vec<(usize, &(Socket, Owner))> = numbers
            .into_iter()
            .flatten()
            .filter_map(|&at| Some((at, found.get(at)?)))
            .collect();
        // Of a declared :: a socket on 0.0.0.0 is one half, when the other is there as well.
        let whole = on_port.iter().any(|(_, (socket, owner))| {
            port.is_of(owner) && socket.bound().fit(port.address) == Fit::AsDeclared
        });
        for (at, (socket, owner)) in on_port {
            let Some(verdict) = verdict(port, declared, socket, owner, whole) else {
                continue;
            };
            listens = true;
            told.insert(at);
            rows.push(row(socket, owner, Some((port, verdict))));
        }
        if !listens {
            rows.push(Row {
                port: port.port,
                protocol: port.protocol,
                address: None,
                owner: None,
                declared: Some(port.clone()),
                verdict: Some(match port.state {
                    UnitState::Running => Verdict::Missing,
                    _ => Verdict::Free,
                }),
            });
        }
    }
    rows.extend(
        found
            .iter()
            .enumerate()
            .filter(|(at, _)| !told.contains(at))
            .map(|(_, (socket, owner))| row(socket, owner, None)),
    );
    rows
}

/// What a socket is to a declared port; none: nothing.
fn verdict(
    port: &Declared,
    declared: &[Declared],
    socket: &Socket,
    owner: &Owner,
    whole: bool,
) -> Option<Verdict> {
    if port.is_of(owner) {
        match socket.bound().fit(port.address) {
            Fit::AsDeclared => return Some(Verdict::Ours),
            Fit::Half if whole => return Some(Verdict::Ours),
            _ => {}
        }
        // Another port of the same service may have this number and that address.
        let another = declared.iter().any(|other| {
            (&other.unit, other.manager, other.port, other.protocol)
                == (&port.unit, port.manager, port.port, port.protocol)
                && socket.bound().fit(other.address) == Fit::AsDeclared
        });
        return (!another).then_some(Verdict::WrongAddress);
    }
    if !socket.bound().blocks(port.address) {
        return None;
    }
    let unseen = matches!(owner.seen, Seen::Hidden);
    Some(if unseen && !port.excludes(owner) {
        Verdict::Unknown
    } else {
        Verdict::Foreign
    })
}

fn row(socket: &Socket, owner: &Owner, declared: Option<(&Declared, Verdict)>) -> Row {
    Row {
        port: socket.local.port(),
        protocol: socket.protocol,
        address: Some(socket.address()),
        owner: Some(owner.clone()),
        declared: declared.map(|(declared, _)| declared.clone()),
        verdict: declared.map(|(_, verdict)| verdict),
    }
}

/// Pairs of declared ports that meet. Ports of one service are its own matter.
fn twice(declared: &[Declared]) -> Vec<Claim> {
    let mut pairs = Vec::new();
    for (at, one) in declared.iter().enumerate() {
        for other in declared.iter().skip(at + 1) {
            if (one.port, one.protocol) == (other.port, other.protocol)
                && (&one.unit, one.manager) != (&other.unit, other.manager)
                && address::meet(one.address, other.address)
            {
                pairs.push(Claim {
                    one: one.clone(),
                    other: other.clone(),
                });
            }
        }
    }
    pairs
}
