//! Whether AI-Optimizer is installed, and whether it runs.

use std::fmt::Write as _;

use aistack_extras::prep::glove::{self, Glove, State};
use aistack_extras::prep::record::Record;
use aistack_extras::prep::{Check, Finding, Plan};
use aistack_machine::output::{self, UNSURE, paint};
use anyhow::Result;

use super::{Args, lines, runtimes, tell};
use crate::cli::Verdict;

pub(super) fn installed(glove: &Glove) -> Check {
    let check = match (&glove.compose_file, &glove.unsure) {
        (Some(file), _) => Check::ok(
            "installed",
            format!(
                "AI-Optimizer is installed ({}) and {}",
                file.display(),
                match glove.state {
                    State::Running => format!("runs: {}", glove.containers.join(", ")),
                    _ => "stopped: its functions are unavailable until it is started".to_owned(),
                }
            ),
        ),
        (None, Some(why)) => {
            return Check::skipped("installed", format!("whether it is installed: {why}"));
        }
        (None, None) => Check::info(
            "installed",
            "AI-Optimizer is not installed; that is for you to do, whenever you like",
        ),
    };
    match &glove.unsure {
        Some(why) => Check::skipped("installed", format!("{}; {why}", check.message)),
        None => check,
    }
}

pub(super) fn check_installed(args: &Args, plan: &Plan) -> Result<Verdict> {
    let location = plan.expected_location.display();
    let (found, check) = match glove::installed(&plan.expected_location) {
        Ok(Some(file)) => (
            Some(file.clone()),
            Check::ok(
                "installed",
                format!("AI-Optimizer is installed: {}", file.display()),
            ),
        ),
        Ok(None) => (
            None,
            Check::info(
                "installed",
                format!("AI-Optimizer is not installed: {location} has no compose file"),
            ),
        ),
        Err(why) => (None, Check::skipped("installed", why)),
    };
    let more = serde_json::json!({
        "installed": found.is_some(),
        "expected_location": plan.expected_location,
        "compose_file": found,
    });
    tell(args, &[check], more)
}

pub(super) fn status(args: &Args, glove: &Glove) -> Result<Verdict> {
    if args.json {
        output::print_json(&serde_json::json!({
            "schema": 1,
            "status": glove.state,
            "containers": glove.containers,
            "compose_file": glove.compose_file,
            "unsure": glove.unsure,
        }))?;
    } else {
        output::print(&format!("{}\n", glove.state.word()))?;
        if let Some(why) = &glove.unsure {
            eprintln!("aistack: {why}");
        }
    }
    Ok(Verdict::AsDeclared)
}

pub(super) fn info(args: &Args, plan: &Plan) -> Result<Verdict> {
    let record = Record::load(&plan.status_file)?;
    let glove = glove::look(&plan.expected_location, &runtimes());
    if args.json {
        output::print_json(&serde_json::json!({
            "schema": 1,
            "status": glove.state,
            "unsure": glove.unsure,
            "status_file": plan.status_file,
            "record": record,
        }))?;
        return Ok(Verdict::AsDeclared);
    }
    let mut text = String::new();
    match &record {
        None => {
            let _ = writeln!(
                text,
                "not prepared yet: {} is not there; run `aistack prep`",
                plan.status_file.display()
            );
        }
        Some(record) => {
            let _ = writeln!(
                text,
                "{} at {}",
                if record.prepared {
                    "prepared"
                } else {
                    "not ready"
                },
                record.prepared_at
            );
            let bad: Vec<Check> = record
                .checks
                .iter()
                .filter(|check| check.finding == Finding::NotOk)
                .cloned()
                .collect();
            text.push_str(&lines(&bad));
        }
    }
    let ports: Vec<String> = plan
        .ports
        .iter()
        .map(|(name, port)| format!("{name} {}", port.port))
        .collect();
    let _ = write!(
        text,
        "data:      {}\nconfig:    {}\ncheckout:  {}\nports:     {}\nstatus:    {}\n",
        plan.data_root.display(),
        plan.config_root.display(),
        plan.expected_location.display(),
        ports.join(", "),
        glove.state.word()
    );
    if let Some(why) = &glove.unsure {
        let _ = writeln!(text, "           {}", paint(why, UNSURE));
    }
    if glove.state == State::NotInstalled {
        let _ = write!(
            text,
            "\nnext steps, whenever you like:\n  1. put your AI-Optimizer into {}\n  2. aistack prep \
             env {}/.env\n  3. start it there with compose\n",
            plan.expected_location.display(),
            plan.expected_location.display()
        );
    }
    output::print(&text)?;
    Ok(Verdict::AsDeclared)
}
