//! Questions to servers over the network, each with one deadline for everything it does
//! and a bounded number of bytes that it reads, whatever the other side sends: a server
//! that hangs, drips single bytes or never stops talking costs its time-out and some
//! kilobytes.

mod http;
mod wire;

use std::fmt;
use std::io;
use std::time::Duration;

pub use http::{Answer, Method, Request, client, exchange, get};
pub use wire::{postgres, redis, tcp};

/// A service that answered as a healthy one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Well {
    /// What it answered, in few words: `200 OK`, `PONG`.
    pub answer: String,
}

/// Why a service is not well.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Nothing takes connections there.
    #[error("connection refused: nothing listens there")]
    Refused,
    /// No verdict within the time-out.
    #[error("{stage} within {} s", Seconds(*limit))]
    TimedOut {
        /// What did not happen.
        stage: Stage,
        /// The time-out.
        limit: Duration,
    },
    /// It answered HTTP, but not with a 2xx status.
    #[error("answered status {code}{}", Excerpt(body))]
    Status {
        /// The status code.
        code: u16,
        /// The beginning of the body, on one line; empty: none.
        body: String,
    },
    /// It sent a redirect; it isn't followed, since the health path itself must answer.
    #[error("answered status {code}, a redirect to {location:?}")]
    Redirect {
        /// The status code.
        code: u16,
        /// Where to.
        location: String,
    },
    /// The service itself says that it can't serve now.
    #[error("answered that it is not ready: {answer}")]
    NotReady {
        /// Its words.
        answer: String,
    },
    /// What came isn't the protocol.
    #[error("answered something that is not {protocol}: {seen}")]
    Garbage {
        /// The protocol that was expected.
        protocol: &'static str,
        /// The beginning of what came, or what was wrong with it.
        seen: String,
    },
    /// The other side closed the connection before it had answered.
    #[error("closed the connection without an answer")]
    Closed,
    /// The URL can't be used.
    #[error("{url:?} is no URL that can be asked: {why}")]
    Url {
        /// The URL.
        url: String,
        /// Why.
        why: String,
    },
    /// Anything else that the system says of the connection.
    #[error("connection failed: {0}")]
    Io(io::Error),
}

/// How far a probe had come when its time was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Still connecting.
    Connect,
    /// Connected, but the answer didn't come (or not whole).
    Answer,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Answer => "connected, but no complete answer",
        })
    }
}

/// A duration as seconds without needless zeros: `5`, `0.3`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.as_secs_f64())
    }
}

struct Excerpt<'a>(&'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}
