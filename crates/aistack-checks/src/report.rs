//! Findings for people and for machines.

use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD, UNSURE, paint};
use serde::Serialize;

use crate::finding::{Check, Finding, Kind};
use crate::tap;

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

/// TAP version 14.
#[must_use]
pub fn tap(report: &Report) -> String {
    let lines: Vec<tap::Line<'_>> = report
        .checks
        .iter()
        .map(|check| {
            let service = check.service.as_deref().unwrap_or("host");
            let kind = match check.kind {
                Kind::Host => String::new(),
                kind => format!("{} ", kind.name()),
            };
            tap::Line {
                name: format!("{} {service} {kind}{}", check.scope, check.subject),
                finding: check.finding,
                message: &check.message,
                hint: check.hint.as_deref(),
                duration_ms: None,
            }
        })
        .collect();
    tap::document(&lines, false)
}
