//! What systemd 262 said of units in every state that matters.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use aistack_machine::systemd::{SystemdError, UnitState, parse_show};

const SHOWN: &str = include_str!("fixtures/systemctl-show.txt");
/// In the order of the capture. fix-other is an alias of fix-alias.
const UNITS: [&str; 12] = [
    "fix-running.service",
    "fix-failed.service",
    "fix-loop.service",
    "fix-oneshot.service",
    "fix-kill.service",
    "fix-absent.service",
    "fix-masked.service",
    "fix-bad.service",
    "fix-stopped.service",
    "fix-other.service",
    "local-ai.target",
    "multi-user.target",
];

fn states() -> BTreeMap<&'static str, UnitState> {
    UNITS
        .into_iter()
        .zip(parse_show(SHOWN, &UNITS).unwrap())
        .collect()
}

#[test]
fn every_state_is_told_apart() {
    let states = states();
    let seen: Vec<(String, bool, bool)> = UNITS
        .iter()
        .map(|unit| {
            let state = states.get(unit).unwrap();
            (state.summary(), state.is_active(), state.has_failed())
        })
        .collect();
    let expected = [
        ("active (running)", true, false),
        ("failed (exit-code, status 7)", false, true),
        ("activating (auto-restart)", false, true),
        ("inactive (dead)", false, false),
        ("failed (signal)", false, true),
        ("not-found", false, false),
        ("masked", false, false),
        ("bad-setting", false, false),
        ("inactive (dead)", false, false),
        ("active (running)", true, false),
        ("not-found", false, false),
        ("active (active)", true, false),
    ]
    .map(|(summary, active, failed)| (summary.to_owned(), active, failed));
    assert_eq!(seen, expected);
}

#[test]
fn numbers_and_times() {
    let states = states();
    let looping = states.get("fix-loop.service").unwrap();
    assert_eq!(looping.restarts, Some(3));
    assert_eq!(looping.exit_status, Some(1));
    assert_eq!(
        looping.changed.as_deref(),
        Some("Fri 2026-11-20 18:18:46 UTC")
    );
    assert_eq!(
        looping.changed_monotonic,
        Some(Duration::from_micros(2_740_894_012))
    );
    let stopped = states.get("fix-stopped.service").unwrap();
    assert_eq!(stopped.active_since, None);
    assert_eq!(stopped.unchanged_for(), None);
    // A target has no restarts.
    assert_eq!(states.get("multi-user.target").unwrap().restarts, None);
}

#[test]
fn an_answer_that_is_too_short_is_an_error() {
    let cut = SHOWN.split_once("Id=fix-stopped").unwrap().0;
    let error = parse_show(cut, &UNITS).unwrap_err();
    assert!(
        matches!(&error, SystemdError::Missing { unit } if unit == "fix-stopped.service"),
        "{error:?}"
    );
    assert!(parse_show("", &UNITS).is_err());
}
