//! `aistack unit setup`: the work that a service needs once it runs.

use std::path::PathBuf;

use aistack_provision::setup;
use aistack_schema::Loaded;
use anyhow::Result;

use crate::cli::Verdict;

/// Bring what a service holds to what is declared, once it runs
///
/// Runs after the start of the container's unit, once it is healthy: the service's
/// own commands in its container; the users, databases, extensions and migrations of a
/// database server; the collections of a vector database. Running it again does no
/// harm, and nothing that is there is changed or deleted: what differs is said.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all done, 1 something failed, 2 could not run.")]
pub struct Args {
    /// The service
    service: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    loaded.check_owner()?;
    let service = loaded.service(&args.service)?;
    Ok(Verdict::of(setup::bring(&args.service, &loaded, service)?))
}
