//! `aistack ollama-load`: the models that ollama shall have.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::command::search_path;
use aistack_machine::output::parse_seconds;
use aistack_machine::podman::Podman;
use aistack_provision::models::{Ollama, with_tag};
use aistack_schema::Loaded;
use aistack_schema::{Probe, Service};
use anyhow::{Result, bail};

use super::select;
use crate::cli::Verdict;

/// The service that is asked.
const SERVICE: &str = "ollama";
/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How long one question whether it answers may take.
const PROBE: Duration = Duration::from_secs(5);
const PROBE_INTERVAL: Duration = Duration::from_millis(500);

/// Runs in the container; $1 is the name, $2 the path. Nothing of theirs is
/// taken for shell, and the file of ollama's own format lies in the container's
/// /tmp for as long as it takes.
const IMPORT: &str = r#"file=$(mktemp) && printf 'FROM %s\n' "$2" >"$file" && ollama create "$1" -f "$file"
code=$?
rm -f "$file"
exit "$code""#;

/// Have ollama pull models, or take files, until its library has them
///
/// Waits until ollama answers, then brings each model that it does not list yet.
/// A download that fails is tried again, each time after a wait twice as long (at
/// most 60 s). One that can't be had does not stop the others; what failed is said
/// at the end.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 it has all of them, 1 one is missing, 2 could not run.")]
pub struct Args {
    /// Models to pull, as ollama names them: llama3.2:3b
    #[arg(value_name = "NAME", required_unless_present = "imports", value_parser = parse_name)]
    names: Vec<String>,

    /// The stack.json that declares ollama [default: the system's or the user's, where it does]
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,

    /// Make the model NAME from a file; PATH is what the container sees (may be given more than once)
    #[arg(long = "import", value_name = "NAME=PATH", value_parser = parse_import)]
    imports: Vec<Import>,

    /// Seconds to wait until ollama answers
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = parse_seconds)]
    timeout: Duration,

    /// Seconds that ollama may say nothing during a download before it is asked again
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = parse_seconds)]
    stall_timeout: Duration,

    /// How often a download is tried
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,

    /// Seconds between the first two attempts
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    wait: Duration,
}

/// A model that is made from a file.
#[derive(Clone, Debug)]
struct Import {
    name: String,
    path: String,
}

fn parse_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("not a name that ollama takes: letters, digits and - _ . : /".to_owned())
    }
}

fn parse_import(text: &str) -> Result<Import, String> {
    let (name, path) = text.split_once('=').ok_or("not NAME=PATH")?;
    let name = parse_name(name)?;
    if !path.starts_with('/') || path.chars().any(char::is_control) {
        return Err("PATH must be absolute, as the container sees it, and one line".to_owned());
    }
    let path = path.to_owned();
    Ok(Import { name, path })
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = find(args.stack.as_deref())?;
    let service = loaded.service(SERVICE)?;
    let podman = if args.imports.is_empty() {
        None
    } else {
        // Pulls go over HTTP, which anybody may; another user's podman can't be reached.
        loaded.check_owner()?;
        Some(Podman::new(search_path().as_deref())?)
    };
    let ollama = wait_for(&loaded, service, args.timeout)?;
    let there = match ollama.models() {
        Ok(there) => there,
        Err(error) => bail!("ollama's library could not be listed: {error}"),
    };

    let mut failures = Vec::new();
    for name in &args.names {
        if there.contains(&with_tag(name)) {
            println!("{name}: is there");
        } else if let Err(failure) = pull(&ollama, name, args) {
            eprintln!("aistack: {name}: {failure}");
            failures.push(format!("{name}: {failure}"));
        }
    }
    for import in &args.imports {
        let (name, path) = (&import.name, &import.path);
        if there.contains(&with_tag(name)) {
            println!("{name}: is there");
            continue;
        }
        println!("{name}: is made from {path}");
        let Some(podman) = &podman else { continue };
        let command = ["sh", "-c", IMPORT, "sh", name, path].map(str::to_owned);
        match podman.exec(&service.container, &command) {
            Ok(()) => println!("{name}: is there now"),
            Err(error) => failures.push(format!(
                "{name}: {path} was not taken by {}: {error}; is it there inside the container?",
                service.container
            )),
        }
    }
    if failures.is_empty() {
        return Ok(Verdict::AsDeclared);
    }
    eprintln!(
        "aistack: ollama lacks {} of {}:\n  {}",
        failures.len(),
        args.names.len() + args.imports.len(),
        failures.join("\n  ")
    );
    Ok(Verdict::Differs)
}

/// The stack that has ollama.
fn find(file: Option<&Path>) -> Result<Loaded> {
    select::one(
        file,
        |stack| stack.services.contains_key(SERVICE),
        "declares services.aiStack.ollama",
    )
}

/// Waits for the health of the service.
fn wait_for(loaded: &Loaded, service: &Service, limit: Duration) -> Result<Ollama> {
    let Some(probe @ Probe::Http(http)) = &service.health else {
        bail!(
            "{} gives {SERVICE} no HTTP health probe, which says where it answers: switch again, \
             or name another file with --stack",
            loaded.path.display()
        );
    };
    let deadline = Instant::now() + limit;
    let mut told = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let outcome = aistack_checks::probe::run(probe, PROBE.min(left).max(PROBE_INTERVAL));
        let Err(error) = outcome.result else {
            return Ok(Ollama::at(&http.url));
        };
        if Instant::now() + PROBE_INTERVAL >= deadline {
            bail!(
                "ollama did not answer within {} s ({}: {error}): `systemctl{} status {}` shows \
                 whether it runs",
                limit.as_secs_f64(),
                aistack_checks::probe::target(probe),
                loaded.stack.scope.flag(),
                service.unit
            );
        }
        if !told {
            println!("waiting for ollama ({})", http.url);
            told = true;
        }
        thread::sleep(PROBE_INTERVAL);
    }
}

fn pull(ollama: &Ollama, name: &str, args: &Args) -> Result<(), String> {
    let mut wait = args.wait;
    for attempt in 1.. {
        println!("{name}: pulling (attempt {attempt} of {})", args.attempts);
        let error = match ollama.pull(name, args.stall_timeout, &mut |line| {
            println!("{name}: {line}");
        }) {
            Ok(()) => break,
            Err(error) => error,
        };
        if error.is_permanent() {
            return Err(format!("ollama can't have it: {error}"));
        }
        if attempt >= args.attempts {
            return Err(format!("{attempt} attempts failed, the last with: {error}"));
        }
        eprintln!("{name}: {error}; next attempt in {} s", wait.as_secs_f64());
        thread::sleep(wait);
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    println!("{name}: is there now");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_something_else_are_refused() {
        for name in ["llama3.2:3b", "hf.co/a/b_c:Q4_K_M"] {
            assert!(parse_name(name).is_ok(), "{name}");
        }
        for name in ["", "-h", "a b", "a\nb", "a;b", "a=b"] {
            assert!(parse_name(name).is_err(), "{name}");
        }
        assert!(parse_import("a:1=/models/a=b.gguf").is_ok());
        for import in ["a", "a=b.gguf", "=/b", "a=/b\nSYSTEM x"] {
            assert!(parse_import(import).is_err(), "{import}");
        }
    }
}
