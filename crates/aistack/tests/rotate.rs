//! `aistack rotate`: which secrets restart a service, and which don't.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, outcome, secret, service, stack};
use serde_json::{Value, json};

/// A machine on which podman has the values of two secrets, as their files say.
fn machine() -> (Machine, Value) {
    let machine = Machine::new();
    let mut declared = service("x");
    declared["secrets"] = json!([
        secret(
            "one",
            &machine.write_private("files/one", "sesame-one\n"),
            false
        ),
        secret(
            "two",
            &machine.write_private("files/two", "sesame-two"),
            true
        ),
    ]);
    machine.write("secrets/one", "sesame-one");
    machine.write("secrets/two", "sesame-two");
    (machine, stack(&[("x", declared), ("y", service("y"))]))
}

fn rotate(machine: &Machine, stack: &Value) -> (i32, String, String) {
    let file = machine.stack(stack);
    let seen = outcome(machine.aistack(&["rotate", "x", "--stack", file.to_str().unwrap()]));
    for text in [&seen.1, &seen.2, &machine.calls()] {
        assert!(!text.contains("sesame"), "a value is shown: {text}");
    }
    seen
}

fn restarts(machine: &Machine) -> Vec<String> {
    let calls = machine.calls();
    calls
        .lines()
        .filter(|line| line.contains("restart"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn what_podman_has_already_restarts_nothing() {
    let (machine, stack) = machine();
    let (code, out, error) = rotate(&machine, &stack);
    assert_eq!(
        (code, out.as_str(), error.as_str()),
        (0, "x: no secret changed, so it is not restarted\n", "")
    );
    assert_eq!(restarts(&machine), [""; 0]);
    assert!(
        machine
            .calls()
            .contains("podman secret inspect --showsecret one\n")
    );
}

#[test]
fn another_value_restarts_that_service_alone() {
    let (machine, mut stack) = machine();
    // As long as the old one.
    machine.write_private("files/two", "sesame-tow\n");
    let (code, out, error) = rotate(&machine, &stack);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(out, "x: secret two changed, so it is restarted\n");
    assert_eq!(
        restarts(&machine),
        ["systemctl --no-pager restart --no-block -- local-ai-x.service"]
    );
    // The container takes it at its next start, not here.
    assert_eq!(
        fs::read_to_string(machine.path("secrets/two")).unwrap(),
        "sesame-two"
    );

    machine.forget_calls();
    stack["scope"] = json!("user");
    stack["user"] = json!(fakes::user());
    fs::remove_file(machine.path("secrets/one")).unwrap();
    let (code, out, _) = rotate(&machine, &stack);
    assert_eq!(
        (code, out.as_str()),
        (0, "x: secret one, two changed, so it is restarted\n")
    );
    assert_eq!(
        restarts(&machine),
        ["systemctl --user --no-pager restart --no-block -- local-ai-x.service"]
    );
}

#[test]
fn a_service_that_is_stopped_stays_so() {
    let (machine, stack) = machine();
    machine.write_private("files/one", "sesame-three\n");
    machine.unit("local-ai-x.service", "inactive", "dead", "success");
    let (code, out, _) = rotate(&machine, &stack);
    assert_eq!(code, 0);
    assert!(out.contains("secret one changed; it is stopped"), "{out}");
    assert_eq!(restarts(&machine), [""; 0]);
    // One that failed may have failed for the old value.
    machine.unit("local-ai-x.service", "failed", "failed", "exit-code");
    assert_eq!(rotate(&machine, &stack).0, 0);
    assert_eq!(restarts(&machine).len(), 1);
}

#[test]
fn a_secret_that_is_swapped_at_this_moment_is_waited_for() {
    let (machine, stack) = machine();
    let file = machine.path("files/one");
    fs::remove_file(&file).unwrap();
    let writer = thread::spawn({
        let file = file.clone();
        let link = machine.path("files/elsewhere");
        move || {
            symlink(&link, &file).unwrap();
            thread::sleep(Duration::from_millis(700));
            fs::write(&link, "").unwrap();
            fs::set_permissions(&link, PermissionsExt::from_mode(0o600)).unwrap();
            thread::sleep(Duration::from_millis(700));
            fs::write(&link, "sesame-new").unwrap();
        }
    });
    let (code, out, error) = rotate(&machine, &stack);
    writer.join().unwrap();
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(out, "x: secret one changed, so it is restarted\n");
}

#[test]
fn a_secret_that_stays_away_restarts_nothing() {
    let (machine, stack) = machine();
    machine.write_private("files/two", "sesame-three\n");
    for (make, words, waits) in [
        ("remove", "does not exist", true),
        ("empty", "is empty", true),
        ("open", "has mode 0644, so every user may read it", false),
    ] {
        let file = machine.path("files/one");
        match make {
            "remove" => fs::remove_file(&file).unwrap(),
            "empty" => drop(machine.write_private("files/one", "\n")),
            _ => {
                machine.write("files/one", "sesame-four");
                fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
            }
        }
        let start = Instant::now();
        let (code, out, error) = rotate(&machine, &stack);
        assert_eq!((code, out.as_str()), (1, ""), "{make}");
        assert!(
            error.contains("x was not restarted: secret one (services.aiStack.x.secretEnv.one): "),
            "{error}"
        );
        assert!(error.contains(words), "{error}");
        assert_eq!(start.elapsed() >= Duration::from_secs(5), waits, "{make}");
        assert!(start.elapsed() < Duration::from_secs(15));
    }
    assert_eq!(restarts(&machine), [""; 0]);
}

#[test]
fn podman_and_systemd_that_fail_are_quoted() {
    let (machine, stack) = machine();
    machine.write("podman-broken", "");
    let (code, _, error) = rotate(&machine, &stack);
    assert_eq!(code, 1);
    assert!(error.contains("storage is broken"), "{error}");
    fs::remove_file(machine.path("podman-broken")).unwrap();
    // Another program's answer; a value in it is not shown.
    machine.write("secrets/one", "sesame\",\"");
    let (code, _, error) = rotate(&machine, &stack);
    assert_eq!(code, 1);
    assert!(
        error.contains("did not answer a secret with its value in JSON"),
        "{error}"
    );
    machine.write("secrets/one", "sesame-other");
    machine.write("restart-fails/local-ai-x.service", "");
    let (code, out, error) = rotate(&machine, &stack);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        error.contains("x was not restarted, though secret one changed"),
        "{error}"
    );
    machine.write("no-systemd", "");
    assert_eq!(rotate(&machine, &stack).0, 2);
}

#[test]
fn passwords_that_a_server_keeps_are_left_to_setup() {
    let (machine, mut stack) = machine();
    let x = &mut stack["services"]["x"];
    x["ports"] = json!([fakes::port("postgres", "127.0.0.1", fakes::closed_port())]);
    x["postgres"] = json!({
        "port": "postgres", "user": "mcp", "database": "mcp",
        "passwordSource": machine.path("files/one"), "major": null, "versionFile": "/absent",
        "roles": [], "databases": [],
    });
    // Without users there is nothing to set.
    assert_eq!(rotate(&machine, &stack).0, 0);
    let role = json!({ "name": "app", "passwordSource": machine.path("files/gone"), "option": "o.users.app" });
    stack["services"]["x"]["postgres"]["roles"] = json!([role]);
    let (code, out, error) = rotate(&machine, &stack);
    assert_eq!(code, 1);
    assert!(out.contains("no secret changed"), "{out}");
    assert!(
        error.contains("setup failed: password of app (o.users.app): "),
        "{error}"
    );
    machine.unit("local-ai-x.service", "inactive", "dead", "success");
    assert_eq!(rotate(&machine, &stack).0, 0);
    assert_eq!(restarts(&machine), [""; 0]);
}
