//! `aistack check`: whether the machine is as the stack declares it.

use std::time::Duration;

use aistack_checks::finding::Check;
use aistack_checks::report::{self, Report};
use aistack_checks::stack::{examine, user_scope};
use aistack_machine::output::{self, parse_seconds};
use aistack_machine::users;
use aistack_schema::Scope;
use anyhow::{Result, bail};

use super::select::Selection;
use crate::cli::Verdict;

/// Check that the declared services run, listen where they should, and are well
///
/// For each service: its unit is active, its ports listen on the declared
/// addresses and no wider ones, its health probe is answered, its data
/// directories are there, its databases and collections hold what is declared, and
/// an engine computes on what was declared for it. For a user's stack also what
/// rootless containers need of the host. All probes run at the same time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 everything is as declared, 1 something is not, 2 could not run."
)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Seconds that each health probe may take
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    timeout: Duration,

    /// Check only what rootless containers need of the host, not the services;
    /// without a stack.json for the user who runs this
    #[arg(long, conflicts_with_all = ["names", "system"])]
    preflight: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "tap")]
    json: bool,

    /// Print TAP version 14
    #[arg(long)]
    tap: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let checks = if args.preflight {
        preflight(&args.selection)?
    } else {
        let stacks = args.selection.load()?;
        for loaded in &stacks {
            loaded.check_owner()?;
        }
        let Selection { names, root, .. } = &args.selection;
        examine(&stacks, names, root, args.timeout)
    };
    let report = Report::new(checks);
    if args.json {
        output::print_json(&report)?;
    } else if args.tap {
        output::print(&report::tap(&report))?;
    } else {
        output::print(&report::text(&report))?;
    }
    Ok(Verdict::of(report.not_ok == 0))
}

/// What rootless containers need, for the user's stack, or without one (before
/// the first activation) for the user who runs this.
fn preflight(selection: &Selection) -> Result<Vec<Check>> {
    let root = &selection.root;
    if selection.files.is_empty() {
        return match users::current() {
            Some(user) => Ok(user_scope(root, &user)),
            None => bail!(
                "who runs this is unknown: user id {} is not in /etc/passwd and USER is unset",
                users::effective_uid()
            ),
        };
    }
    let (stacks, _) = selection.find()?;
    let mut checks = Vec::new();
    for loaded in &stacks {
        loaded.check_owner()?;
        // The system's containers need nothing of this.
        if let (Scope::User, Some(user)) = (loaded.stack.scope, &loaded.stack.user) {
            checks.extend(user_scope(root, user));
        }
    }
    Ok(checks)
}
