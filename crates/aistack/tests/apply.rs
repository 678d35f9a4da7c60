//! `aistack apply`: what is restarted, what is left alone, and what is recorded.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, outcome, secret, service, stack, user, with};
use serde_json::{Value, json};

const SHOW: &str = "show local-ai";

fn apply(machine: &Machine, stack: &Value, more: &[&str]) -> (i32, String, String) {
    let file = machine.stack(stack);
    let record = machine.path("run/applied.json");
    let mut arguments = vec![
        "apply",
        "--stack",
        file.to_str().unwrap(),
        "--record",
        record.to_str().unwrap(),
    ];
    arguments.extend(more);
    machine.forget_calls();
    outcome(machine.aistack(&arguments))
}

/// The calls that change something.
fn verbs(machine: &Machine) -> Vec<String> {
    machine
        .calls()
        .lines()
        .filter(|call| !call.contains(SHOW))
        .map(|call| call.replace("systemctl --no-pager ", ""))
        .collect()
}

fn hashes(machine: &Machine) -> Value {
    let text = fs::read_to_string(machine.path("run/applied.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["configHashes"].clone()
}

fn two(a: &str, b: &str) -> Value {
    stack(&[
        ("a", with(service("a"), "/configHash", json!(a))),
        ("b", with(service("b"), "/configHash", json!(b))),
    ])
}

const PULLS: &str = "start -- local-ai-a-image.service local-ai-b-image.service";
const TARGET: &str = "start --no-block -- local-ai.target";

#[test]
fn the_first_run_records_what_runs_and_restarts_nothing() {
    let machine = Machine::new();
    assert_eq!(apply(&machine, &two("one", "one"), &[]).0, 0);
    assert_eq!(verbs(&machine), [PULLS, TARGET]);
    assert_eq!(hashes(&machine), json!({ "a": "one", "b": "one" }));
}

#[test]
fn the_lock_is_closed_to_other_accounts_and_its_holder_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    assert_eq!(apply(&machine, &two("one", "one"), &[]).0, 0);
    let lock = machine.path("run/applied.lock");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&lock), 0o600);
    assert_eq!(mode(lock.parent().unwrap()), 0o700);

    let held = fs::File::open(&lock).unwrap();
    held.lock().unwrap();
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        drop(held);
    });
    let (code, _, err) = apply(&machine, &two("one", "one"), &[]);
    assert_eq!(code, 0, "{err}");
    let me = format!("is locked by process {} (", std::process::id());
    assert!(err.contains(&me), "{err}");
}

#[test]
fn only_what_changed_is_restarted() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    let (code, out, _) = apply(&machine, &two("one", "two"), &[]);
    assert_eq!(code, 0);
    assert!(out.contains("b: changed, is restarted"), "{out}");
    assert_eq!(
        verbs(&machine),
        [PULLS, "restart --no-block -- local-ai-b.service", TARGET]
    );
    assert_eq!(hashes(&machine), json!({ "a": "one", "b": "two" }));

    apply(&machine, &two("one", "two"), &[]);
    assert_eq!(verbs(&machine), [PULLS, TARGET]);
}

#[test]
fn a_service_that_was_added_and_runs_already_is_recorded_not_restarted() {
    let machine = Machine::new();
    apply(&machine, &stack(&[("a", service("a"))]), &[]);
    apply(&machine, &two("one", "one"), &[]);
    assert_eq!(verbs(&machine), [PULLS, TARGET]);
    assert_eq!(hashes(&machine), json!({ "a": "one", "b": "one" }));
}

#[test]
fn what_does_not_run_is_left_to_the_target() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    machine.unit("local-ai-a.service", "inactive", "dead", "success");
    machine.unit(
        "local-ai-b.service",
        "activating",
        "auto-restart",
        "exit-code",
    );
    apply(&machine, &two("two", "two"), &[]);
    assert_eq!(verbs(&machine), [PULLS, TARGET]);
    assert_eq!(hashes(&machine), json!({ "a": "two", "b": "two" }));
    // One that is still starting, with the old declaration, is replaced.
    machine.unit("local-ai-b.service", "activating", "start", "success");
    apply(&machine, &two("two", "three"), &[]);
    assert!(
        machine
            .calls()
            .contains("restart --no-block -- local-ai-b.service")
    );
}

#[test]
fn a_running_service_keeps_running_when_its_new_image_can_not_be_had() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    machine.write("start-fails/local-ai-a-image.service", "");
    machine.unit("local-ai-a-image.service", "failed", "failed", "exit-code");
    machine.unit("local-ai-b-image.service", "inactive", "dead", "success");
    let (code, out, error) = apply(&machine, &two("two", "two"), &[]);
    assert_eq!(code, 1);
    assert!(
        error.contains(
            "no image for a (services.aiStack.a.image): local-ai-a-image.service is failed"
        ),
        "{error}"
    );
    assert!(out.contains("a: changed, but left running"), "{out}");
    assert_eq!(
        verbs(&machine),
        [PULLS, "restart --no-block -- local-ai-b.service", TARGET]
    );
    // Still to be done, so it is when the image comes.
    assert_eq!(hashes(&machine), json!({ "a": "one", "b": "two" }));
    fs::remove_file(machine.path("start-fails/local-ai-a-image.service")).unwrap();
    machine.unit("local-ai-a-image.service", "inactive", "dead", "success");
    assert_eq!(apply(&machine, &two("two", "two"), &[]).0, 0);
    assert_eq!(
        verbs(&machine),
        [PULLS, "restart --no-block -- local-ai-a.service", TARGET]
    );
}

#[test]
fn an_image_that_is_being_fetched_holds_up_no_other_service() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    // a's download goes on until the test ends it.
    machine.unit("local-ai-a-image.service", "active", "running", "success");
    machine.forget_calls();
    let (done, ended) = mpsc::channel();
    thread::scope(|threads| {
        threads.spawn(|| done.send(apply(&machine, &two("two", "two"), &[])));
        let deadline = Instant::now() + Duration::from_secs(20);
        while !machine.calls().contains(TARGET) {
            assert!(Instant::now() < deadline, "{}", machine.calls());
            thread::sleep(Duration::from_millis(50));
        }
        let seen = (verbs(&machine), hashes(&machine), ended.try_recv().is_err());
        // It ends before anything is asserted, or a failure would wait for ever.
        machine.unit("local-ai-a-image.service", "inactive", "dead", "success");
        assert_eq!(ended.recv().unwrap().0, 0);
        assert_eq!(
            seen.0,
            [PULLS, "restart --no-block -- local-ai-b.service", TARGET]
        );
        assert_eq!(seen.1, json!({ "a": "one", "b": "two" }));
        assert!(seen.2);
    });
    assert!(
        machine
            .calls()
            .contains("restart --no-block -- local-ai-a.service")
    );
    assert_eq!(hashes(&machine), json!({ "a": "two", "b": "two" }));
}

#[test]
fn what_the_last_run_could_not_get_is_not_asked_for_again_at_once() {
    let machine = Machine::new();
    machine.unit("local-ai-a-image.service", "failed", "failed", "exit-code");
    assert_eq!(apply(&machine, &two("one", "one"), &[]).0, 1);
    let (code, _, error) = apply(&machine, &two("one", "one"), &["--settled"]);
    assert_eq!(code, 1);
    assert!(error.contains("no image for a"), "{error}");
    assert_eq!(
        verbs(&machine),
        ["start -- local-ai-b-image.service", TARGET]
    );
    // Another image is asked for, and so is the same one by a run of its own.
    apply(&machine, &two("two", "one"), &["--settled"]);
    assert_eq!(verbs(&machine), [PULLS, TARGET]);
    apply(&machine, &two("two", "one"), &[]);
    assert_eq!(verbs(&machine), [PULLS, TARGET]);
}

#[test]
fn a_running_service_keeps_running_while_a_new_secret_is_missing() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    let source = machine.path("key");
    let mut declared = two("two", "one");
    declared["services"]["a"]["secrets"] = json!([secret("key", &source, false)]);
    let (code, out, _) = apply(&machine, &declared, &[]);
    assert_eq!(code, 1);
    assert!(
        out.contains("a: changed, but left running as it is: secret key"),
        "{out}"
    );
    assert_eq!(verbs(&machine), [PULLS, TARGET]);
    machine.write_private("key", "value");
    assert_eq!(apply(&machine, &declared, &[]).0, 0);
    assert_eq!(
        verbs(&machine),
        [PULLS, "restart --no-block -- local-ai-a.service", TARGET]
    );
}

#[test]
fn a_systemd_that_re_executes_itself_is_asked_again_at_once() {
    let machine = Machine::new();
    machine.write("broken-connections", "1\n2\n");
    let (code, _, error) = apply(&machine, &two("one", "one"), &[]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(verbs(&machine), [PULLS, PULLS, PULLS, TARGET]);
}

#[test]
fn a_restart_that_is_refused_stays_to_be_done_and_stops_no_other() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    machine.write("restart-fails/local-ai-a.service", "");
    let (code, _, error) = apply(&machine, &two("two", "two"), &[]);
    assert_eq!(code, 1);
    assert!(error.contains("a was not restarted"), "{error}");
    assert!(machine.calls().contains("local-ai-b.service"));
    assert!(machine.calls().contains(TARGET));
    assert_eq!(hashes(&machine), json!({ "a": "one", "b": "two" }));
}

#[test]
fn a_dry_run_changes_nothing() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    machine.image("registry.example/b:1");
    let (code, out, _) = apply(&machine, &two("one", "two"), &["--dry-run"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("a: registry.example/a:1 would be fetched"),
        "{out}"
    );
    assert!(!out.contains("b:1 would be fetched"), "{out}");
    assert!(out.contains("b: changed, would be restarted"), "{out}");
    for verb in [" start", " restart", " pull"] {
        assert!(!machine.calls().contains(verb), "{}", machine.calls());
    }
    assert_eq!(hashes(&machine), json!({ "a": "one", "b": "one" }));
}

#[test]
fn a_record_that_is_damaged_is_as_good_as_none() {
    let machine = Machine::new();
    for damaged in [
        "{ \"schema\": 1, \"conf",
        "{\"schema\":9,\"configHashes\":{}}",
        "",
    ] {
        machine.write("run/applied.json", damaged);
        let (code, _, error) = apply(&machine, &two("one", "one"), &[]);
        assert_eq!(code, 0);
        assert!(error.contains("is no usable record"), "{error}");
        assert_eq!(verbs(&machine), [PULLS, TARGET]);
        assert_eq!(hashes(&machine), json!({ "a": "one", "b": "one" }));
    }
}

#[test]
fn services_that_are_gone_leave_the_record() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    apply(&machine, &stack(&[("a", service("a"))]), &[]);
    assert_eq!(hashes(&machine), json!({ "a": "one" }));
    // Beside it the lock alone: no draft.
    assert_eq!(fs::read_dir(machine.path("run")).unwrap().count(), 2);
}

#[test]
fn a_second_one_waits_for_the_first() {
    let machine = Machine::new();
    apply(&machine, &two("one", "one"), &[]);
    let lock = fs::File::open(machine.path("run/applied.lock")).unwrap();
    lock.lock().unwrap();
    let (done, ended) = mpsc::channel();
    thread::scope(|threads| {
        threads.spawn(|| done.send(apply(&machine, &two("one", "two"), &[])));
        ended.recv_timeout(Duration::from_millis(500)).unwrap_err();
        assert_eq!(hashes(&machine), json!({ "a": "one", "b": "one" }));
        lock.unlock().unwrap();
        assert_eq!(ended.recv().unwrap().0, 0);
    });
    assert_eq!(hashes(&machine), json!({ "a": "one", "b": "two" }));
    // Saying what would be done waits for nobody.
    lock.lock().unwrap();
    assert_eq!(apply(&machine, &two("one", "two"), &["--dry-run"]).0, 0);
}

#[test]
fn user_scope_asks_the_users_systemd_and_records_in_its_runtime_directory() {
    let machine = Machine::new();
    let mut stack = two("one", "one");
    stack["scope"] = json!("user");
    stack["user"] = json!(user());
    let file = machine.stack(&stack);
    let (code, _, error) = outcome(machine.aistack(&["apply", "--stack", file.to_str().unwrap()]));
    assert_eq!(code, 0, "{error}");
    assert!(machine.path("runtime/aistack/applied.json").exists());
    for call in machine.calls().lines() {
        assert!(call.starts_with("systemctl --user "), "{call}");
    }

    stack["user"] = json!("somebody-else");
    let file = machine.stack(&stack);
    let (code, _, error) = outcome(machine.aistack(&["apply", "--stack", file.to_str().unwrap()]));
    assert_eq!(code, 2);
    assert!(error.contains("is somebody-else's stack"), "{error}");
}
