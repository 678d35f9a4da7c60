//! Findings as TAP version 14 (testanything.org): reasons as YAML blocks; JSON strings are YAML.

use crate::finding::Finding;

/// One finding.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What was looked at.
    pub name: String,
    /// How it was found.
    pub finding: Finding,
    /// What was seen, or why it was skipped.
    pub message: &'a str,
    /// What to do about it.
    pub hint: Option<&'a str>,
    /// How long it took, where that is of interest.
    pub duration_ms: Option<f64>,
}

/// All of it. `interrupted`: there would have been more.
#[must_use]
pub fn document(findings: &[Line<'_>], interrupted: bool) -> String {
    let escape = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('#', "\\#")
            .replace(['\n', '\r'], " ")
    };
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = vec![
        "TAP version 14".to_owned(),
        format!("1..{}", findings.len()),
    ];
    for (at, line) in findings.iter().enumerate() {
        let (word, skip) = match line.finding {
            Finding::Ok => ("ok", String::new()),
            Finding::NotOk => ("not ok", String::new()),
            Finding::Skipped => ("ok", format!(" # SKIP {}", escape(line.message))),
        };
        lines.push(format!("{word} {} - {}{skip}", at + 1, escape(&line.name)));
        let mut block = Vec::new();
        if line.finding == Finding::NotOk {
            block.push(format!("  message: {}", quote(line.message)));
            block.extend(line.hint.map(|hint| format!("  hint: {}", quote(hint))));
        }
        block.extend(line.duration_ms.map(|ms| format!("  duration_ms: {ms}")));
        if !block.is_empty() {
            lines.push("  ---".to_owned());
            lines.append(&mut block);
            lines.push("  ...".to_owned());
        }
    }
    if interrupted {
        lines.push("Bail out! interrupted".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}
