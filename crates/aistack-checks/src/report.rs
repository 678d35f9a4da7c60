//! Findings for people and for machines.

use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD, UNSURE, paint};
use serde::Serialize;

use crate::finding::{Check, Finding, Kind};

/// All lines, and how many are how.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Number of this format.
    pub schema: u64,
    /// How many are as they should be.
    pub ok: usize,
    /// How many are not.
    pub not_ok: usize,
    /// How many could not be seen.
    pub skipped: usize,
    /// The lines.
    pub checks: Vec<Check>,
}

impl Report {
    /// Counts the findings.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Self {
        let count = |finding| checks.iter().filter(|c| c.finding == finding).count();
        Self {
            schema: 1,
            ok: count(Finding::Ok),
            not_ok: count(Finding::NotOk),
            skipped: count(Finding::Skipped),
            checks,
        }
    }
}

/// For people: a table, with what to do below each line.
#[must_use]
pub fn text(report: &Report) -> String {
    let rows: Vec<Vec<Cell>> = report
        .checks
        .iter()
        .map(|check| {
            let (word, style) = match check.finding {
                Finding::Ok => ("ok", GOOD),
                Finding::NotOk => ("NOT OK", BAD),
                Finding::Skipped => ("skipped", UNSURE),
            };
            vec![
                Cell::styled(word, style),
                Cell::plain(check.scope.name()),
                Cell::plain(check.service.as_deref().unwrap_or("-")),
                Cell::styled(check.kind.name(), FAINT),
                Cell::plain(format!("{}: {}", check.subject, check.message)),
            ]
        })
        .collect();
    let mut text = String::new();
    for (line, check) in output::table(&rows).iter().zip(&report.checks) {
        text.push_str(line);
        text.push('\n');
        if let Some(hint) = &check.hint {
            text.push_str(&paint(&format!("         → {hint}"), FAINT));
            text.push('\n');
        }
    }
    let skipped = match report.skipped {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    let closing = format!("{} ok, {} not ok{skipped}", report.ok, report.not_ok);
    let style = if report.not_ok == 0 { GOOD } else { BAD };
    text.push_str(&paint(&closing, style));
    text.push('\n');
    text
}

/// TAP version 14 (testanything.org): reasons as YAML blocks; JSON strings are YAML.
#[must_use]
pub fn tap(report: &Report) -> String {
    let escape = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('#', "\\#")
            .replace(['\n', '\r'], " ")
    };
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = vec![
        "TAP version 14".to_owned(),
        format!("1..{}", report.checks.len()),
    ];
    for (at, check) in report.checks.iter().enumerate() {
        let word = match check.finding {
            Finding::NotOk => "not ok",
            Finding::Ok | Finding::Skipped => "ok",
        };
        let service = check.service.as_deref().unwrap_or("host");
        let kind = match check.kind {
            Kind::Host => String::new(),
            kind => format!("{} ", kind.name()),
        };
        let name = format!("{} {service} {kind}{}", check.scope, check.subject);
        let skip = match check.finding {
            Finding::Skipped => format!(" # SKIP {}", escape(&check.message)),
            Finding::Ok | Finding::NotOk => String::new(),
        };
        lines.push(format!("{word} {} - {}{skip}", at + 1, escape(&name)));
        if check.finding == Finding::NotOk {
            lines.push("  ---".to_owned());
            lines.push(format!("  message: {}", quote(&check.message)));
            if let Some(hint) = &check.hint {
                lines.push(format!("  hint: {}", quote(hint)));
            }
            lines.push("  ...".to_owned());
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
