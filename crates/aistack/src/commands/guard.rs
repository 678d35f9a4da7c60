//! `aistack guard`: closes the containers of the system scope to other machines.

use std::path::{Path, PathBuf};

use aistack_machine::guard::{self, Backend};
use aistack_schema::Loaded;
use aistack_schema::Scope;
use anyhow::{Result, bail};

use crate::cli::Verdict;

/// Close the containers to other machines, other networks and other accounts
///
/// Puts firewall rules in place, in a table of their own: published ports stay as they are
/// declared, and nothing else of the containers can be reached. Runs before the first
/// container, and again when the machine's firewall is loaded again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 closed, 2 could not be closed.")]
pub struct Args {
    /// The stack.json of the system scope
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    if loaded.stack.scope != Scope::System {
        bail!(
            "{} is a user's stack, whose containers only that user's processes reach: it needs no \
             rules",
            args.stack.display()
        );
    }
    let backend = guard::close(Path::new("/"), &loaded.stack.network)?;
    println!(
        "network {} is closed to other machines ({})",
        loaded.stack.network,
        match backend {
            Backend::Nftables => "nftables",
            Backend::Iptables => "iptables",
        }
    );
    Ok(Verdict::AsDeclared)
}
