//! `aistack images`.
use crate::cli::Verdict;
use anyhow::Result;
/// Images
#[derive(Debug, clap::Args)]
pub struct Args {}
/// Runs the command.
pub fn run(_: &Args) -> Result<Verdict> {
    Ok(Verdict::AsDeclared)
}
