//! The real curl, asked for one file from a certain byte on.
//!
//! The data comes through a pipe, so that it is hashed while it comes and a full
//! disk is our own error, not curl's. URL and token go through curl's standard
//! input: on a command line every user of the machine could read them.
//!
//! curl's own `--retry` is not used: it throws away what it has fetched.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use aistack_machine::command::{self, CommandError, find};

use crate::models::error::FetchError;

/// Before what `--write-out` says, on a line of its own.
const MARK: &str = "aistack-curl";
/// Slower than this for the whole stall time-out is a stall, in bytes a second.
const STALL_RATE: &str = "1024";
/// How long the question for the size may take.
const HEAD_LIMIT: Duration = Duration::from_mins(1);
/// The longest wait that a server may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(10);

/// The curl program and how patient it is.
#[derive(Clone, Debug)]
pub struct Curl {
    program: PathBuf,
    connect: Duration,
    stall: Duration,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The whole URL.
    pub url: &'a str,
    /// A bearer token.
    pub token: Option<&'a str>,
}

/// How a transfer ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// curl's exit code; none: a signal ended it.
    pub code: Option<i32>,
    /// The HTTP status of the last answer; 0: none came.
    pub status: u16,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// What curl said, on one line.
    pub said: String,
}

/// What to do after a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All there is has come.
    Complete,
    /// The server can't go on from the middle.
    Anew,
    /// Trying again may help.
    Again,
    /// Trying again won't help.
    Never,
}

impl Ended {
    /// What to do now. The codes are those of curl(1), "EXIT CODES".
    pub fn verdict(&self) -> Verdict {
        match self.code {
            Some(0) => Verdict::Complete,
            // The server has no ranges, or answers with another one than was asked for.
            Some(33 | 36) => Verdict::Anew,
            Some(22) => match self.status {
                // There is more here than the server has: of another file, then.
                416 => Verdict::Anew,
                // Time-outs of the server, and those that ask to come back later.
                408 | 425 | 429 => Verdict::Again,
                400..=499 => Verdict::Never,
                _ => Verdict::Again,
            },
            // Protocol, options, URL, redirects without end, certificates.
            Some(1..=4 | 47 | 58 | 59 | 60 | 66 | 77 | 83 | 90 | 91) => Verdict::Never,
            _ => Verdict::Again,
        }
    }
}

impl Curl {
    /// Finds the program in `path` (the value of `PATH`), then in the usual places.
    pub fn new(
        path: Option<&OsStr>,
        connect: Duration,
        stall: Duration,
    ) -> Result<Self, CommandError> {
        let program = find(Path::new("/"), path, &[], "curl")
            .ok_or(CommandError::NotFound { program: "curl" })?;
        Ok(Self {
            program,
            connect,
            stall,
        })
    }

    fn command(&self, url: &str) -> Command {
        let mut command = Command::new(&self.program);
        // First, or ~/.curlrc is read before it.
        command.arg("--disable");
        command.args(["--config", "-", "--silent", "--show-error", "--fail"]);
        command.args(["--location", "--max-redirs", "10", "--globoff"]);
        command.args(["--proto", "=http,https"]);
        if url.starts_with("https://") {
            command.args(["--proto-redir", "=https"]);
        }
        command.arg("--connect-timeout");
        command.arg(self.connect.as_secs_f64().to_string());
        command.args(["--speed-limit", STALL_RATE, "--speed-time"]);
        // Whole seconds: curl takes no fractions here, and 0 for never.
        command.arg(self.stall.as_secs().max(1).to_string());
        command
    }

    /// The size of the file in bytes, where the server tells without sending it.
    pub fn size(&self, request: Request) -> Option<u64> {
        let mut command = self.command(request.url);
        command.args(["--head", "--output", "/dev/null"]);
        command.args(["--write-out", "%header{content-length}"]);
        let done = command::run(command, Some(config(request)), HEAD_LIMIT).ok()?;
        if !done.status.success() {
            return None;
        }
        std::str::from_utf8(&done.stdout).ok()?.trim().parse().ok()
    }

    /// Fetches from byte `from` on; `take` gets the pipe and reads it to its end.
    pub fn fetch(
        &self,
        request: Request,
        from: u64,
        take: impl FnOnce(&mut ChildStdout) -> Result<(), FetchError>,
    ) -> Result<Ended, FetchError> {
        let mut command = self.command(request.url);
        command.arg("--write-out").arg(format!(
            "%{{stderr}}\n{MARK} %{{http_code}} %header{{retry-after}}\n"
        ));
        if from > 0 {
            command.arg("--continue-at").arg(from.to_string());
        }
        let start = |cause| CommandError::Start {
            program: self.program.clone(),
            cause,
        };
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        if let Some(mut pipe) = child.stdin.take() {
            // A curl that ends without reading closes the pipe; its code tells.
            drop(pipe.write_all(&config(request)));
        }
        let stderr = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut bytes = Vec::new();
                // What came before an error still counts.
                drop(pipe.read_to_end(&mut bytes));
                bytes
            })
        });
        let taken = match child.stdout.take() {
            Some(mut pipe) => take(&mut pipe),
            None => Ok(()),
        };
        if taken.is_err() {
            // Nobody reads on, so it would only notice at its next byte.
            drop(child.kill());
        }
        let status = child.wait().map_err(start)?;
        let said = stderr
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default();
        taken?;
        Ok(ended(status.code(), &String::from_utf8_lossy(&said)))
    }
}

/// What curl reads from its standard input. `url` and `token` were checked to
/// hold neither quotes, backslashes nor ends of lines.
fn config(request: Request) -> Vec<u8> {
    let mut text = format!("url = \"{}\"\n", request.url);
    if let Some(token) = request.token {
        // curl doesn't send it to another host when it is redirected there.
        text.push_str("header = \"Authorization: Bearer ");
        text.push_str(token);
        text.push_str("\"\n");
    }
    text.into_bytes()
}

fn ended(code: Option<i32>, stderr: &str) -> Ended {
    let mut said = Vec::new();
    let (mut status, mut retry_after) = (0, None);
    for line in stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if let Some(rest) = line.strip_prefix(MARK) {
            let mut words = rest.split_ascii_whitespace();
            status = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            retry_after = words
                .next()
                .and_then(|word| word.parse().ok())
                .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
        } else {
            said.push(line);
        }
    }
    Ended {
        code,
        status,
        retry_after,
        said: if said.is_empty() {
            match code {
                Some(code) => format!("curl ended with exit code {code}"),
                None => "curl was ended by a signal".to_owned(),
            }
        } else {
            said.join("; ")
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_curl_said_its_status_and_the_wait_that_was_asked_for() {
        let seen = ended(
            Some(22),
            "curl: (22) The requested URL returned error: 429\n\naistack-curl 429 7\n",
        );
        assert_eq!(
            seen,
            Ended {
                code: Some(22),
                status: 429,
                retry_after: Some(Duration::from_secs(7)),
                said: "curl: (22) The requested URL returned error: 429".to_owned(),
            }
        );
        assert_eq!(seen.verdict(), Verdict::Again);
        let seen = ended(Some(28), "aistack-curl 200 Wed, 21 Oct\n");
        assert_eq!((seen.status, seen.retry_after), (200, None));
        assert_eq!(
            ended(Some(22), "aistack-curl 429 999999999\n").retry_after,
            Some(LONGEST_RETRY_AFTER)
        );
        assert_eq!(ended(None, "").said, "curl was ended by a signal");
    }

    #[test]
    fn what_may_help() {
        for (code, status, verdict) in [
            (Some(0), 200, Verdict::Complete),
            (Some(33), 200, Verdict::Anew),
            (Some(22), 404, Verdict::Never),
            (Some(22), 416, Verdict::Anew),
            (Some(22), 503, Verdict::Again),
            (Some(60), 0, Verdict::Never),
            // Cut in the middle; no connection; no name (yet).
            (Some(18), 200, Verdict::Again),
            (Some(7), 0, Verdict::Again),
            (Some(6), 0, Verdict::Again),
            (None, 0, Verdict::Again),
        ] {
            let seen = Ended {
                code,
                status,
                retry_after: None,
                said: String::new(),
            };
            assert_eq!(seen.verdict(), verdict, "{code:?} {status}");
        }
    }
}
