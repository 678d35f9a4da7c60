//! `aistack unit rotate`: restarts a service whose secrets changed.

use std::path::PathBuf;

use aistack_provision::rotate::rotate;
use aistack_schema::Loaded;
use anyhow::Result;

use crate::cli::Verdict;

/// Restart a service whose secrets are not those that podman has
///
/// Runs when the file of a secret changes. Each file is compared with what podman
/// handed to the container; where one differs, the service's unit is restarted,
/// without waiting for it. Passwords of a database's users are no secrets of podman's:
/// they are set in the running server, without a restart.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 done, or nothing to do; 1 a secret can't be read or the restart \
                  failed; 2 could not run."
)]
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
    Ok(Verdict::of(rotate(&args.service, &loaded, service)?))
}
