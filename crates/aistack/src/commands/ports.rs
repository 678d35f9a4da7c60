//! `aistack ports`: who listens, against what is declared.

mod scan;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use aistack_checks::ports::{Declared, Row, Survey, Verdict as Fit};
use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD, UNSURE, paint};
use aistack_machine::owner::{Owner, Seen, describe, holders_of};
use aistack_machine::sockets::Socket;
use aistack_machine::users;
use aistack_schema::Loaded;
use aistack_schema::{Protocol, Scope};
use anyhow::{Context, Result};
use serde::Serialize;

use super::select::Selection;
use crate::cli::Verdict;

/// How long `--wait-free` waits unless told.
const PATIENCE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(100);

/// Show who listens on which port, and how that fits what is declared
///
/// Sockets and their owners come from the kernel (netlink, /proc, control
/// groups); no other program is run. Ports of containers are told by the
/// container, also behind podman's forwarders. Verdicts: ours (the declared
/// service has it), free (nobody has it, the service isn't running), foreign
/// (somebody else has it), missing (the service runs and nothing listens), wrong
/// address, unknown (whoever has it could not be seen). Ports that only firewall
/// rules forward, without a socket, are not seen.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
Exit codes: 0 a switch would not clash and what runs is as declared, 1 otherwise, \
2 could not run. With --wait-free: 0 the port is free, 1 it is still taken.")]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,

    /// Read this stack.json (may be given more than once) [default: the system's
    /// and the user's, where they exist]
    #[arg(long = "stack", value_name = "FILE", conflicts_with_all = ["user", "system"])]
    files: Vec<PathBuf>,

    #[arg(
        long,
        conflicts_with = "system",
        help = "The user's stack alone: $XDG_CONFIG_HOME/aistack/stack.json"
    )]
    user: bool,

    /// The system's stack alone: /etc/aistack/stack.json
    #[arg(long)]
    system: bool,

    /// Read /etc, /proc and /sys below this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,

    /// Print JSON
    #[arg(long)]
    json: bool,

    /// Wait until nobody listens on this port (8080, 53/udp) and say who does if it
    /// takes too long
    #[arg(
        long,
        value_name = "PORT",
        value_parser = parse_port,
        conflicts_with_all = ["files", "user", "system"]
    )]
    wait_free: Option<(u16, Protocol)>,

    /// How long to wait [default: 30]
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = output::parse_seconds,
        requires = "wait_free"
    )]
    timeout: Option<Duration>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Scan(scan::Args),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema: u64,
    well: bool,
    stacks: Vec<StackReport<'a>>,
    #[serde(flatten)]
    survey: &'a Survey,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StackReport<'a> {
    file: &'a PathBuf,
    scope: Scope,
    user: Option<&'a str>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct WaitReport {
    schema: u64,
    port: u16,
    protocol: Protocol,
    free: bool,
    owners: Vec<Owner>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    if let Some(Command::Scan(args)) = &args.command {
        return scan::run(args);
    }
    if let Some((port, protocol)) = args.wait_free {
        return wait_free(args, port, protocol);
    }
    let selection = Selection {
        names: Vec::new(),
        files: args.files.clone(),
        user: args.user,
        system: args.system,
        root: args.root.clone(),
    };
    // Who asks for one stack means it; else a machine without any is only looked at.
    let named = !args.files.is_empty() || args.user || args.system;
    let (stacks, looked_at) = if named {
        (selection.load()?, Vec::new())
    } else {
        selection.find()?
    };
    let declared = Declared::all(
        &args.root,
        &stacks
            .iter()
            .map(|loaded| &loaded.stack)
            .collect::<Vec<_>>(),
    );
    let survey = aistack_checks::ports::survey(&args.root, &declared)?;
    let well = survey.is_well();
    if args.json {
        output::print_json(&Report {
            schema: 1,
            well,
            stacks: stacks
                .iter()
                .map(|loaded| StackReport {
                    file: &loaded.path,
                    scope: loaded.stack.scope,
                    user: loaded.stack.user.as_deref(),
                })
                .collect(),
            survey: &survey,
        })?;
    } else {
        print(&text(&survey, &stacks, &looked_at))?;
    }
    Ok(Verdict::of(well))
}

/// Prints the table. Where no colours are wanted they are taken out first: one by one,
/// each of thousands of lines would be a write of its own.
fn print(text: &str) -> std::io::Result<()> {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => {
            output::print(&anstream::adapter::strip_str(text).to_string())
        }
        _ => output::print(text),
    }
}

/// A port of the command line, with `/udp` where it isn't TCP.
fn parse_port(text: &str) -> Result<(u16, Protocol), String> {
    let (number, protocol) = match text.split_once('/') {
        None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
        Some((number, "udp")) => (number, Protocol::Udp),
        Some(_) => return Err("the protocol is tcp or udp, as in 53/udp".to_owned()),
    };
    number
        .parse()
        .ok()
        .filter(|&port| port != 0)
        .map(|port| (port, protocol))
        .ok_or_else(|| "not a port from 1 to 65535".to_owned())
}

fn wait_free(args: &Args, port: u16, protocol: Protocol) -> Result<Verdict> {
    let deadline = Instant::now() + args.timeout.unwrap_or(PATIENCE);
    loop {
        // The sockets alone, as long as they can still change.
        let taken = Socket::all(&args.root)
            .context("what listens can't be seen")?
            .iter()
            .any(|socket| socket.protocol == protocol && socket.local.port() == port);
        if taken && Instant::now() < deadline {
            thread::sleep(INTERVAL.min(deadline.saturating_duration_since(Instant::now())));
            continue;
        }
        let holders = if taken {
            holders_of(&args.root, protocol, port)?
        } else {
            Vec::new()
        };
        let free = holders.is_empty();
        if args.json {
            output::print_json(&WaitReport {
                schema: 1,
                port,
                protocol,
                free,
                owners: holders.into_iter().map(|(_, owner)| owner).collect(),
            })?;
        } else {
            for (socket, owner) in &holders {
                eprintln!(
                    "aistack: {}/{protocol} is taken: {} has it",
                    socket.local,
                    describe(owner)
                );
            }
        }
        return Ok(Verdict::of(free));
    }
}

fn text(survey: &Survey, stacks: &[Loaded], looked_at: &[PathBuf]) -> String {
    let mut lines = Vec::new();
    if survey.rows.is_empty() {
        lines.push("nothing listens and nothing is declared".to_owned());
    } else {
        let mut rows = vec![
            ["PORT", "ADDRESS", "OWNER", "DECLARED", "VERDICT"]
                .map(|title| Cell::styled(title, FAINT))
                .to_vec(),
        ];
        rows.extend(survey.rows.iter().map(row));
        lines.extend(output::table(&rows));
    }
    for advice in &survey.advice {
        lines.push(String::new());
        lines.push(paint(&advice.problem, BAD));
        for step in &advice.steps {
            lines.push(format!("  {}:", step.what));
            lines.push(format!("    {}", step.how));
        }
    }
    lines.push(String::new());
    if stacks.is_empty() {
        lines.push(format!(
            "no stack is declared here: neither {} exists",
            looked_at
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(" nor ")
        ));
    }
    if survey.hidden_owners > 0 {
        let ports: Vec<String> = survey
            .rows
            .iter()
            .filter(|row| {
                row.owner
                    .as_ref()
                    .is_some_and(|owner| owner.seen == Seen::Hidden)
            })
            .map(port)
            .collect();
        let hint = match users::effective_uid() {
            0 => "this root may not look into them",
            _ => "run it as root to see them",
        };
        lines.push(paint(
            &format!(
                "the owners of these could not be seen, since their processes are hidden: {}; {hint}",
                shorten(&ports)
            ),
            UNSURE,
        ));
    }
    lines.push(summary(survey));
    lines.push(String::new());
    lines.join("\n")
}

fn shorten(ports: &[String]) -> String {
    let mut unique: Vec<&str> = ports.iter().map(String::as_str).collect();
    unique.dedup();
    let shown = unique
        .iter()
        .take(8)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if unique.len() > 8 {
        format!("{shown}, …")
    } else {
        shown
    }
}

fn summary(survey: &Survey) -> String {
    let count = |fit: Option<Fit>| survey.rows.iter().filter(|row| row.verdict == fit).count();
    let mut parts: Vec<String> = [
        Fit::Ours,
        Fit::Free,
        Fit::Foreign,
        Fit::Missing,
        Fit::WrongAddress,
        Fit::Unknown,
    ]
    .into_iter()
    .filter_map(|fit| Some((count(Some(fit)), fit)).filter(|(count, _)| *count > 0))
    .map(|(count, fit)| format!("{count} {}", fit.word()))
    .collect();
    if !survey.declared_twice.is_empty() {
        parts.push(format!("{} declared twice", survey.declared_twice.len()));
    }
    parts.push(format!("{} others listen", count(None)));
    let style = if survey.is_well() { GOOD } else { BAD };
    paint(&parts.join(", "), style)
}

fn port(row: &Row) -> String {
    match row.protocol {
        Protocol::Tcp => row.port.to_string(),
        Protocol::Udp => format!("{}/udp", row.port),
    }
}

fn row(row: &Row) -> Vec<Cell> {
    let dash = || Cell::styled("-", FAINT);
    let style = match row.verdict {
        Some(Fit::Ours | Fit::Free) => GOOD,
        Some(Fit::Unknown) => UNSURE,
        Some(_) => BAD,
        None => FAINT,
    };
    vec![
        Cell::plain(port(row)),
        row.address
            .map_or_else(dash, |address| Cell::plain(address.to_string())),
        row.owner
            .as_ref()
            .map_or_else(dash, |owner| Cell::plain(describe(owner))),
        row.declared.as_ref().map_or_else(dash, |declared| {
            let service = match (declared.scope, &declared.user) {
                (Scope::User, Some(user)) => format!("{} of user {user}", declared.service),
                (Scope::User, None) => format!("{} (user)", declared.service),
                (Scope::System, _) => declared.service.clone(),
            };
            Cell::plain(format!("{service}, {}", declared.address))
        }),
        row.verdict
            .map_or_else(dash, |fit| Cell::styled(fit.word(), style)),
    ]
}
