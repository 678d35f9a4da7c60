//! `aistack facts`: this machine's hardware, for the Nix side.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aistack_facts::{Facts, Saved};
use anyhow::{Context as _, Result};

use crate::cli::Verdict;

/// Print this machine's hardware as facts for the Nix modules.
///
/// Facts hold what the modules decide by (processor, memory, GPUs and what they
/// can be used with, firmware, file systems …) and nothing that changes by
/// itself or identifies the machine, so that they can lie in git.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read the machine whose proc/, sys/, etc/ and run/ lie below DIR
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,

    /// Fill what can't be seen here from a report of nixos-facter; what differs is noted
    #[arg(long, value_name = "FILE")]
    facter: Option<PathBuf>,

    /// Print Nix text instead of JSON
    #[arg(long)]
    nix: bool,

    /// Write to FILE, all or nothing; a file that holds something else is refused
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace FILE whatever it holds
    #[arg(long, requires = "output")]
    force: bool,

    /// Print what differs from the facts in FILE (JSON); exit code 1 when something does
    #[arg(long, value_name = "FILE", conflicts_with_all = ["nix", "output"])]
    check: Option<PathBuf>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    // Before the machine is read: a wrong FILE is the user's first concern.
    let declared = match &args.check {
        Some(path) => Some((path, aistack_facts::declared(path)?)),
        None => None,
    };

    let report = args
        .facter
        .as_deref()
        .map(aistack_facts::Report::load)
        .transpose()?;

    let reading = aistack_facts::read_with(&args.root, report.as_ref())?;
    for note in &reading.notes {
        let _ = writeln!(io::stderr(), "aistack: note: {note}");
    }
    let facts = &reading.facts;

    if let Some((path, declared)) = declared {
        return check(path, args, &declared, facts);
    }
    let text = if args.nix {
        aistack_facts::nix::print_facts(facts).context("cannot print the facts as Nix text")?
    } else {
        facts.to_json()
    };
    match &args.output {
        None => print(&text)?,
        Some(path) => {
            let path_text = path.display();
            match aistack_facts::save(path, &text, args.force)? {
                Saved::Written => print(&format!("wrote {path_text}\n"))?,
                Saved::Unchanged => print(&format!("{path_text} is up to date\n"))?,
            }
        }
    }
    Ok(Verdict::AsDeclared)
}

/// Prints the differences as a list, and how to declare the machine as it is.
fn check(path: &Path, args: &Args, declared: &serde_json::Value, facts: &Facts) -> Result<Verdict> {
    let differences = aistack_facts::drift(declared, facts);
    let path = path.display();
    let count = match differences.len() {
        0 => {
            print(&format!("{path}: as declared\n"))?;
            return Ok(Verdict::AsDeclared);
        }
        1 => "1 fact is".to_owned(),
        n => format!("{n} facts are"),
    };
    let list: String = differences
        .iter()
        .flat_map(|difference| ["  ".to_owned(), difference.to_string(), "\n".to_owned()])
        .collect();
    let mut again = match args.root.to_str() {
        Some("/") => String::new(),
        _ => format!("--root {} ", args.root.display()),
    };
    if let Some(report) = &args.facter {
        let _ = write!(again, "--facter {} ", report.display());
    }
    print(&format!(
        "{path}: {count} not as declared (declared → now)\n\
         {list}\
         To declare the machine as it is now: aistack facts {again}-o {path}\n"
    ))?;
    Ok(Verdict::Differs)
}

/// To stdout; a reader that has gone away (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}
