//! Whether a text is Nix, within a bounded time.

use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use aistack_machine::command;

/// The longest text that is parsed, in bytes.
pub const MAX_TEXT: usize = 64 * 1024;
/// How long parsing may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The parser calls itself for each level of nesting: enough for a text of nothing else.
const STACK: usize = 256 * 1024 * 1024;
/// How long an evaluation may take.
const EVALUATION: Duration = Duration::from_secs(10);
/// Memory that nix may have, in KiB. Its own bound is that of the machine.
const MEMORY: &str = "2097152";

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

/// A nix that answers.
#[derive(Clone, Debug)]
pub struct Nix {
    program: PathBuf,
}

impl Nix {
    /// This program, when it can evaluate as bounded as texts of strangers need.
    ///
    /// # Errors
    /// When it can't: what was seen.
    pub fn new(program: PathBuf) -> Result<Self, String> {
        let nix = Self { program };
        match nix.check("{ }") {
            Ok(()) => Ok(nix),
            Err(seen) => Err(format!("{} does not work: {seen}", nix.program.display())),
        }
    }

    /// Nothing when the text evaluates to a set or a function, as a module is; else what
    /// is wrong with it. It is given no file, no address and no store to build in.
    ///
    /// # Errors
    /// When it doesn't evaluate, or not in time.
    pub fn check(&self, text: &str) -> Result<(), String> {
        // The shell only bounds the memory.
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "ulimit -v $0 && exec \"$@\"", MEMORY])
            .arg(&self.program)
            .args(["eval", "--extra-experimental-features", "nix-command"])
            .args(["--store", "dummy://", "--offline"])
            .args(["--option", "pure-eval", "true"])
            .args(["--option", "restrict-eval", "true"])
            .args(["--option", "allow-import-from-derivation", "false"])
            .args([
                "--option",
                "allow-unsafe-native-code-during-evaluation",
                "false",
            ])
            .args(["--raw", "--apply", "builtins.typeOf", "--expr", text]);
        let done = match command::run(command, None, EVALUATION) {
            Ok(done) => done,
            Err(command::CommandError::TimedOut { .. }) => {
                return Err(format!("it took longer than {} s", EVALUATION.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        };
        if !done.status.success() {
            // The trace stands before the error itself.
            let said = aistack_machine::text::without_hidden(&done.stderr);
            let last = said.rsplit("error: ").next().unwrap_or_default();
            return Err(last.chars().take(200).collect());
        }
        match done.stdout.trim_ascii() {
            b"set" | b"lambda" => Ok(()),
            other => Err(format!(
                "it is no module: a value of type {}",
                aistack_machine::text::without_hidden(&String::from_utf8_lossy(other))
                    .chars()
                    .take(20)
                    .collect::<String>()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With a nix alone: `cargo test -- --ignored`.
    #[test]
    #[ignore = "needs nix, or AISTACK_NIX"]
    fn nix_tells_what_does_not_evaluate_and_lends_nothing() {
        let program = std::env::var_os("AISTACK_NIX").unwrap_or_else(|| "nix".into());
        let nix = Nix::new(program.into()).unwrap();
        assert_eq!(nix.check("{ pkgs, ... }: { a = pkgs.b; }"), Ok(()));
        for (text, word) in [
            ("{ a = b; }", "undefined variable"),
            ("\"text\"", "type string"),
            ("let x = x; in x", "infinite recursion"),
            ("builtins.readFile \"/etc/passwd\"", "forbidden"),
            ("import <nixpkgs> { }", "pure evaluation"),
            (
                "builtins.fetchurl { url = \"http://127.0.0.1:1/\"; sha256 = \"\"; }",
                "forbidden",
            ),
            (
                "import \"${derivation { name = \"x\"; system = \"x86_64-linux\"; builder = \"/bin/sh\"; }}/x\"",
                "dummy",
            ),
        ] {
            let seen = nix.check(text).unwrap_err();
            assert!(seen.contains(word), "{text}: {seen}");
        }
        // Whichever bound it meets first.
        let large =
            "builtins.deepSeq (builtins.genList (x: builtins.genList (y: x) 1000000) 999) 1";
        let seen = nix.check(large).unwrap_err();
        assert!(
            seen.contains("out of memory") || seen.contains("longer than"),
            "{seen}"
        );
    }

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
