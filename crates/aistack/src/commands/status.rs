//! `aistack status`: the stack's units at a glance.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD, UNSURE, span};
use aistack_machine::systemd::UnitState;
use aistack_schema::Loaded;
use aistack_schema::{Image, Port, Protocol, Scope, Service};
use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use super::select::Selection;
use crate::cli::Verdict;

/// Show the units of the declared services, of the system and of the user
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 every unit is active, 1 some unit is not, 2 could not run.")]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    schema: u64,
    stacks: Vec<StackReport<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StackReport<'a> {
    file: &'a PathBuf,
    scope: Scope,
    user: Option<&'a str>,
    services: Vec<ServiceReport<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ServiceReport<'a> {
    name: &'a str,
    unit: &'a str,
    active: bool,
    load_state: String,
    active_state: String,
    sub_state: String,
    result: String,
    restarts: Option<u32>,
    exit_status: Option<i32>,
    /// When the state last changed, in systemd's words.
    since: Option<String>,
    /// How long ago that was.
    since_seconds: Option<u64>,
    ports: &'a [Port],
    image: &'a Image,
    #[serde(skip)]
    summary: String,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let stacks = args.selection.load()?;
    for loaded in &stacks {
        loaded.check_owner()?;
    }
    let report = Report {
        schema: 1,
        stacks: thread::scope(|scope| {
            let running: Vec<_> = stacks
                .iter()
                .map(|loaded| scope.spawn(|| ask(loaded, &args.selection)))
                .collect();
            running
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .map_err(|_| anyhow!("the question to systemd ended early"))?
                })
                .collect::<Result<_>>()
        })?,
    };
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    let all_active = report
        .stacks
        .iter()
        .flat_map(|stack| &stack.services)
        .all(|service| service.active);
    Ok(Verdict::of(all_active))
}

fn ask<'a>(loaded: &'a Loaded, selection: &Selection) -> Result<StackReport<'a>> {
    let services: Vec<(&String, &Service)> = selection.services(&loaded.stack).collect();
    let units: Vec<&str> = services
        .iter()
        .map(|(_, service)| service.unit.as_str())
        .collect();
    let states = loaded
        .systemctl()?
        .show(&units)
        .with_context(|| format!("the units of {}", loaded.path.display()))?;
    Ok(StackReport {
        file: &loaded.path,
        scope: loaded.stack.scope,
        user: loaded.stack.user.as_deref(),
        services: services
            .into_iter()
            .zip(states)
            .map(|((name, service), state)| describe(name, service, state))
            .collect(),
    })
}

fn describe<'a>(name: &'a str, service: &'a Service, state: UnitState) -> ServiceReport<'a> {
    ServiceReport {
        name,
        unit: &service.unit,
        active: state.is_active(),
        summary: state.summary(),
        since_seconds: state.unchanged_for().map(|duration| duration.as_secs()),
        load_state: state.load,
        active_state: state.active,
        sub_state: state.sub,
        result: state.result,
        restarts: state.restarts,
        exit_status: state.exit_status,
        since: state.changed,
        ports: &service.ports,
        image: &service.image,
    }
}

fn text(report: &Report) -> String {
    let mut lines = Vec::new();
    for stack in &report.stacks {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let scope = match (stack.scope, stack.user) {
            (Scope::User, Some(user)) => format!("user {user}"),
            (scope, _) => scope.to_string(),
        };
        lines.push(format!("{scope}, {}", stack.file.display()));
        if stack.services.is_empty() {
            lines.push("no services".to_owned());
            continue;
        }
        let mut rows = vec![
            ["SERVICE", "STATE", "SINCE", "RESTARTS", "PORTS", "IMAGE"]
                .map(|title| Cell::styled(title, FAINT))
                .to_vec(),
        ];
        rows.extend(stack.services.iter().map(row));
        lines.extend(output::table(&rows));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn row(service: &ServiceReport) -> Vec<Cell> {
    let style = match service.active_state.as_str() {
        _ if service.active => GOOD,
        "activating" | "deactivating" => UNSURE,
        _ => BAD,
    };
    let ports = service
        .ports
        .iter()
        .map(|port| {
            let suffix = match port.protocol {
                Protocol::Tcp => "",
                Protocol::Udp => "/udp",
            };
            format!("{}{suffix}", port.socket())
        })
        .collect::<Vec<_>>()
        .join(" ");
    let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    vec![
        Cell::plain(service.name),
        Cell::styled(service.summary.as_str(), style),
        Cell::plain(dash(
            service
                .since_seconds
                .map(|seconds| span(Duration::from_secs(seconds))),
        )),
        Cell::plain(dash(service.restarts.map(|count| count.to_string()))),
        Cell::plain(dash(Some(ports).filter(|ports| !ports.is_empty()))),
        Cell::plain(image(service.image)),
    ]
}

/// The tag; without one, the beginning of the digest; else what podman is given.
fn image(image: &Image) -> String {
    match (&image.tag, &image.digest) {
        (Some(tag), _) => tag.clone(),
        (None, Some(digest)) => digest.chars().take(19).collect(),
        (None, None) => image.reference.clone(),
    }
}
