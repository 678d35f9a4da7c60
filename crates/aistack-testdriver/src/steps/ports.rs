//! `ports`: whether the declared ports listen on their addresses and no wider ones.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use aistack_machine::sockets::{Exposure, Listening};
use aistack_schema::Protocol;
use serde::Deserialize;

use super::Action;
use crate::fields::present;
use crate::machine::{Machine, StepResult, failed, none_of};
use crate::plan::{NamedService, Planned, PlannedParts, Planner};

/// How long a connection that should be refused is waited for.
const REFUSED: Duration = Duration::from_secs(1);

/// The services whose ports are compared.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ports {
    /// The service [default: each one of the stack].
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// Another address of this machine, on which a port that is declared for loopback
    /// must take no connection.
    #[serde(default, deserialize_with = "present")]
    closed_on: Option<IpAddr>,
}

impl Action for Ports {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let closed_on = self.closed_on;
        planner.each(self.service.as_ref(), |service| {
            let name = format!("{} listens as declared", service.name);
            Planned::new(name, move |machine, _| {
                compare(machine, &service, closed_on)
            })
        })
    }

    fn changes(&self) -> bool {
        false
    }
}

fn compare(machine: &Machine, service: &NamedService, closed_on: Option<IpAddr>) -> StepResult {
    let listening = listening(machine)?;
    let mut wrong = Vec::new();
    for port in &service.ports {
        let at = format!("{} {}/{}", port.name, port.socket(), port.protocol);
        match listening.exposure(port.protocol, port.socket()) {
            Exposure::AsDeclared => {}
            Exposure::Nothing => wrong.push(format!("{at}: nothing listens there")),
            Exposure::Wider(seen) => wrong.push(format!("{at}: it listens on {seen}")),
            Exposure::Elsewhere(_) => wrong.push(format!("{at}: it listens elsewhere")),
        }
    }
    for port in &service.ports {
        let Some(at) = closed_on
            .filter(|_| port.protocol == Protocol::Tcp && port.address.is_loopback())
            .map(|address| SocketAddr::new(address, port.host.get()))
        else {
            continue;
        };
        if TcpStream::connect_timeout(&at, REFUSED).is_ok() {
            wrong.push(format!("{} takes connections on {at}", port.name));
        }
    }
    none_of(&wrong)
}

/// The machine's listening sockets.
pub(super) fn listening(machine: &Machine) -> StepResult<Listening> {
    Listening::read(&machine.root).map_err(failed)
}
