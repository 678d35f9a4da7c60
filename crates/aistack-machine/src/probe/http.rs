//! The HTTP probe: one GET, whose status is the verdict; and single requests whose
//! answer is wanted.

use std::io::{self, Read};
use std::time::Duration;

use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;
use ureq::{Agent, Timeout};

use super::{ProbeError, Stage, Well};

/// The largest head of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// How much of an error's body is read for the message, in bytes.
const MAX_BODY: u64 = 512;
/// How long an error's body may take: it is only there to explain.
const BODY_LIMIT: Duration = Duration::from_millis(250);

/// Well when a GET is answered with a 2xx status.
///
/// The body of such an answer isn't read. Redirects aren't followed and proxies
/// from the environment aren't used: the service itself must answer.
///
/// # Errors
/// When it is answered otherwise, or not within `limit`.
pub fn get(url: &str, limit: Duration) -> Result<Well, ProbeError> {
    check_port(url)?;
    let mut response = agent(limit, BODY_LIMIT)
        .get(url)
        .header("connection", "close")
        .call()
        .map_err(|error| failed(url, error, limit))?;
    let status = response.status();
    if status.is_success() {
        return Ok(Well {
            answer: format!("status {}", status.as_u16()),
        });
    }
    if status.is_redirection()
        && let Some(location) = response.headers().get("location")
    {
        return Err(ProbeError::Redirect {
            code: status.as_u16(),
            location: crate::text::bytes(location.as_bytes(), 80),
        });
    }
    let mut body = Vec::new();
    // Whatever came before the limit or an error explains as well as it can.
    drop(
        response
            .body_mut()
            .as_reader()
            .take(MAX_BODY)
            .read_to_end(&mut body),
    );
    Err(ProbeError::Status {
        code: status.as_u16(),
        body: crate::text::bytes(&body, 120),
    })
}

/// The settings of every HTTP client of this project: it follows no redirect, uses no
/// proxy of the environment, keeps no connection, and takes each status for an answer.
#[must_use]
pub fn client() -> ConfigBuilder<AgentScope> {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("aistack/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections(0)
}

fn agent(limit: Duration, body_limit: Duration) -> Agent {
    client()
        .timeout_global(Some(limit))
        .timeout_recv_body(Some(body_limit))
        .max_response_header_size(MAX_HEAD)
        // A buffer that a head can fill is taken for the end of the connection.
        .input_buffer_size(2 * MAX_HEAD)
        .output_buffer_size(4 * 1024)
        .build()
        .new_agent()
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Asks.
    Get,
    /// Puts the bytes in its place.
    Put,
    /// Asks for the head alone.
    Head,
    /// Hands the bytes over.
    Post,
    /// Changes what is there by the bytes.
    Patch,
    /// Takes what is there away.
    Delete,
}

/// A request for [`exchange`].
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What it does.
    pub method: Method,
    /// `http://…`
    pub url: &'a str,
    /// Names and values of headers beside those of the protocol.
    pub headers: &'a [(&'a str, &'a str)],
    /// What is sent along; nothing with [`Method::Get`], [`Method::Head`] and
    /// [`Method::Delete`].
    pub body: &'a [u8],
}

/// What was answered, whatever its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Names, in lower case, and values of the headers; bytes that are no text are
    /// replaced.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Sends one request and reads its answer, at most `most` bytes of it. Redirects
/// aren't followed and proxies from the environment aren't used.
///
/// # Errors
/// When there is no whole answer within `limit`, or it has more bytes, or is no HTTP.
/// No error holds a header's value.
pub fn exchange(request: &Request<'_>, limit: Duration, most: usize) -> Result<Answer, ProbeError> {
    let Request { url, .. } = *request;
    check_port(url)?;
    let agent = agent(limit, limit);
    let sent = match request.method {
        Method::Get => with_headers(agent.get(url), request.headers).call(),
        Method::Head => with_headers(agent.head(url), request.headers).call(),
        Method::Delete => with_headers(agent.delete(url), request.headers).call(),
        Method::Put => with_headers(agent.put(url), request.headers).send(request.body),
        Method::Post => with_headers(agent.post(url), request.headers).send(request.body),
        Method::Patch => with_headers(agent.patch(url), request.headers).send(request.body),
    };
    let mut response = sent.map_err(|error| failed(url, error, limit))?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let mut body = Vec::new();
    response
        .body_mut()
        .as_reader()
        .take(most as u64 + 1)
        .read_to_end(&mut body)
        .map_err(|error| failed(url, ureq::Error::from(error), limit))?;
    if body.len() > most {
        return Err(ProbeError::Garbage {
            protocol: "what was asked for",
            seen: format!("a body of more than {} KiB", most / 1024),
        });
    }
    Ok(Answer {
        status,
        headers,
        body,
    })
}

fn with_headers<B>(
    request: ureq::RequestBuilder<B>,
    headers: &[(&str, &str)],
) -> ureq::RequestBuilder<B> {
    headers.iter().fold(
        request.header("connection", "close"),
        |request, (name, value)| request.header(*name, *value),
    )
}

/// ureq takes a port that is out of range for none, and would ask port 80.
fn check_port(url: &str) -> Result<(), ProbeError> {
    let unusable = |why: String| ProbeError::Url {
        url: url.to_owned(),
        why,
    };
    let uri: ureq::http::Uri = url
        .parse()
        .map_err(|error: ureq::http::uri::InvalidUri| unusable(error.to_string()))?;
    let authority = uri
        .authority()
        .ok_or_else(|| unusable("it names no host".to_owned()))?;
    let host_and_port = authority
        .as_str()
        .rsplit_once('@')
        .map_or(authority.as_str(), |(_, rest)| rest);
    if host_and_port.len() > authority.host().len()
        && authority.port_u16().is_none_or(|port| port == 0)
    {
        return Err(unusable("its port is not within 1 to 65535".to_owned()));
    }
    Ok(())
}

fn failed(url: &str, error: ureq::Error, limit: Duration) -> ProbeError {
    let garbage = |seen: String| ProbeError::Garbage {
        protocol: "HTTP",
        seen,
    };
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => ProbeError::TimedOut {
            stage: Stage::Connect,
            limit,
        },
        ureq::Error::Timeout(_) => ProbeError::TimedOut {
            stage: Stage::Answer,
            limit,
        },
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => ProbeError::Refused,
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionAborted => ProbeError::Closed,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ProbeError::TimedOut {
                stage: Stage::Answer,
                limit,
            },
            _ => ProbeError::Io(error),
        },
        ureq::Error::BadUri(why) => ProbeError::Url {
            url: url.to_owned(),
            why,
        },
        ureq::Error::Http(why) => ProbeError::Url {
            url: url.to_owned(),
            why: why.to_string(),
        },
        ureq::Error::HostNotFound => ProbeError::Url {
            url: url.to_owned(),
            why: "its host has no address".to_owned(),
        },
        ureq::Error::LargeResponseHeader(..) => {
            garbage(format!("a head of more than {} KiB", MAX_HEAD / 1024))
        }
        other => garbage(crate::text::bytes(other.to_string().as_bytes(), 120)),
    }
}
