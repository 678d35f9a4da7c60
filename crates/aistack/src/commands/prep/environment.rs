//! `aistack prep env`: the values for an .env file.

use std::path::PathBuf;

use aistack_extras::prep::toolkit;
use aistack_extras::prep::{Plan, env};
use aistack_machine::output;
use anyhow::{Context, Result};

use super::{Args, check_writer};
use crate::cli::Verdict;

#[derive(Debug, clap::Args)]
pub(super) struct Env {
    /// The file [default: .env of the configuration folder]
    target: Option<PathBuf>,

    /// Print the difference and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn merge(args: &Args, plan: &Plan, how: &Env) -> Result<Verdict> {
    let path = how
        .target
        .clone()
        .unwrap_or_else(|| plan.config_root.join(".env"));
    let path =
        std::path::absolute(&path).with_context(|| format!("{} is no path", path.display()))?;
    let toolkit = toolkit::look(plan, &args.root);
    let merge = env::plan(plan, &toolkit.cards, &path)?;
    if !how.dry_run {
        check_writer(plan)?;
        merge.write()?;
    }
    if args.json {
        output::print_json(&serde_json::json!({
            "schema": 1,
            "file": merge.path,
            "written": merge.changes() && !how.dry_run,
            "added": merge.added,
            "kept": merge.kept,
            "no_model": merge.no_model,
            "diff": merge.diff(),
        }))?;
        return Ok(Verdict::AsDeclared);
    }
    let shown = merge.path.display();
    if how.dry_run {
        output::print(&merge.diff())?;
    } else if merge.changes() {
        output::print(&format!("added {} to {shown}\n", merge.added.join(", ")))?;
    } else {
        output::print(&format!("{shown} has every value\n"))?;
    }
    if !merge.kept.is_empty() {
        eprintln!("aistack: your own {} stay", merge.kept.join(", "));
    }
    if let Some(why) = &merge.no_model {
        eprintln!("aistack: no model is proposed, since {why}");
    }
    Ok(Verdict::AsDeclared)
}
