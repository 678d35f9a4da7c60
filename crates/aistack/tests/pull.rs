//! `aistack pull`: an image that is there, comes from an archive, or is fetched.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::time::{Duration, Instant};

use fakes::{Machine, outcome, service, stack, with};
use serde_json::{Value, json};

const IMAGE: &str = "registry.example/x:1";

fn pull(machine: &Machine, declared: Value) -> (i32, String, String) {
    let file = machine.stack(&stack(&[("x", declared)]));
    let file = file.to_str().unwrap();
    outcome(machine.aistack(&["pull", "x", "--stack", file, "--wait", "0.01"]))
}

#[test]
fn nothing_is_done_for_an_image_that_is_there() {
    let machine = Machine::new();
    machine.image(IMAGE);
    assert_eq!(pull(&machine, service("x")).0, 0);
    assert_eq!(machine.calls(), format!("podman image exists {IMAGE}\n"));
}

#[test]
fn a_registry_that_says_nothing_is_given_up_on() {
    let machine = Machine::new();
    machine.write("pull-hangs", "");
    let file = machine.stack(&stack(&[("x", service("x"))]));
    let began = Instant::now();
    let (code, _, error) = outcome(machine.aistack(&[
        "pull",
        "x",
        "--stack",
        file.to_str().unwrap(),
        "--wait",
        "0.01",
        "--attempts",
        "2",
        "--silence",
        "0.5",
    ]));
    assert_eq!(code, 1);
    assert!(
        error.contains("neither read nor wrote anything for 0.5 s and was stopped"),
        "{error}"
    );
    assert_eq!(machine.calls().matches("podman pull").count(), 2);
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "{:?}",
        began.elapsed()
    );
    // What podman had started ended with it.
    let pids = fs::read_to_string(machine.path("pull-pids")).unwrap();
    for pid in pids.lines() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    }
}

#[test]
fn a_slow_download_is_not_given_up_on() {
    let machine = Machine::new();
    // A process that podman started does the work, for longer than the limit.
    machine.write("pull-trickles", "");
    let file = machine.stack(&stack(&[("x", service("x"))]));
    let (code, _, error) = outcome(machine.aistack(&[
        "pull",
        "x",
        "--stack",
        file.to_str().unwrap(),
        "--attempts",
        "1",
        "--silence",
        "1",
    ]));
    assert_eq!(code, 0, "{error}");
}

#[test]
fn a_service_that_waits_for_its_image_is_started_and_no_other() {
    for (active, sub, woken) in [
        ("activating", "auto-restart", true),
        ("activating", "start", false),
        ("inactive", "dead", false),
        ("active", "running", false),
    ] {
        let machine = Machine::new();
        machine.unit("local-ai-x.service", active, sub, "exit-code");
        assert_eq!(pull(&machine, service("x")).0, 0);
        assert_eq!(
            machine
                .calls()
                .contains("restart --no-block -- local-ai-x.service"),
            woken,
            "{active} {sub}: {}",
            machine.calls()
        );
    }
}

#[test]
fn a_download_is_tried_again() {
    let machine = Machine::new();
    machine.write("pull-failures", "3");
    let (code, out, error) = pull(&machine, service("x"));
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("attempt 4 of 5"), "{out}");
    // 10 ms, twice that, and twice that again.
    assert!(error.contains("next attempt in 0.04 s"), "{error}");
    assert_eq!(machine.calls().matches("podman pull").count(), 4);
}

#[test]
fn a_download_that_never_works_ends() {
    let machine = Machine::new();
    machine.write("pull-failures", "9");
    let (code, _, error) = pull(&machine, service("x"));
    assert_eq!(code, 1);
    assert_eq!(machine.calls().matches("podman pull").count(), 5);
    assert!(
        error.contains("no image for x (services.aiStack.x.image): 5 attempts failed"),
        "{error}"
    );
}

#[test]
fn an_archive_is_loaded_instead() {
    let machine = Machine::new();
    let archive = machine.archive("x.tar", IMAGE);
    let declared = with(service("x"), "/image/archive", json!(archive));
    assert_eq!(pull(&machine, declared).0, 0);
    let calls = machine.calls();
    assert!(calls.contains("podman load --input"), "{calls}");
    assert!(!calls.contains("podman pull"), "{calls}");
}

#[test]
fn a_declared_hash_is_compared_before_podman_sees_the_archive() {
    let machine = Machine::new();
    let archive = machine.archive("x.tar", IMAGE);
    let declared = with(service("x"), "/image/archive", json!(archive));
    let hashed = |hash: &str| {
        let mut declared = declared.clone();
        declared["image"]["archiveSha256"] = json!(hash);
        declared
    };
    let wrong = hashed(&"0".repeat(64));
    let (code, _, error) = pull(&machine, wrong);
    assert_eq!(code, 1);
    assert!(error.contains("x.tar has the SHA-256 "), "{error}");
    assert!(!machine.calls().contains("podman load"));
    let seen = error.split("has the SHA-256 ").nth(1).unwrap();
    assert_eq!(pull(&machine, hashed(&seen[..64])).0, 0);
}

#[test]
fn an_archive_that_others_can_change_needs_a_declared_hash() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    let archive = machine.archive("x.tar", IMAGE);
    std::fs::set_permissions(&archive, PermissionsExt::from_mode(0o666)).unwrap();
    let declared = with(service("x"), "/image/archive", json!(archive));
    let (code, _, error) = pull(&machine, declared);
    assert_eq!(code, 1);
    assert!(
        error.contains("can be changed by another account"),
        "{error}"
    );
    assert!(!machine.calls().contains("podman load"));
}

#[test]
fn an_archive_without_the_image_or_that_is_missing_is_said() {
    let machine = Machine::new();
    let archive = machine.archive("x.tar", "registry.example/other:1");
    let declared = with(service("x"), "/image/archive", json!(archive));
    let (code, _, error) = pull(&machine, declared);
    assert_eq!(code, 1);
    assert!(
        error.contains(&format!(
            "brings registry.example/other:1, and only {IMAGE} is wanted"
        )),
        "{error}"
    );
    assert!(
        !machine.calls().contains("podman load"),
        "{}",
        machine.calls()
    );

    let declared = with(service("x"), "/image/archive", json!("/nope/x.tar"));
    let (code, _, error) = pull(&machine, declared);
    assert_eq!(code, 1);
    assert!(error.contains("/nope/x.tar does not exist"), "{error}");
    assert!(!machine.calls().contains("podman pull"));
}

#[test]
fn a_podman_that_cannot_look_is_no_missing_image() {
    let machine = Machine::new();
    machine.write("podman-broken", "");
    let (code, _, error) = pull(&machine, service("x"));
    assert_eq!(code, 2);
    assert!(error.contains("storage is broken"), "{error}");
    assert!(!machine.calls().contains("podman pull"));
}
