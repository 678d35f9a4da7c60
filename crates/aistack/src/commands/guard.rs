//! `aistack guard`: closes the containers of the system scope to other machines.

use std::path::{Path, PathBuf};

use aistack_machine::guard::{Backend, Firewall, GuardError, Network};
use aistack_schema::{Scope, Stack};
use anyhow::{Result, bail};

use super::select::{self, search_path};
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
    let loaded = select::load(&args.stack)?;
    if loaded.stack.scope != Scope::System {
        bail!(
            "{} is a user's stack, whose containers only that user's processes reach: it needs no \
             rules",
            args.stack.display()
        );
    }
    let backend = close(Path::new("/"), &loaded.stack)?;
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

/// Puts the rules in place, for the network that podman describes below `root`.
///
/// # Errors
/// When the machine has no firewall that takes them, or the network is not there.
pub fn close(root: &Path, stack: &Stack) -> Result<Backend, GuardError> {
    let network = Network::read(root, &stack.network)?;
    Firewall::new(Path::new("/"), search_path().as_deref()).close(&stack.network, &network)
}
