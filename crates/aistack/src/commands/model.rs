//! `aistack model`: the declared model files.

use std::path::PathBuf;
use std::time::Duration;

use aistack_machine::command::search_path;
use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD, UNSURE, parse_seconds};
use aistack_provision::models::{FetchError, Fetched, Settings, State, fetch, mib, state, verify};
use aistack_schema::Loaded;
use aistack_schema::Model;
use anyhow::{Context, Result};
use serde::Serialize;

use crate::cli::Verdict;

/// Fetch the declared model files, and say which are there
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Fetch(FetchArgs),
    List(ListArgs),
}

/// Bring one model to its path: nothing is done when it is there with the declared hash
///
/// Runs in the model's unit, and may be run by hand. Downloads with curl, goes on
/// from what an earlier attempt left, and puts nothing in place whose SHA-256 is
/// another. A file that was copied there by hand is taken by its hash; one with
/// another hash is left alone and said.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 the model is there, 1 it is not, 2 could not run.")]
struct FetchArgs {
    /// The model
    name: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// How often in a row an attempt may bring nothing new
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    attempts: u32,

    /// Seconds after the first of them; each further wait is twice as long, at most 60
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = parse_seconds)]
    wait: Duration,

    /// Seconds that a connection may take
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = parse_seconds)]
    connect_timeout: Duration,

    /// Whole seconds that less than 1 KiB/s may come before it is tried again
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = parse_seconds)]
    stall_timeout: Duration,
}

/// Show the declared models: there, partly there, missing, or with a wrong hash
///
/// A hash that was seen is remembered beside the file with its size and time of
/// change, so that nothing large is read here; --verify reads all of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all are there, 1 one is not, 2 could not run.")]
struct ListArgs {
    /// The stack.json that declares them
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// Read every file and compare its hash
    #[arg(long)]
    verify: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema: u64,
    models: Vec<ModelReport<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ModelReport<'a> {
    name: &'a str,
    /// present, partial, missing, wrong-hash, unusable
    state: &'static str,
    /// Whether the file's hash was seen to be the declared one.
    verified: bool,
    path: &'a PathBuf,
    unit: &'a str,
    option: &'a str,
    sha256: &'a str,
    /// The other hash that was seen.
    seen: Option<String>,
    #[serde(rename = "sizeMiB")]
    size_mib: Option<u64>,
    /// What was fetched so far of one that is partly there.
    #[serde(rename = "fetchedMiB")]
    fetched_mib: Option<u64>,
    /// Why it is unusable.
    why: Option<String>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    match &args.command {
        Command::Fetch(args) => run_fetch(args),
        Command::List(args) => list(args),
    }
}

/// How long another `aistack model fetch` of the same model may bring nothing new: longer
/// than all of its own attempts in a row.
const PATIENCE: Duration = Duration::from_mins(15);

fn run_fetch(args: &FetchArgs) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    loaded.check_owner()?;
    let model = model(&loaded, &args.name)?;
    let settings = Settings {
        attempts: args.attempts,
        wait: args.wait,
        connect: args.connect_timeout,
        stall: args.stall_timeout,
        patience: PATIENCE,
        path: search_path(),
    };
    let path = model.path.display();
    match fetch(&args.name, model, &settings, &mut |line| println!("{line}")) {
        Ok(how) => {
            println!(
                "{}: {path} {}",
                args.name,
                match how {
                    Fetched::Known => "is there, unchanged since its hash was seen",
                    Fetched::Verified => "is there, with the declared hash",
                    Fetched::Downloaded => "is there now, with the declared hash",
                }
            );
            Ok(Verdict::AsDeclared)
        }
        Err(error @ FetchError::Curl(_)) => Err(error.into()),
        Err(error) => {
            eprintln!(
                "aistack: no model {} ({}): {error}",
                args.name, model.option
            );
            Ok(Verdict::Differs)
        }
    }
}

fn model<'a>(loaded: &'a Loaded, name: &str) -> Result<&'a Model> {
    loaded.stack.models.get(name).with_context(|| {
        let known: Vec<&str> = loaded.stack.models.keys().map(String::as_str).collect();
        format!(
            "{} has no model {name}: {}",
            loaded.path.display(),
            if known.is_empty() {
                "services.aiStack.models declares none".to_owned()
            } else {
                format!("known are {}", known.join(", "))
            }
        )
    })
}

fn list(args: &ListArgs) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    let report = Report {
        schema: 1,
        models: loaded
            .stack
            .models
            .iter()
            .map(|(name, model)| {
                let state = if args.verify {
                    verify(name, model)
                } else {
                    state(name, model)
                };
                describe(name, model, state)
            })
            .collect(),
    };
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    let all_there = report.models.iter().all(|model| model.state == "present");
    Ok(Verdict::of(all_there))
}

fn describe<'a>(name: &'a str, model: &'a Model, state: State) -> ModelReport<'a> {
    let mut report = ModelReport {
        name,
        state: "missing",
        verified: false,
        path: &model.path,
        unit: &model.unit,
        option: &model.option,
        sha256: &model.sha256,
        seen: None,
        size_mib: model.size_mib,
        fetched_mib: None,
        why: None,
    };
    match state {
        State::Present { verified } => {
            report.state = "present";
            report.verified = verified;
        }
        State::Partial { bytes } => {
            report.state = "partial";
            report.fetched_mib = Some(mib(bytes));
        }
        State::Missing => {}
        State::Wrong { seen } => {
            report.state = "wrong-hash";
            report.seen = Some(seen);
        }
        State::Unusable { why } => {
            report.state = "unusable";
            report.why = Some(why);
        }
    }
    report
}

fn text(report: &Report) -> String {
    if report.models.is_empty() {
        return "no models are declared (services.aiStack.models)\n".to_owned();
    }
    let mut rows = vec![
        ["MODEL", "STATE", "PATH"]
            .map(|title| Cell::styled(title, FAINT))
            .to_vec(),
    ];
    rows.extend(report.models.iter().map(|model| {
        let state = match (model.state, model.fetched_mib, model.size_mib) {
            ("present", ..) if model.verified => Cell::styled("present", GOOD),
            ("present", ..) => Cell::styled("present, not read yet", GOOD),
            (_, Some(fetched), Some(size)) => {
                Cell::styled(format!("partial, {fetched} of {size} MiB"), UNSURE)
            }
            (_, Some(fetched), None) => Cell::styled(format!("partial, {fetched} MiB"), UNSURE),
            ("wrong-hash", ..) => Cell::styled("wrong hash", BAD),
            (state, ..) => Cell::styled(state, BAD),
        };
        vec![
            Cell::plain(model.name),
            state,
            Cell::plain(model.path.display().to_string()),
        ]
    }));
    let mut lines = output::table(&rows);
    for model in &report.models {
        if let Some(seen) = &model.seen {
            lines.push(format!(
                "{}: its SHA-256 is {seen}, and {} is declared ({})",
                model.name, model.sha256, model.option
            ));
        }
        if let Some(why) = &model.why {
            lines.push(format!("{}: {why}", model.name));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
