//! Whether a text is Nix, within a bounded time.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// The longest text that is parsed, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;
/// How long parsing may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The parser calls itself for each level of nesting: enough for a text of nothing else.
const STACK: usize = 256 * 1024 * 1024;

/// Nothing when it parses, else what is wrong with it.
///
/// # Errors
/// When it is empty, too long, no Nix, or not parsed in time.
pub fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() > MAX_TEXT {
        return Err(format!("it is longer than {} KiB", MAX_TEXT / 1024));
    }
    let (sender, receiver) = mpsc::channel();
    let text = text.to_owned();
    // Left to itself when it takes too long: a thread can't be stopped.
    thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || {
            let parsed = rnix::Root::parse(&text);
            let error = parsed.errors().first().map(ToString::to_string);
            drop(sender.send(error));
            // Taking a deep tree down recurses as well; the process ends soon anyhow.
            std::mem::forget(parsed);
        })
        .map_err(|error| format!("it could not be parsed: {error}"))?;
    match receiver.recv_timeout(LIMIT) {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(error),
        Err(_) => Err(format!("it was not parsed within {} s", LIMIT.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nix_is_told_from_what_is_not() {
        assert_eq!(check("{ services.x.enable = true; }"), Ok(()));
        for text in [
            "",
            "{ a = ; }",
            "here is your configuration:",
            &"(".repeat(60_000),
        ] {
            assert!(check(text).is_err());
        }
        assert!(check(&" ".repeat(MAX_TEXT + 1)).is_err());
        assert!(check(&format!("1{}", " ".repeat(MAX_TEXT))).is_err());
    }
}
