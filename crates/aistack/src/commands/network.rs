//! `aistack network`: takes away a network that is not as declared.

use std::path::PathBuf;

use aistack_machine::command::search_path;
use aistack_machine::podman::Podman;
use aistack_schema::Loaded;
use anyhow::Result;

use crate::cli::Verdict;

/// Remove the containers' network where it was made with other options
///
/// podman keeps a network as it was made. Runs before `podman network create`, which then
/// makes it as it is declared. A network that containers use stays, and the message says how
/// to have it made again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 2 could not run.")]
pub struct Args {
    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    loaded.check_owner()?;
    let stack = &loaded.stack;
    let podman = Podman::new(search_path().as_deref())?;
    let Some(options) = podman.network_options(&stack.network)? else {
        return Ok(Verdict::AsDeclared);
    };
    let differs: Vec<String> = stack
        .network_options
        .iter()
        .filter(|(key, value)| options.get(*key) != Some(*value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if differs.is_empty() {
        return Ok(Verdict::AsDeclared);
    }
    match podman.remove_network(&stack.network) {
        Ok(()) => println!(
            "network {} was made without {}: removed, to be made again",
            stack.network,
            differs.join(" ")
        ),
        Err(error) => eprintln!(
            "aistack: network {} was made without {}, and stays as it is while containers use it \
             ({error}): `systemctl{} stop {target}`, then `systemctl{} start {target}`",
            stack.network,
            differs.join(" "),
            loaded.stack.scope.flag(),
            loaded.stack.scope.flag(),
            target = stack.target,
        ),
    }
    Ok(Verdict::AsDeclared)
}
