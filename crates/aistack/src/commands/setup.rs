//! `aistack setup`: what a service needs done once it runs.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use aistack_host::podman::Podman;
use anyhow::Result;

use super::select::{self, search_path};
use crate::cli::Verdict;

/// A service that has just become healthy may still restart once (a database ends its
/// first initialisation so): a command is tried again before it has failed.
const ATTEMPTS: u32 = 5;
const WAIT: Duration = Duration::from_secs(2);

/// Run a service's own setup commands in its container
///
/// Runs after the start of the container's unit, once it is healthy.
/// The commands are such that running them again does no harm (CREATE … IF NOT EXISTS).
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all done, 1 one failed, 2 could not run.")]
pub struct Args {
    /// The service
    service: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = select::load(&args.stack)?;
    loaded.check_owner()?;
    let service = loaded.service(&args.service)?;
    if service.setup.is_empty() {
        return Ok(Verdict::AsDeclared);
    }
    let podman = Podman::new(search_path().as_deref())?;
    for command in &service.setup {
        let mut attempt = 1;
        while let Err(error) = podman.exec(&service.container, command) {
            if attempt == ATTEMPTS {
                eprintln!(
                    "aistack: {}: setup failed ({}): {error}",
                    args.service, service.option
                );
                return Ok(Verdict::Differs);
            }
            attempt += 1;
            thread::sleep(WAIT);
        }
    }
    Ok(Verdict::AsDeclared)
}
