//! `tcp`: whether a TCP port takes connections.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::Duration;

use aistack_schema::Protocol;
use serde::Deserialize;

use super::Action;
use crate::fields::{PortOf, Rules, present, yes};
use crate::machine::{StepResult, failed};
use crate::plan::{Planned, PlannedParts, Planner};

/// A TCP port and whether it takes connections.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(transform = crate::schema::port))]
pub struct Tcp {
    /// Address of the host [default: 127.0.0.1].
    #[serde(default, deserialize_with = "present")]
    address: Option<IpAddr>,
    /// Number of the port.
    #[serde(default, deserialize_with = "present")]
    number: Option<NonZeroU16>,
    /// The service whose port it is.
    #[serde(default, deserialize_with = "present")]
    service: Option<String>,
    /// Name of the service's port [default: its first].
    #[serde(default, deserialize_with = "present")]
    port: Option<String>,
    /// Whether it must take connections [default: true].
    #[serde(default = "yes")]
    open: bool,
}

impl Tcp {
    fn of(&self) -> PortOf {
        PortOf {
            address: self.address,
            number: self.number,
            protocol: None,
            service: self.service.clone(),
            port: self.port.clone(),
        }
    }
}

impl Action for Tcp {
    fn rules(&self) -> Result<(), &'static str> {
        self.of().check()
    }

    fn plan(&self, planner: &Planner<'_>) -> PlannedParts {
        let (protocol, at) = planner.port(&self.of())?;
        if protocol != Protocol::Tcp {
            return Err(format!("{at} is a port of UDP, and tcp connects"));
        }
        let open = self.open;
        let what = if open { "takes" } else { "takes no" };
        let name = format!("{at} {what} connections");
        Ok(vec![Planned::new(name, move |_, bounds| {
            connect(at, open, bounds.limit)
        })])
    }

    fn changes(&self) -> bool {
        false
    }
}

fn connect(at: SocketAddr, open: bool, limit: Duration) -> StepResult {
    match (TcpStream::connect_timeout(&at, limit), open) {
        (Ok(_), true) => Ok(()),
        (Ok(_), false) => Err(failed(format!("{at} takes connections"))),
        // Refused is closed; a network that drops packets is as good.
        (Err(error), false)
            if matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::TimedOut | ErrorKind::WouldBlock
            ) =>
        {
            Ok(())
        }
        (Err(error), _) => Err(failed(format!("{at}: {error}"))),
    }
}
