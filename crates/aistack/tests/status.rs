//! `aistack status`, and what all commands have in common.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use fakes::{Machine, outcome, port, service, stack, with};
use serde_json::{Value, json};

fn status(machine: &Machine, stack: &Value, more: &[&str]) -> (i32, String, String) {
    let file = machine.stack(stack);
    let mut arguments = vec!["status", "--stack", file.to_str().unwrap()];
    arguments.extend(more);
    outcome(machine.aistack(&arguments))
}

fn sample() -> Value {
    let a = with(
        service("a"),
        "/ports",
        json!([port("http", "127.0.0.1", 8080), port("six", "::1", 8081)]),
    );
    let b = with(service("b"), "/image/tag", json!(null));
    stack(&[("a", a), ("b", b)])
}

#[test]
fn a_table_of_all_units() {
    let machine = Machine::new();
    let (code, out, _) = status(&machine, &sample(), &[]);
    assert_eq!(code, 0);
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|f| !f.is_empty())
                .collect()
        })
        .collect();
    assert!(lines[0][0].starts_with("system, /"), "{out}");
    assert_eq!(
        lines[1],
        ["SERVICE", "STATE", "SINCE", "RESTARTS", "PORTS", "IMAGE"]
    );
    assert_eq!(lines[2][..2], ["a", "active (running)"]);
    assert_eq!(lines[2][3..], ["0", "127.0.0.1:8080 [::1]:8081", "1"]);
    assert_eq!(lines[3][4..], ["-", "registry.example/b:1"]);
    assert_eq!(machine.calls().lines().count(), 1);
}

#[test]
fn a_unit_that_is_not_active_is_one() {
    let machine = Machine::new();
    for (active, sub, result, shown) in [
        (
            "failed",
            "failed",
            "exit-code",
            "failed (exit-code, status 7)",
        ),
        ("failed", "failed", "timeout", "failed (timeout)"),
        ("activating", "start", "success", "activating (start)"),
        ("inactive", "dead", "success", "inactive (dead)"),
    ] {
        machine.unit("local-ai-b.service", active, sub, result);
        let (code, out, _) = status(&machine, &sample(), &[]);
        assert_eq!(code, 1, "{shown}");
        assert!(out.contains(shown), "{out}");
        assert_eq!(status(&machine, &sample(), &["a"]).0, 0);
    }
}

#[test]
fn json_says_the_same() {
    let machine = Machine::new();
    machine.unit("local-ai-b.service", "failed", "failed", "exit-code");
    let (code, out, _) = status(&machine, &sample(), &["--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["schema"], 1);
    let services = report["stacks"][0]["services"].as_array().unwrap();
    assert_eq!(services[0]["active"], true);
    assert_eq!(services[0]["ports"][0]["host"], 8080);
    assert_eq!(services[1]["activeState"], "failed");
    assert_eq!(services[1]["restarts"], 4);
    assert_eq!(services[1]["exitStatus"], 7);
}

#[test]
fn without_systemd_nothing_can_be_said() {
    let machine = Machine::new();
    machine.write("no-systemd", "");
    let (code, out, error) = status(&machine, &sample(), &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("systemd could not be asked"), "{error}");
    // Said once, not once for each link of the chain.
    assert_eq!(error.matches("Host is down").count(), 1, "{error}");
}

#[test]
fn no_stack_and_unknown_names_are_two() {
    let machine = Machine::new();
    let (code, _, error) = status(&machine, &sample(), &["c"]);
    assert_eq!(code, 2);
    assert!(error.contains("known are a, b"), "{error}");
    let root = machine.path("root");
    let (code, _, error) = outcome(machine.aistack(&["status", "--root", root.to_str().unwrap()]));
    assert_eq!(code, 2);
    assert!(error.contains("no stack is declared here"), "{error}");
}

#[test]
fn every_command_explains_itself_and_refuses_what_it_does_not_know() {
    let machine = Machine::new();
    for command in [
        "status", "check", "prestart", "pull", "setup", "rotate", "apply",
    ] {
        let (code, out, _) = outcome(machine.aistack(&[command, "--help"]));
        assert_eq!(code, 0, "{command}");
        assert!(out.contains("Exit codes: 0 "), "{command}: {out}");
        assert!(out.contains("--stack <FILE>"), "{command}: {out}");
        let (code, ..) = outcome(machine.aistack(&[command, "--no-such-option"]));
        assert_eq!(code, 2, "{command}");
    }
    assert_eq!(machine.calls(), "");
}
