//! Probes that speak over a bare connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{ProbeError, Stage, Well};

/// The longest answer that is read; a RESP status line has some dozens of bytes.
const MAX_ANSWER: usize = 512;

/// `SSLRequest` of the `PostgreSQL` protocol: length 8, code 80877103
/// (`PostgreSQL` documentation, "Message Formats").
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A connection with one deadline for everything that is done with it.
struct Line {
    stream: TcpStream,
    start: Instant,
    limit: Duration,
}

impl Line {
    fn connect(address: SocketAddr, limit: Duration) -> Result<Self, ProbeError> {
        let start = Instant::now();
        let stream =
            TcpStream::connect_timeout(&address, limit).map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => ProbeError::Refused,
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ProbeError::TimedOut {
                    stage: Stage::Connect,
                    limit,
                },
                _ => ProbeError::Io(error),
            })?;
        Ok(Self {
            stream,
            start,
            limit,
        })
    }

    fn timed_out(&self) -> ProbeError {
        ProbeError::TimedOut {
            stage: Stage::Answer,
            limit: self.limit,
        }
    }

    /// What is left of the time; an error when nothing is.
    fn left(&self) -> Result<Duration, ProbeError> {
        self.limit
            .checked_sub(self.start.elapsed())
            .filter(|left| !left.is_zero())
            .ok_or_else(|| self.timed_out())
    }

    fn failed(&self, error: io::Error) -> ProbeError {
        match error.kind() {
            // A socket's time-out is reported as WouldBlock on Linux.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.timed_out(),
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => ProbeError::Closed,
            _ => ProbeError::Io(error),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), ProbeError> {
        let left = self.left()?;
        self.stream
            .set_write_timeout(Some(left))
            .and_then(|()| self.stream.write_all(bytes))
            .map_err(|error| self.failed(error))
    }

    /// Reads until `done` or the longest answer; what came so far when the other side closes.
    fn receive(&mut self, done: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, ProbeError> {
        let mut answer = Vec::new();
        let mut buffer = [0; MAX_ANSWER];
        while !done(&answer) && answer.len() < MAX_ANSWER {
            let left = self.left()?;
            let count = self
                .stream
                .set_read_timeout(Some(left))
                .and_then(|()| self.stream.read(&mut buffer));
            match count {
                Ok(0) => break,
                Ok(count) => answer.extend(buffer.iter().take(count)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        if answer.is_empty() {
            Err(ProbeError::Closed)
        } else {
            Ok(answer)
        }
    }
}

/// Well when a connection is accepted.
///
/// # Errors
/// When it is answered otherwise, or not within `limit`.
pub fn tcp(address: SocketAddr, limit: Duration) -> Result<Well, ProbeError> {
    Line::connect(address, limit)?;
    Ok(Well {
        answer: "accepts connections".to_owned(),
    })
}

/// Well when PING is answered in RESP, be it by an error that asks for a
/// password; a server that says it can't serve (still loading its data, out of
/// connections) is not.
///
/// # Errors
/// When it is answered otherwise, or not within `limit`.
pub fn redis(address: SocketAddr, limit: Duration) -> Result<Well, ProbeError> {
    let mut line = Line::connect(address, limit)?;
    line.send(b"*1\r\n$4\r\nPING\r\n")?;
    // Anything that can't be RESP is known by its first byte.
    let answer = line.receive(|answer| {
        answer.contains(&b'\n') || answer.first().is_some_and(|first| !b"+-".contains(first))
    })?;
    let garbage = || ProbeError::Garbage {
        protocol: "RESP",
        seen: seen(&answer),
    };
    let end = answer
        .windows(2)
        .position(|pair| pair == b"\r\n")
        .ok_or_else(garbage)?;
    let words = crate::text::bytes(answer.get(1..end).unwrap_or_default(), 80);
    match answer.first() {
        Some(b'+') if words == "PONG" => Ok(Well { answer: words }),
        Some(b'-')
            if ["LOADING", "MASTERDOWN", "BUSY", "ERR max number of clients"]
                .iter()
                .any(|busy| words.starts_with(busy)) =>
        {
            Err(ProbeError::NotReady { answer: words })
        }
        Some(b'-') if !words.is_empty() => Ok(Well {
            answer: format!("alive, answers with the error {words:?}"),
        }),
        _ => Err(garbage()),
    }
}

/// Well when the server answers `SSLRequest`: `S` or `N`, or the `E` of an
/// error message, which only a `PostgreSQL` server sends.
///
/// # Errors
/// When it is answered otherwise, or not within `limit`.
pub fn postgres(address: SocketAddr, limit: Duration) -> Result<Well, ProbeError> {
    let mut line = Line::connect(address, limit)?;
    line.send(&SSL_REQUEST)?;
    let answer = line.receive(|answer| !answer.is_empty())?;
    let garbage = || ProbeError::Garbage {
        protocol: "PostgreSQL's protocol",
        seen: seen(&answer),
    };
    match answer.as_slice() {
        b"S" => Ok(Well {
            answer: "answers, with TLS".to_owned(),
        }),
        b"N" => Ok(Well {
            answer: "answers, without TLS".to_owned(),
        }),
        // An ErrorResponse: 'E', a length, then fields that end with a zero.
        [b'E', ..] => line
            .receive_error(answer.clone())
            .map_err(|error| match error {
                ProbeError::Closed => garbage(),
                other => other,
            }),
        _ => Err(garbage()),
    }
}

impl Line {
    /// The rest of an `ErrorResponse` whose beginning has come. SQLSTATE class
    /// 53 and 57 say that the server can't serve now; other codes that it runs.
    fn receive_error(&mut self, mut message: Vec<u8>) -> Result<Well, ProbeError> {
        let complete = |message: &[u8]| message.ends_with(b"\0\0");
        if !complete(&message) {
            let begun = message.clone();
            let whole = |more: &[u8]| complete(&[begun.as_slice(), more].concat());
            message.extend(self.receive(whole)?);
        }
        let garbage = || ProbeError::Garbage {
            protocol: "PostgreSQL's protocol",
            seen: seen(&message),
        };
        let length = message
            .get(1..5)
            .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
            .map(u32::from_be_bytes)
            .ok_or_else(garbage)?;
        if u64::from(length) + 1 != message.len() as u64 {
            return Err(garbage());
        }
        let fields: Vec<&[u8]> = message
            .get(5..)
            .unwrap_or_default()
            .split(|&byte| byte == 0)
            .collect();
        let field = |kind: u8| {
            fields
                .iter()
                .find_map(|field| field.split_first().filter(|(first, _)| **first == kind))
                .map(|(_, value)| crate::text::bytes(value, 80))
                .unwrap_or_default()
        };
        let answer = format!("{} {}", field(b'C'), field(b'M')).trim().to_owned();
        if ["53", "57"].iter().any(|class| answer.starts_with(class)) {
            Err(ProbeError::NotReady { answer })
        } else {
            Ok(Well {
                answer: format!("alive, answers with the error {answer:?}"),
            })
        }
    }
}

fn seen(answer: &[u8]) -> String {
    format!("{:?}", crate::text::bytes(answer, 40))
}
