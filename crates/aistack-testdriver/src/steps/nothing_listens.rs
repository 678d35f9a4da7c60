//! `nothing-listens`: whether no socket listens on a port, whatever its address.

use std::net::{IpAddr, SocketAddr};

use aistack_machine::sockets::Exposure;
use aistack_schema::Protocol;
use serde::Deserialize;

use super::Action;
use super::ports::listening;
use crate::fields::{Checked, PortOf};
use crate::machine::{Machine, StepResult, failed};
use crate::plan::{Planned, PlannedParts, Planner};

/// The port that must be free.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct NothingListens(Checked<PortOf>);

impl Action for NothingListens {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let (protocol, at) = planner.port(&self.0)?;
        let name = format!("nothing listens on port {}/{protocol}", at.port());
        Ok(vec![Planned::new(name, move |machine, _| {
            free(machine, protocol, at)
        })])
    }

    fn changes(&self) -> bool {
        false
    }
}

fn free(machine: &Machine, protocol: Protocol, at: SocketAddr) -> StepResult {
    let on = |address: &IpAddr| SocketAddr::new(*address, at.port()).to_string();
    let seen = match listening(machine)?.exposure(protocol, at) {
        Exposure::Nothing => return Ok(()),
        Exposure::AsDeclared => at.to_string(),
        Exposure::Wider(address) => on(&address),
        Exposure::Elsewhere(addresses) => addresses.iter().map(on).collect::<Vec<_>>().join(", "),
    };
    Err(failed(format!("something listens on {seen}")))
}
