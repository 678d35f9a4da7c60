//! The command line.
//!
//! Exit codes: 0 everything passed, 1 something failed, 2 could not run, 128 and the
//! signal's number (130 for Ctrl-C) when it was asked to end early.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::builtin;
use crate::checks::ServiceChecks;
use crate::machine::Machine;
use crate::plan::{Need, Plan, Planner};
use crate::report::{self, Report};
use crate::run::{Done, Runner};
use crate::scenario::Scenario;
use crate::values::Values;
use aistack_machine::output::print;
use aistack_machine::{file, users};
use aistack_schema::{Scope, Stack, default_path};
use anyhow::{Context, Result, bail};
use clap::{CommandFactory, Parser, Subcommand};

/// The file beside stack.json that makes a stack a test stack.
const MARK: &str = "test-stack";

/// Signals that ask for an early end.
const SIGNALS: [i32; 3] = [
    signal_hook::consts::SIGINT,
    signal_hook::consts::SIGTERM,
    signal_hook::consts::SIGHUP,
];

/// Runs scenarios of typed steps against a machine's stack.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 everything passed, 1 something failed, 2 could not run, \
                  130 interrupted (the cleanups have run)."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios, one after the other
    Run {
        /// Built-in scenarios by name (`list` shows them), or files in TOML or JSON
        #[arg(required = true, value_name = "NAME|FILE")]
        scenarios: Vec<String>,
        /// Run steps that change the machine; the stack must be marked as a test
        /// stack, by a file `test-stack` beside its stack.json
        #[arg(long)]
        destructive: bool,
        #[command(flatten)]
        options: Options,
    },
    /// Run what changes nothing: everything is healthy, listens and answers
    Quick {
        /// Seconds that a service may take to become healthy, 1 to 86400 [default: 300]
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
        wait: Option<u64>,
        #[command(flatten)]
        options: Options,
    },
    /// Check that files are scenarios, without running them
    Validate {
        /// Files in TOML or JSON
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Name the built-in scenarios
    List,
}

#[derive(Debug, clap::Args)]
struct Options {
    /// The stack.json [default: the system's or, where there is none, the user's]
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,

    /// What the services are asked [default: scenarios.json beside the stack.json,
    /// where there is one]
    #[arg(long = "scenarios", value_name = "FILE")]
    data: Option<PathBuf>,

    /// Read /proc and the files of `file` steps below this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,

    /// Print JSON
    #[arg(long, conflicts_with_all = ["tap", "junit"])]
    json: bool,

    /// Print TAP version 14
    #[arg(long, conflicts_with = "junit")]
    tap: bool,

    // As help, not as a comment: the name is no code there.
    #[arg(long, help = "Print JUnit XML")]
    junit: bool,
}

/// The definition of the command line, from which man pages and completions are made.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command and turns its result into an exit code.
#[must_use]
pub fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run {
            scenarios,
            destructive,
            options,
        } => run_scenarios(&scenarios, destructive, None, &options),
        Command::Quick { wait, options } => {
            let wait = wait.map(Duration::from_secs);
            run_scenarios(&["quick".to_owned()], false, wait, &options)
        }
        Command::Validate { files } => validate(&files),
        Command::List => list(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!(
                "aistack-testdriver: {}",
                aistack_machine::text::block(&format!("{error:#}"))
            );
            ExitCode::from(2)
        }
    }
}

fn validate(files: &[PathBuf]) -> Result<u8> {
    for file in files {
        let scenario = Scenario::load(file)?;
        print(&format!("{}: {}\n", file.display(), scenario.name.0))?;
    }
    Ok(0)
}

fn list() -> Result<u8> {
    for (name, _) in builtin::ALL {
        if let Some(scenario) = builtin::find(name) {
            print(&format!("{name}: {}\n", scenario?.description))?;
        }
    }
    Ok(0)
}

/// A built-in scenario by its name, or a file.
fn scenario(name: &str, values: &Values) -> Result<Scenario> {
    if let Some(scenario) = builtin::find_on(name, values) {
        return Ok(scenario?);
    }
    if !name.contains('/') && !name.contains('.') {
        let known: Vec<&str> = builtin::ALL.iter().map(|(name, _)| *name).collect();
        bail!(
            "no scenario is called {name}: known are {}; name a file by its path",
            known.join(", ")
        );
    }
    Ok(Scenario::load_on(Path::new(name), values)?)
}

/// Where the stack.json is that was asked for, or that is here.
fn stack_path(options: &Options) -> Result<PathBuf> {
    if let Some(path) = &options.stack {
        return Ok(path.clone());
    }
    let (config_home, home) = (users::folder("XDG_CONFIG_HOME"), users::folder("HOME"));
    let paths: Vec<PathBuf> = [Scope::System, Scope::User]
        .into_iter()
        .filter_map(|scope| default_path(scope, config_home.as_deref(), home.as_deref()))
        .collect();
    let there: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    match there.as_slice() {
        [path] => Ok((*path).clone()),
        [] => bail!(
            "no stack is declared here ({} was looked at): name a file with --stack",
            paths
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(" and ")
        ),
        [first, ..] => bail!(
            "{} is here, and a user's one too: name one with --stack",
            first.display()
        ),
    }
}

/// Refuses a user's stack for anybody but that user, whose systemd and podman can't
/// be reached by others.
fn check_owner(path: &Path, stack: &Stack) -> Result<()> {
    let (Scope::User, Some(owner)) = (stack.scope, &stack.user) else {
        return Ok(());
    };
    match users::name_of(Path::new("/"), users::effective_uid()) {
        Some(user) if user != *owner => bail!(
            "{} is {owner}'s stack, and this runs as {user}: run it as {owner} \
             (`systemd-run --user --machine={owner}@ --pipe --wait aistack-testdriver …`)",
            path.display()
        ),
        _ => Ok(()),
    }
}

/// Refuses steps that change something, unless they are asked for on a test stack.
fn check_changes(plans: &[Plan], destructive: bool, mark: &Path) -> Result<()> {
    let Some((plan, step)) = plans.iter().find_map(|plan| {
        plan.steps()
            .find(|step| step.changes)
            .map(|step| (plan, step))
    }) else {
        return Ok(());
    };
    let what = format!("scenario {} changes the machine ({})", plan.name, step.name);
    if !destructive {
        bail!("{what}: it runs with --destructive, on a test stack alone");
    }
    if !mark.is_file() {
        bail!(
            "{what}, and this is no test stack: {} does not exist. Make it only where \
             everything may be lost (services.aiStack.verify.testStack = true does)",
            mark.display()
        );
    }
    Ok(())
}

fn service_checks(options: &Options, beside: &Path) -> Result<ServiceChecks> {
    match &options.data {
        Some(path) => Ok(ServiceChecks::load(path)?),
        None if beside.exists() => Ok(ServiceChecks::load(beside)?),
        None => Ok(ServiceChecks::default()),
    }
}

/// The file as it is, for what scenarios take from it.
fn document(path: &Path) -> Result<serde_json::Value> {
    let text = file::read(path, aistack_schema::MAX_BYTES)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// `wait`: how long services may take to become healthy, whatever the scenario says.
fn run_scenarios(
    names: &[String],
    destructive: bool,
    wait: Option<Duration>,
    options: &Options,
) -> Result<u8> {
    let stop = Arc::new(AtomicUsize::new(0));
    for signal in SIGNALS {
        let number = usize::try_from(signal).unwrap_or(1);
        signal_hook::flag::register_usize(signal, Arc::clone(&stop), number)
            .with_context(|| format!("signal {signal} could not be listened to"))?;
    }
    let path = stack_path(options)?;
    let stack = Stack::load(&path)?;
    let values = Values::new(&path, document(&path)?);
    let scenarios = names
        .iter()
        .map(|name| scenario(name, &values))
        .collect::<Result<Vec<_>>>()?;
    check_owner(&path, &stack)?;
    let mark = path.with_file_name(MARK);
    let checks = service_checks(options, &path.with_file_name("scenarios.json"))?;
    let planner = Planner {
        stack: &stack,
        checks: &checks,
        destructive: destructive && mark.is_file(),
    };
    let mut plans = scenarios
        .iter()
        .map(|scenario| Ok(planner.plan(scenario)?))
        .collect::<Result<Vec<_>>>()?;
    if let Some(wait) = wait {
        let groups = plans.iter_mut().flat_map(|plan| &mut plan.groups);
        for step in groups.flat_map(|group| &mut group.steps) {
            if step.needs.contains(&Need::Health) {
                step.timeout = wait;
            }
        }
    }
    check_changes(&plans, destructive, &mark)?;

    let live = !(options.json || options.tap || options.junit);
    let listener = |step: &Done| {
        if live {
            // Who does not read the lines any more still wants the verdict.
            drop(print(&report::line(step)));
        }
    };
    let runner = Runner {
        machine: Arc::new(Machine::new(
            &options.root,
            std::env::var_os("PATH"),
            &stack,
            plans.iter().flat_map(Plan::units),
        )),
        stop: Arc::clone(&stop),
        listener: &listener,
    };
    let mut done = Vec::new();
    for plan in &plans {
        done.extend(runner.run(plan));
    }
    let signal = stop.load(Ordering::SeqCst);
    let report = Report::new(done, signal != 0);
    let closing = format!("{}\n", report.closing());
    if live {
        print(&closing)?;
    } else {
        print(&rendered(&report, options)?)?;
        eprint!("{closing}");
    }
    Ok(match (signal, report.failed) {
        (0, 0) => 0,
        (0, _) => 1,
        (signal, _) => u8::try_from(128 + signal).unwrap_or(2),
    })
}

fn rendered(report: &Report, options: &Options) -> Result<String> {
    if options.tap {
        return Ok(report.tap());
    }
    if options.junit {
        return report
            .junit()
            .to_string()
            .context("the report could not be written as XML");
    }
    let mut text = serde_json::to_string_pretty(report).context("the report is not JSON")?;
    text.push('\n');
    Ok(text)
}
