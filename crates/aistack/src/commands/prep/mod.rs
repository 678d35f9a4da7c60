//! `aistack prep`: the machine made ready for a docker-compose stack that its owner
//! installs by hand.

mod environment;
mod everything;
mod installed;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use aistack_extras::prep::directories::{self, Share};
use aistack_extras::prep::glove;
use aistack_extras::prep::plan::Environment;
use aistack_extras::prep::ports;
use aistack_extras::prep::runtime::{Engine, Runtimes};
use aistack_extras::prep::toolkit;
use aistack_extras::prep::{Check, Finding, Plan, network};
use aistack_machine::command::{below, search_path};
use aistack_machine::output::{self, BAD, FAINT, GOOD, UNSURE, paint};
use aistack_machine::users;
use aistack_schema::Scope;
use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::cli::Verdict;
use environment::{Env, merge};
use everything::{Seen, everything, folders, save};
use installed::{check_installed, info, status};

/// Make the machine ready for a separately installed AI-Optimizer, and report
///
/// Without a subcommand all of it: runtime, GPU toolkit, directories, ports, network
/// (looked at), report. Nothing is installed, fetched or started; written are the data
/// and configuration folders and the report alone. Paths and ports come from
/// services.aiOptimizerPrep; without it the usual ones, or `AI_OPTIMIZER_DATA_ROOT`,
/// `AI_OPTIMIZER_CONFIG_ROOT` and `AI_OPTIMIZER_DIR`. It is safe to run again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 ready, 1 something is not, 2 could not run. That AI-Optimizer is not \
installed, or stopped, is no failure.")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Read this prep.json [default: the user's, or the system's]
    #[arg(long, value_name = "FILE", global = true)]
    file: Option<PathBuf>,

    /// Look for sockets, processes, GPUs and CDI specs below this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true,
        global = true
    )]
    root: PathBuf,

    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// A container runtime works, and compose is there
    CheckRuntime,
    /// Containers can have the GPUs
    CheckGpuToolkit,
    /// Make the data and configuration folders, and the marker in them
    PrepareDirectories(Directories),
    /// The stack's ports are free, or its own
    DetectPortConflicts,
    /// Make the containers' network, with names, where there is none
    EnsureNetwork,
    /// Look at everything and write the report, without making folders
    SaveStatus,
    /// Whether AI-Optimizer is installed
    CheckInstalled,
    /// Print running, stopped or `not_installed`
    Status,
    /// What the last report says, and the next steps
    Info,
    /// Add the folders and a fitting model to an .env; values that are there stay
    Env(Env),
}

#[derive(Debug, clap::Args)]
struct Directories {
    /// Another installation writes: change nothing in the data folder
    #[arg(long, conflicts_with = "take_over")]
    read_only: bool,

    /// Write from now on, whichever installation did before
    #[arg(long)]
    take_over: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: u64,
    well: bool,
    checks: &'a [Check],
    #[serde(flatten)]
    more: serde_json::Value,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let plan = find_plan(args)?;
    let root = args.root.as_path();
    match &args.command {
        None => everything(args, &plan),
        Some(Command::CheckRuntime) => {
            let runtimes = runtimes();
            let more = serde_json::json!({
                "podman_available": runtimes.has(Engine::Podman),
                "docker_available": runtimes.has(Engine::Docker),
                "compose": runtimes.compose.as_ref().map(|(name, _)| name),
            });
            tell(args, &runtimes.checks, more)
        }
        Some(Command::CheckGpuToolkit) => {
            let toolkit = toolkit::look(&plan, root);
            let more = serde_json::json!({
                "gpu_detected": toolkit.gpu_detected(),
                "nvidia_toolkit_available": toolkit.nvidia,
            });
            tell(args, &toolkit.checks, more)
        }
        Some(Command::PrepareDirectories(how)) => {
            check_writer(&plan)?;
            let share = match (how.read_only, how.take_over) {
                (true, _) => Share::ReadOnly,
                (false, true) => Share::TakeOver,
                (false, false) => Share::Write,
            };
            let mut checks = directories::prepare(&plan, root, share, &now())?;
            checks.push(Check::ok(
                "data",
                format!("{} is prepared", plan.data_root.display()),
            ));
            tell(args, &checks, paths(&plan))
        }
        Some(Command::DetectPortConflicts) => {
            let glove = glove::look(&plan.expected_location, &runtimes());
            let (ports, checks) = ports::look(&plan, root, &glove.containers);
            tell(args, &checks, serde_json::json!({ "ports": ports }))
        }
        Some(Command::EnsureNetwork) => {
            check_writer(&plan)?;
            let check = network::ensure(&runtimes(), &plan.network_name);
            let more = serde_json::json!({ "network": plan.network_name });
            tell(args, &[check], more)
        }
        Some(Command::SaveStatus) => {
            check_writer(&plan)?;
            let seen = Seen::look(&plan, root);
            let checks = seen.checks(folders(&plan));
            save(args, &plan, &seen, checks)
        }
        Some(Command::CheckInstalled) => check_installed(args, &plan),
        Some(Command::Status) => {
            let glove = glove::look(&plan.expected_location, &runtimes());
            status(args, &glove)
        }
        Some(Command::Info) => info(args, &plan),
        Some(Command::Env(how)) => merge(args, &plan, how),
    }
}

/// The declared plan, or the usual one.
fn find_plan(args: &Args) -> Result<Plan> {
    if let Some(file) = &args.file {
        return Plan::load(file)?
            .with_context(|| format!("{} does not exist: check the path", file.display()));
    }
    let environment = Environment::of_process();
    let is_root = users::effective_uid() == 0;
    let config = environment
        .config_home
        .clone()
        .filter(|path| path.is_absolute())
        .or_else(|| Some(environment.home.clone()?.join(".config")));
    let user = config.map(|config| config.join("aistack/prep.json"));
    let system = Some(below(&args.root, Path::new("/etc/aistack/prep.json")));
    let files = if is_root {
        [system, user]
    } else {
        [user, system]
    };
    for file in files.into_iter().flatten() {
        if let Some(plan) = Plan::load(&file)? {
            return Ok(plan);
        }
    }
    let scope = if is_root { Scope::System } else { Scope::User };
    Ok(Plan::usual(scope, &environment)?)
}

/// Refuses to write for anybody but the plan's owner.
fn check_writer(plan: &Plan) -> Result<()> {
    let uid = users::effective_uid();
    match (plan.scope, &plan.user) {
        (Scope::System, _) if uid != 0 => bail!(
            "{} is the system's, and this runs as user id {uid}: run it as root",
            plan.data_root.display()
        ),
        (Scope::User, Some(owner)) if users::current().is_some_and(|user| user != *owner) => bail!(
            "{} is {owner}'s, and this runs as {}: run it as {owner}",
            plan.data_root.display(),
            users::current().unwrap_or_default()
        ),
        (Scope::User, None) if uid == 0 => bail!(
            "{} is a user's, and this runs as root: run it as that user",
            plan.data_root.display()
        ),
        _ => Ok(()),
    }
}

/// Also in the profiles of this user, which a unit's `PATH` does not have.
fn runtimes() -> Runtimes {
    let path = search_path();
    let mut folders: Vec<PathBuf> = path
        .as_deref()
        .map(std::env::split_paths)
        .into_iter()
        .flatten()
        .collect();
    if let Some(home) = users::folder("HOME") {
        folders.extend([".nix-profile/bin", ".local/state/nix/profile/bin"].map(|f| home.join(f)));
    }
    if let Some(user) = users::current() {
        folders.push(Path::new("/etc/profiles/per-user").join(user).join("bin"));
    }
    // A folder with a colon in its name can't be in it.
    Runtimes::find(std::env::join_paths(folders).ok().or(path).as_deref())
}

fn now() -> String {
    seconds(jiff::Timestamp::now()).to_string()
}

/// Without fractions, which would look more exact than it is.
fn seconds(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time)
}

fn paths(plan: &Plan) -> serde_json::Value {
    serde_json::json!({
        "data_root": plan.data_root,
        "config_root": plan.config_root,
    })
}

fn is_well(checks: &[Check]) -> bool {
    checks.iter().all(|check| check.finding != Finding::NotOk)
}

/// Prints the checks; whether they are well is the exit code.
fn tell(args: &Args, checks: &[Check], more: serde_json::Value) -> Result<Verdict> {
    let well = is_well(checks);
    if args.json {
        output::print_json(&Report {
            schema: 1,
            well,
            checks,
            more,
        })?;
    } else {
        output::print(&lines(checks))?;
    }
    Ok(Verdict::of(well))
}

fn lines(checks: &[Check]) -> String {
    checks.iter().fold(String::new(), |mut text, check| {
        let (word, style) = match check.finding {
            Finding::Ok => ("ok      ", GOOD),
            Finding::NotOk => ("NOT OK  ", BAD),
            Finding::Skipped => ("unseen  ", UNSURE),
            Finding::Info => ("-       ", FAINT),
        };
        text.push_str(&paint(word, style));
        text.push_str(&check.message);
        text.push('\n');
        if let Some(hint) = &check.hint {
            let _ = writeln!(text, "        {}", paint(hint, FAINT));
        }
        text
    })
}
