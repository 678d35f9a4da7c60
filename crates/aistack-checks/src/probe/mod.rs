//! Health probes: is a service well, asked from the host over its own protocol?
//!
//! Each probe has one deadline for everything it does and reads a bounded number
//! of bytes, whatever the other side sends: a server that hangs, drips single
//! bytes or never stops talking costs its time-out and some kilobytes.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::probe::{get, postgres, redis, tcp};
use aistack_schema::Probe;

pub use aistack_machine::probe::{ProbeError, Well};

/// What a probe found and how long it took.
#[derive(Debug)]
pub struct Outcome {
    /// From the first packet to the verdict.
    pub latency: Duration,
    /// Well, or why not.
    pub result: Result<Well, ProbeError>,
}

/// Runs one probe; it ends within `limit` (and the scheduling of its thread).
#[must_use]
pub fn run(probe: &Probe, limit: Duration) -> Outcome {
    let start = Instant::now();
    let result = match probe {
        Probe::Http(http) => get(&http.url, limit),
        Probe::Tcp(socket) => tcp(socket.socket(), limit),
        Probe::Redis(socket) => redis(socket.socket(), limit),
        Probe::Postgres(socket) => postgres(socket.socket(), limit),
    };
    Outcome {
        latency: start.elapsed(),
        result,
    }
}

/// Runs all probes at the same time, each with its own `limit`; outcomes in the
/// order of the probes.
#[must_use]
pub fn run_all(probes: &[&Probe], limit: Duration) -> Vec<Outcome> {
    thread::scope(|scope| {
        let running: Vec<_> = probes
            .iter()
            .map(|probe| {
                thread::Builder::new()
                    .name("probe".to_owned())
                    .spawn_scoped(scope, || run(probe, limit))
            })
            .collect();
        running
            .into_iter()
            .map(|thread| {
                let outcome = thread.and_then(|thread| {
                    thread
                        .join()
                        .map_err(|_| io::Error::other("the probe's thread ended early"))
                });
                outcome.unwrap_or_else(|error| Outcome {
                    latency: Duration::ZERO,
                    result: Err(ProbeError::Io(error)),
                })
            })
            .collect()
    })
}

/// Where a probe connects to, for messages.
#[must_use]
pub fn target(probe: &Probe) -> String {
    let socket = |kind: &str, at: SocketAddr| format!("{kind} {at}");
    match probe {
        Probe::Http(http) => format!("GET {}", http.url),
        Probe::Tcp(probe) => socket("connect", probe.socket()),
        Probe::Redis(probe) => socket("PING", probe.socket()),
        Probe::Postgres(probe) => socket("SSLRequest", probe.socket()),
    }
}
