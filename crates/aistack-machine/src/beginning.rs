//! The beginning of what a program writes, where the whole may be far too long.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::text;

/// How much of each stream of a log is read, in bytes. What engines say of their
/// devices stands in the first kilobytes after the model's own list of tokens.
const MAX_LOG: u64 = 4 * 1024 * 1024;

/// The beginning of what a program writes to both of its streams, within a
/// bounded time. It is stopped when that is enough.
pub fn beginning(mut command: Command, limit: Duration) -> Result<String, String> {
    let line = crate::command::line(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("`{line}` could not be started: {error}"))?;
    let deadline = Instant::now() + limit;
    let streams = [
        child.stdout.take().map(read_in_thread),
        child.stderr.take().map(read_in_thread),
    ];
    let mut written = String::new();
    let mut is_whole = true;
    for stream in streams.into_iter().flatten() {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok(bytes) = stream.recv_timeout(left) else {
            drop(child.kill());
            drop(child.wait());
            return Err(format!("`{line}` gave no answer within {limit:?}"));
        };
        is_whole &= (bytes.len() as u64) < MAX_LOG;
        written.push_str(&String::from_utf8_lossy(&bytes));
        written.push('\n');
    }
    if !is_whole {
        drop(child.kill());
    }
    match child.wait() {
        Ok(status) if !status.success() && is_whole => Err(format!(
            "`{line}` failed: {}",
            text::line(&written, text::QUOTE)
        )),
        Ok(_) => Ok(written),
        Err(error) => Err(format!("`{line}` could not be waited for: {error}")),
    }
}

fn read_in_thread(stream: impl Read + Send + 'static) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error still counts.
        let _: io::Result<usize> = stream.take(MAX_LOG).read_to_end(&mut bytes);
        drop(sender.send(bytes));
    });
    receiver
}
