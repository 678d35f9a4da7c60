//! All parts of the preparation, and the report of them.

use std::fmt::Write as _;
use std::path::Path;

use aistack_extras::prep::directories::{self, Share};
use aistack_extras::prep::glove::{self, Glove};
use aistack_extras::prep::ports::{self, Port};
use aistack_extras::prep::record::{self, Record};
use aistack_extras::prep::runtime::{Engine, Runtimes};
use aistack_extras::prep::toolkit::{self, Toolkit};
use aistack_extras::prep::{Check, Finding, Plan, env, network};
use aistack_machine::output::{self, BAD, GOOD, paint};
use anyhow::Result;

use super::installed::installed;
use super::{Args, check_writer, is_well, lines, now, runtimes, seconds};
use crate::cli::Verdict;

/// What all of it looked at.
pub(super) struct Seen {
    runtimes: Runtimes,
    toolkit: Toolkit,
    glove: Glove,
    ports: Vec<Port>,
    port_checks: Vec<Check>,
    network: Check,
}

impl Seen {
    pub(super) fn look(plan: &Plan, root: &Path) -> Self {
        let runtimes = runtimes();
        let toolkit = toolkit::look(plan, root);
        let glove = glove::look(&plan.expected_location, &runtimes);
        let (ports, port_checks) = ports::look(plan, root, &glove.containers);
        let network = network::look(&runtimes, &plan.network_name);
        Self {
            runtimes,
            toolkit,
            glove,
            ports,
            port_checks,
            network,
        }
    }

    /// All lines, those of the folders in their place.
    pub(super) fn checks(&self, folders: Vec<Check>) -> Vec<Check> {
        let mut checks = self.runtimes.checks.clone();
        checks.extend(self.toolkit.checks.iter().cloned());
        checks.extend(folders);
        checks.extend(self.port_checks.iter().cloned());
        checks.push(self.network.clone());
        checks.push(installed(&self.glove));
        checks
    }
}

pub(super) fn everything(args: &Args, plan: &Plan) -> Result<Verdict> {
    check_writer(plan)?;
    let seen = Seen::look(plan, &args.root);
    let mut made = match directories::prepare(plan, &args.root, Share::Write, &now()) {
        Ok(mut made) => {
            made.push(Check::ok(
                "data",
                format!("{} is prepared", plan.data_root.display()),
            ));
            made
        }
        Err(error) => vec![Check::not_ok(
            "data",
            error.to_string(),
            "then run `aistack prep` again",
        )],
    };
    // Not where the folder of the configuration could not be made.
    if made.iter().all(|check| check.finding != Finding::NotOk) {
        made.push(fragment(plan, &seen.toolkit));
    }
    let checks = seen.checks(made);
    save(args, plan, &seen, checks)
}

/// The `.env` of the configuration, in one line.
fn fragment(plan: &Plan, toolkit: &Toolkit) -> Check {
    let path = plan.config_root.join(".env");
    let shown = path.display();
    let merged =
        env::plan(plan, &toolkit.cards, &path).and_then(|merge| merge.write().map(|()| merge));
    match merged {
        Err(error) => Check::not_ok(
            "env",
            error.to_string(),
            "then run `aistack prep env` again",
        ),
        Ok(merge) => {
            let mut what = if merge.changes() {
                format!("added {} to {shown}", merge.added.join(", "))
            } else {
                format!("{shown} has every value")
            };
            if !merge.kept.is_empty() {
                what = format!("{what}; your own {} stay", merge.kept.join(", "));
            }
            if let Some(why) = &merge.no_model {
                what = format!("{what}; no model is proposed, since {why}");
            }
            Check::ok("env", what)
        }
    }
}

/// Whether the folders are there, without making them.
pub(super) fn folders(plan: &Plan) -> Vec<Check> {
    let missing: Vec<&str> = directories::FOLDERS
        .into_iter()
        .filter(|name| !plan.data_root.join(name).is_dir())
        .collect();
    let shown = plan.data_root.display();
    vec![if missing.is_empty() {
        Check::ok("data", format!("{shown} is prepared"))
    } else {
        Check::not_ok(
            "data",
            format!("{shown} lacks {}", missing.join(", ")),
            "run `aistack prep prepare-directories`",
        )
    }]
}

pub(super) fn save(args: &Args, plan: &Plan, seen: &Seen, checks: Vec<Check>) -> Result<Verdict> {
    let well = is_well(&checks);
    let record = Record {
        schema: record::SCHEMA,
        prepared: well,
        prepared_at: seconds(jiff::Timestamp::now()),
        data_root: plan.data_root.clone(),
        config_root: plan.config_root.clone(),
        expected_location: plan.expected_location.clone(),
        docker_available: seen.runtimes.has(Engine::Docker),
        podman_available: seen.runtimes.has(Engine::Podman),
        nvidia_toolkit_available: seen.toolkit.nvidia,
        gpu_detected: seen.toolkit.gpu_detected(),
        ports: seen.ports.clone(),
        checks,
    };
    // What was seen is told also where it can't be kept.
    let saved = record.save(plan);
    if args.json {
        output::print_json(&record)?;
    } else {
        let mut text = lines(&record.checks);
        let _ = writeln!(
            text,
            "\n{}",
            if well {
                paint("this machine is ready for AI-Optimizer", GOOD)
            } else {
                paint("this machine is not ready for AI-Optimizer yet", BAD)
            },
        );
        if saved.is_ok() {
            let _ = writeln!(text, "report: {}", plan.status_file.display());
        }
        output::print(&text)?;
    }
    saved?;
    Ok(Verdict::of(well))
}
