//! What was found, for people and for machines.

use std::time::Duration;

use aistack_checks::finding::Finding;
use aistack_checks::tap;
use aistack_machine::output::{BAD, GOOD, UNSURE};
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use serde::Serialize;

use crate::run::Done;

/// All steps that were run, and their numbers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Number of this format.
    pub schema: u64,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many nothing can be said of.
    pub skipped: usize,
    /// Whether it was asked to end early.
    pub interrupted: bool,
    /// The steps, in the order in which they ended.
    pub steps: Vec<Done>,
}

impl Report {
    /// Counts.
    #[must_use]
    pub fn new(steps: Vec<Done>, interrupted: bool) -> Self {
        let count = |finding| steps.iter().filter(|step| step.finding == finding).count();
        Self {
            schema: 1,
            passed: count(Finding::Ok),
            failed: count(Finding::NotOk),
            skipped: count(Finding::Skipped),
            interrupted,
            steps,
        }
    }

    /// The closing line.
    #[must_use]
    pub fn closing(&self) -> String {
        format!(
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }

    /// TAP version 14.
    #[must_use]
    pub fn tap(&self) -> String {
        let lines: Vec<tap::Line<'_>> = self
            .steps
            .iter()
            .map(|step| tap::Line {
                name: format!("{} / {} / {}", step.scenario, step.group, step.name),
                finding: step.finding,
                message: step.message.as_deref().unwrap_or_default(),
                hint: None,
                duration_ms: Some(step.duration_ms),
            })
            .collect();
        tap::document(&lines, self.interrupted)
    }

    /// `JUnit` XML: a suite a scenario. Without times of day.
    #[must_use]
    pub fn junit(&self) -> quick_junit::Report {
        let mut report = quick_junit::Report::new("aistack-testdriver");
        let mut names: Vec<&str> = Vec::new();
        for step in &self.steps {
            if !names.contains(&step.scenario.as_str()) {
                names.push(&step.scenario);
            }
        }
        for name in names {
            let mut suite = TestSuite::new(name);
            for step in self.steps.iter().filter(|step| step.scenario == name) {
                let message = step.message.clone().unwrap_or_default();
                let status = match step.finding {
                    Finding::Ok => TestCaseStatus::success(),
                    Finding::NotOk => {
                        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                        status.set_message(message);
                        status
                    }
                    Finding::Skipped => {
                        let mut status = TestCaseStatus::skipped();
                        status.set_message(message);
                        status
                    }
                };
                let mut case = TestCase::new(step.name.as_str(), status);
                case.set_classname(format!("{name}.{}", step.group));
                case.set_time(Duration::from_secs_f64(step.duration_ms.max(0.0) / 1e3));
                suite.add_test_case(case);
            }
            report.add_test_suite(suite);
        }
        report
    }
}

/// One line for people, as soon as the step is done.
#[must_use]
pub fn line(step: &Done) -> String {
    let (word, style) = match step.finding {
        Finding::Ok => ("ok", GOOD),
        Finding::NotOk => ("NOT OK", BAD),
        Finding::Skipped => ("skipped", UNSURE),
    };
    let message = step
        .message
        .as_deref()
        .map(|message| format!(": {message}"))
        .unwrap_or_default();
    format!(
        "{style}{word:7}{style:#} {}  {}: {}{message}\n",
        seconds(step.duration_ms),
        step.scenario,
        step.name
    )
}

fn seconds(milliseconds: f64) -> String {
    if milliseconds < 1000.0 {
        format!("{milliseconds:6.1} ms")
    } else {
        format!("{:6.2} s ", milliseconds / 1e3)
    }
}
