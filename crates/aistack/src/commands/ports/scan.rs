//! `aistack ports scan`: ports that Nix files claim twice.

use std::path::{Path, PathBuf};

use aistack_extras::portscan::{Claim, Duplicate, Problem, Report, ScanError, scan};
use aistack_machine::Protocol;
use aistack_machine::output::{self, BAD, FAINT, GOOD, UNSURE, paint};
use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::Verdict;

/// Find ports that a tree of Nix files claims twice, without evaluating it
///
/// Every .nix file below DIR is parsed (.gitignore is respected). Claims are
/// numbers at options of services that are known to listen (port, ports, listenPort,
/// httpPort …, also below settings, server or http), the ports of wireguard, what
/// containers publish (ports, publishPorts, -p in extraOptions), socket units, and
/// --port or -p of a unit's command. Names that the same file binds with let or
/// rec are followed.
///
/// Two claims are compared when they are certainly for one host at one time: in one
/// file, for the same host and under the same conditions (mkIf, if), or without
/// conditions in files that one file imports by their paths (imports, the modules
/// of a nixosSystem). Addresses and protocols must meet. Not compared: what is
/// switched off (enable = false), a default that another value replaces, option
/// declarations, ports to connect to (databases, mail, what has a host name beside
/// it), one program's own options among each other, files in folders of tests and
/// examples. Openings of the firewall are counted, and are no claims. Ports that
/// must be computed can't be known; they are counted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 no port is claimed twice, 1 some port is, 2 nothing could be read. A file that \
can't be parsed is reported and the others go on.")]
pub struct Args {
    /// The folder
    dir: PathBuf,

    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    json: bool,

    /// Print SARIF 2.1.0, for code review tools
    #[arg(long)]
    sarif: bool,
}

#[derive(Serialize)]
struct Output<'a> {
    schema: u64,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let report = match scan(&args.dir) {
        Ok(report) => report,
        Err(error) => {
            if let ScanError::Nothing { problems, .. } = &error {
                say_problems(&args.dir, problems);
            }
            return Err(error.into());
        }
    };
    if args.json {
        output::print_json(&Output {
            schema: 1,
            report: &report,
        })?;
    } else if args.sarif {
        output::print_json(&sarif(&report))?;
    } else {
        output::print(&text(&args.dir, &report))?;
    }
    if args.sarif || !args.json {
        say_problems(&args.dir, &report.problems);
    }
    Ok(Verdict::of(report.duplicates.is_empty()))
}

fn place(dir: &Path, file: &Path, line: Option<usize>, column: Option<usize>) -> String {
    let mut parts = vec![dir.join(file).display().to_string()];
    parts.extend([line, column].into_iter().flatten().map(|n| n.to_string()));
    parts.join(":")
}

fn say_problems(dir: &Path, problems: &[Problem]) {
    for problem in problems {
        eprintln!(
            "aistack: {}: {}",
            place(dir, &problem.file, problem.line, problem.column),
            problem.message
        );
    }
}

fn title(duplicate: &Duplicate) -> String {
    format!(
        "port {}/{} is claimed {} times",
        duplicate.port,
        protocol(duplicate.protocol),
        duplicate.claims.len()
    )
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

fn text(dir: &Path, report: &Report) -> String {
    let mut lines = Vec::new();
    for duplicate in &report.duplicates {
        lines.push(paint(&title(duplicate), BAD));
        for claim in &duplicate.claims {
            lines.push(format!(
                "  {}: {}",
                place(dir, &claim.file, Some(claim.line), Some(claim.column)),
                claim.option
            ));
            let (excerpt, indent) = excerpt(claim);
            let width = claim.end_column.saturating_sub(claim.column).max(1);
            lines.push(format!("    {} {excerpt}", paint("|", FAINT)));
            lines.push(format!(
                "    {} {}{}",
                paint("|", FAINT),
                " ".repeat(indent),
                paint(&"^".repeat(width), BAD)
            ));
        }
        lines.push(String::new());
    }
    let style = if report.duplicates.is_empty() {
        GOOD
    } else {
        BAD
    };
    lines.push(paint(
        &format!(
            "{} claimed twice; {} claims and {} firewall openings in {} files",
            match report.duplicates.len() {
                1 => "1 port is".to_owned(),
                count => format!("{count} ports are"),
            },
            report.claims,
            report.openings,
            report.files
        ),
        style,
    ));
    if report.computed > 0 {
        lines.push(paint(
            &format!(
                "not known: {} ports that must be computed; evaluation has them",
                report.computed
            ),
            UNSURE,
        ));
    }
    if report.aside > 0 {
        lines.push(paint(
            &format!("not compared: {} files of tests and examples", report.aside),
            FAINT,
        ));
    }
    if !report.problems.is_empty() {
        lines.push(paint(
            &format!("not read: {} files", report.problems.len()),
            UNSURE,
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The line without its indentation and control characters, and where the claim
/// begins in it.
fn excerpt(claim: &Claim) -> (String, usize) {
    let trimmed = claim.excerpt.trim_start();
    let cut = claim.excerpt.chars().count() - trimmed.chars().count();
    let shown = aistack_machine::text::field(trimmed.trim_end());
    (shown, claim.column.saturating_sub(1 + cut))
}

/// SARIF 2.1.0 (OASIS): a result a port, at its second claim, the others related.
fn sarif(report: &Report) -> Value {
    let results: Vec<Value> = report
        .duplicates
        .iter()
        .map(|duplicate| {
            let mut claims = duplicate.claims.iter();
            let first = claims.next();
            let main = claims.next().or(first);
            let related: Vec<Value> = first
                .into_iter()
                .chain(claims)
                .map(|claim| location(claim, true))
                .collect();
            let others: Vec<String> = duplicate
                .claims
                .iter()
                .map(|claim| claim.option.clone())
                .collect();
            json!({
                "ruleId": "duplicate-port",
                "level": "error",
                "message": { "text": format!("{}: {}", title(duplicate), others.join(", ")) },
                "locations": main.map(|claim| vec![location(claim, false)]).unwrap_or_default(),
                "relatedLocations": related,
            })
        })
        .collect();
    let notifications: Vec<Value> = report
        .problems
        .iter()
        .map(|problem| {
            let mut physical = json!({ "artifactLocation": { "uri": uri(&problem.file) } });
            if let (Some(line), Some(column)) = (problem.line, problem.column)
                && let Some(physical) = physical.as_object_mut()
            {
                physical.insert(
                    "region".to_owned(),
                    json!({ "startLine": line, "startColumn": column }),
                );
            }
            json!({
                "level": "warning",
                "message": { "text": problem.message },
                "locations": [{ "physicalLocation": physical }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "aistack ports scan",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": [{
                    "id": "duplicate-port",
                    "shortDescription": { "text": "One port of one host is claimed twice" },
                }],
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notifications,
            }],
            "results": results,
        }],
    })
}

fn location(claim: &Claim, named: bool) -> Value {
    let mut location = json!({
        "physicalLocation": {
            "artifactLocation": { "uri": uri(&claim.file) },
            "region": {
                "startLine": claim.line,
                "startColumn": claim.column,
                "endColumn": claim.end_column,
                "snippet": { "text": claim.excerpt },
            },
        },
    });
    if named && let Some(location) = location.as_object_mut() {
        location.insert("message".to_owned(), json!({ "text": claim.option }));
    }
    location
}

/// A relative path as a URI reference (RFC 3986).
fn uri(path: &Path) -> String {
    path.to_string_lossy()
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
