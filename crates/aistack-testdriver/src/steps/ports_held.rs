//! `take-port`, `release-port`: a port that the driver holds, as another program would.

use std::net::{TcpListener, UdpSocket};

use aistack_schema::Protocol;
use serde::Deserialize;

use super::Action;
use crate::fields::{Checked, PortOf};
use crate::machine::{failed, lock};
use crate::plan::{Planned, PlannedParts, Planner};

/// A socket that holds a port until it is dropped.
pub(crate) enum Socket {
    Tcp { _listener: TcpListener },
    Udp { _socket: UdpSocket },
}

/// The port that is taken.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TakePort(Checked<PortOf>);

impl Action for TakePort {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let (protocol, at) = planner.port(&self.0)?;
        let name = format!("port {at}/{protocol} is taken");
        Ok(vec![Planned::new(name, move |machine, _| {
            let socket = match protocol {
                Protocol::Tcp => TcpListener::bind(at).map(|listener| Socket::Tcp {
                    _listener: listener,
                }),
                Protocol::Udp => UdpSocket::bind(at).map(|socket| Socket::Udp { _socket: socket }),
            };
            let socket = socket.map_err(|error| failed(format!("{at}/{protocol}: {error}")))?;
            lock(&machine.sockets).insert((protocol, at), socket);
            Ok(())
        })])
    }

    fn changes(&self) -> bool {
        true
    }
}

/// The port that is released.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ReleasePort(Checked<PortOf>);

impl Action for ReleasePort {
    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let (protocol, at) = planner.port(&self.0)?;
        let name = format!("port {at}/{protocol} is released");
        Ok(vec![Planned::new(name, move |machine, _| {
            match lock(&machine.sockets).remove(&(protocol, at)) {
                Some(_) => Ok(()),
                None => Err(failed("no step holds it")),
            }
        })])
    }

    fn changes(&self) -> bool {
        true
    }
}
