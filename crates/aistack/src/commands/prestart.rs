//! `aistack unit prestart`: what must hold before a container starts.

use std::path::PathBuf;

use aistack_checks::prestart;
use aistack_schema::Loaded;
use anyhow::Result;

use crate::cli::Verdict;

/// Verify what a service needs before its container starts, and hand its secrets to podman
///
/// Runs before the container in its unit. The services without which it cannot run,
/// secrets, data directories, files, the
/// version of a database's data, databases that look emptied, ports and GPUs are
/// looked at; every problem is printed, with the option to change.
/// One newline at the end of a secret's file is not part of its value.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 it may start, 1 something is missing, 2 could not run.")]
pub struct Args {
    /// The service
    service: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// Look for GPUs (/dev, CDI specs) and podman's networks below this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    loaded.check_owner()?;
    let service = loaded.service(&args.service)?;
    let problems = prestart::problems(&args.root, &loaded, service)?;
    for problem in &problems {
        eprintln!("aistack: {} can't start: {problem}", args.service);
    }
    Ok(Verdict::of(problems.is_empty()))
}
