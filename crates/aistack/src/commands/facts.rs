//! `aistack facts`: this machine's hardware, for the Nix side.

use anyhow::Result;

use crate::cli::Verdict;

/// Print this machine's hardware as facts for the Nix modules.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn run(_args: &Args) -> Result<Verdict> {
    Ok(Verdict::AsDeclared)
}
