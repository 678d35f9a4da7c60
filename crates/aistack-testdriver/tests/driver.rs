//! `aistack-testdriver`: real sockets on loopback, among them such that misbehave, and
//! fake podman, systemctl and journalctl.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Machine, answers, closed_port, respond};
use serde_json::{Value, json};

const JSON: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-a: b\r\n\
    content-length: 41\r\n\r\n{\"items\":[{\"name\":\"one\"}],\"list\":[\"two\"]}";

fn get(at: SocketAddr, expect: &Value) -> Value {
    json!({ "http": { "url": format!("http://{at}/"), "expect": expect } })
}

#[test]
fn an_answer_is_held_against_each_matcher() {
    let machine = Machine::new();
    let at = answers(JSON);
    let good = json!({
        "status": 200, "headers": { "Content-Type": { "contains": "json" }, "x-a": { "equals": "b" } },
        "body": { "contains": "one", "lacks": "three" },
        "json": [
            { "path": "$.items[0].name", "equals": "one" },
            { "path": "$.list", "contains": "two" },
            { "path": "$.nothing", "exists": false },
        ],
    });
    let (code, out) = machine.steps(&json!([get(at, &good)]));
    assert_eq!(code, 0, "{out}");
    assert!(out.ends_with("1 passed, 0 failed, 0 skipped\n"), "{out}");
    for (expect, words) in [
        (json!({ "status": 404 }), "answered status 200, not 404"),
        (
            json!({ "headers": { "x-b": { "equals": "b" } } }),
            "the answer has no header x-b",
        ),
        (
            json!({ "headers": { "x-a": { "equals": "c" } } }),
            "header x-a is \"b\", not \"c\"",
        ),
        (
            json!({ "body": { "contains": "three" } }),
            "the body lacks \"three\"",
        ),
        (
            json!({ "body": { "lacks": "one" } }),
            "the body has \"one\"",
        ),
        (
            json!({ "json": [{ "path": "$.items[1]" }] }),
            "the body has nothing at $.items[1]",
        ),
        (
            json!({ "json": [{ "path": "$.items", "exists": false }] }),
            "the body has [",
        ),
        (
            json!({ "json": [{ "path": "$.items[0].name", "equals": 1 }] }),
            "$.items[0].name is \"one\", not 1",
        ),
        (
            json!({ "json": [{ "path": "$.list", "contains": "tw" }] }),
            "without \"tw\"",
        ),
    ] {
        let (code, out) = machine.steps(&json!([get(at, &expect)]));
        assert_eq!(code, 1, "{expect}: {out}");
        assert!(out.contains(words), "{words}: {out}");
        assert!(out.ends_with("0 passed, 1 failed, 0 skipped\n"), "{out}");
    }
}

#[test]
fn method_headers_and_body_are_sent() {
    let machine = Machine::new();
    let at = respond(|mut stream, request| {
        let request = request.to_lowercase();
        let good = request.starts_with("patch /a?b=c ")
            && request.contains("x-key: secret")
            && request.ends_with("hello");
        let status = if good {
            "204 No Content"
        } else {
            "400 Bad Request"
        };
        drop(
            stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes()),
        );
    });
    let (code, out) = machine.steps(&json!([{ "http": {
        "url": format!("http://{at}/a?b=c"), "method": "PATCH", "headers": { "x-key": "secret" },
        "body": "hello", "expect": { "status": 204 },
    } }]));
    assert_eq!(code, 0, "{out}");
}

#[test]
fn servers_that_misbehave_cost_their_time_out_and_no_more() {
    let machine = Machine::new();
    let garbage = answers("\u{1}\u{2} this is no HTTP \r\n\r\n");
    let slow = respond(|mut stream, _| {
        for byte in JSON.bytes() {
            thread::sleep(Duration::from_millis(300));
            if stream.write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    let endless = respond(|mut stream, _| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n"));
        while stream.write_all(&[b'x'; 8192]).is_ok() {}
    });
    let silent = respond(|stream, _| {
        thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    let refusing = SocketAddr::from(([127, 0, 0, 1], closed_port()));
    let closing = respond(|stream, _| drop(stream));
    let step = |at| json!({ "timeout": 1, "http": { "url": format!("http://{at}/") } });
    let start = Instant::now();
    let all = [garbage, slow, endless, silent, refusing, closing];
    let steps: Vec<Value> = all.iter().map(step).collect();
    let (code, out) = machine.groups(&json!([{ "parallel": true, "steps": steps }]));
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(code, 1);
    let of = |at: SocketAddr| {
        out.lines()
            .find(|line| line.contains(&at.to_string()))
            .unwrap()
            .to_owned()
    };
    for (at, words) in [
        (garbage, "not HTTP"),
        (slow, "no complete answer"),
        (endless, "more than 1024 KiB"),
        (silent, "no complete answer"),
        (refusing, "connection refused"),
        (closing, "closed the connection"),
    ] {
        assert!(of(at).contains(words), "{words}: {}", of(at));
    }
    assert!(out.ends_with("0 passed, 6 failed, 0 skipped\n"), "{out}");
}

#[test]
fn tcp_files_units_and_what_listens() {
    let machine = Machine::new();
    machine.write("root/proc/net/none", "");
    machine.write(
        "units/bad.service",
        "LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\n",
    );
    machine.write(
        "units/none.service",
        "LoadState=not-found\nActiveState=inactive\n",
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (open, closed) = (listener.local_addr().unwrap().port(), closed_port());
    let file = machine.write("some/file", "words\n");
    let all = json!([
        { "tcp": { "number": open } },
        { "tcp": { "number": closed, "open": false } },
        { "nothing-listens": { "number": closed } },
        { "file": { "path": file, "text": { "equals": "words" } } },
        { "file": { "path": "/nowhere", "exists": false } },
        { "unit": { "service": "web" } },
        { "unit": { "unit": "bad.service", "state": "failed" } },
        { "unit": { "unit": "none.service", "state": "not-found" } },
        { "exec": { "argv": ["sh", "-c", "cat; echo bad >&2; exit 3"], "input": "in", "exit": 3,
            "stdout": { "equals": "in" }, "stderr": { "contains": "bad" } } },
        { "exec": { "service": "web", "argv": ["echo", "inside"], "stdout": { "equals": "inside" } } },
    ]);
    let (code, out) = machine.steps(&all);
    assert_eq!(code, 0, "{out}");
    assert!(
        machine
            .calls()
            .contains("podman exec local-ai-web echo inside")
    );
    for (step, words) in [
        (json!({ "tcp": { "number": closed } }), "refused"),
        (
            json!({ "tcp": { "number": open, "open": false } }),
            "takes connections",
        ),
        (
            json!({ "nothing-listens": { "number": open } }),
            "something listens on 127.0.0.1",
        ),
        (
            json!({ "file": { "path": file, "exists": false } }),
            "file is there",
        ),
        (
            json!({ "file": { "path": "/nowhere" } }),
            "/nowhere is not there",
        ),
        (
            json!({ "unit": { "unit": "bad.service" } }),
            "bad.service is failed (exit-code",
        ),
        (
            json!({ "unit": { "unit": "none.service" } }),
            "none.service is not-found",
        ),
        (
            json!({ "exec": { "argv": ["sh", "-c", "echo why >&2; false"] } }),
            "exit status: 1: why",
        ),
        (
            json!({ "exec": { "argv": ["/no/such/program"] } }),
            "could not be started",
        ),
        (
            json!({ "exec": { "argv": ["echo", "a"], "stdout": { "equals": "b" } } }),
            "standard output is \"a\", not \"b\"",
        ),
    ] {
        let (code, out) = machine.steps(&json!([step]));
        assert_eq!(code, 1, "{step}: {out}");
        assert!(out.contains(words), "{words}: {out}");
    }
}

#[test]
fn a_step_is_tried_again_with_growing_pauses_until_it_is_well() {
    let machine = Machine::new();
    let count = machine.path("count");
    let script = format!("echo x >> {0}; [ $(wc -l < {0}) -ge 4 ]", count.display());
    let step = |retry: Value| json!({ "timeout": 20, "retry": retry, "exec": { "argv": ["sh", "-c", script] } });
    let start = Instant::now();
    let (code, out) = machine.steps(&json!([step(json!({ "every": 0.1, "factor": 2 }))]));
    assert_eq!(code, 0, "{out}");
    // 0.1 + 0.2 + 0.4
    assert!(start.elapsed() >= Duration::from_millis(700));
    fs::remove_file(&count).unwrap();
    let (code, out) = machine.steps(&json!([step(json!({ "every": 0.01, "tries": 3 }))]));
    assert_eq!(code, 1);
    assert!(out.contains("tried 3 times"), "{out}");
}

#[test]
fn a_limit_is_measured() {
    let machine = Machine::new();
    let sleep = json!({ "limit": 0.1, "exec": { "argv": ["sleep", "0.3"] } });
    let (code, out) = machine.steps(&json!([sleep]));
    assert_eq!(code, 1);
    assert!(out.contains("more than 0.1 s"), "{out}");
    let (code, out) = machine.groups(&json!([
        { "limit": 0.1, "steps": [{ "exec": { "argv": ["sleep", "0.3"] } }] },
        { "steps": [{ "exec": { "argv": ["true"] } }] },
    ]));
    assert_eq!(code, 1);
    assert!(
        out.contains("the whole group is quick enough: it took"),
        "{out}"
    );
    assert!(out.ends_with("1 passed, 1 failed, 1 skipped\n"), "{out}");
}

#[test]
fn groups_run_in_parallel_and_a_failure_passes_over_the_rest() {
    let machine = Machine::new();
    let sleep = json!({ "exec": { "argv": ["sleep", "0.6"] } });
    let start = Instant::now();
    let (code, out) = machine.groups(&json!([
        { "parallel": true, "steps": [sleep, sleep, sleep, sleep, sleep, sleep] },
    ]));
    assert_eq!(code, 0, "{out}");
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "{:?}",
        start.elapsed()
    );

    let bad = json!({ "name": "bad", "exec": { "argv": ["false"] } });
    let good = json!({ "exec": { "argv": ["true"] } });
    let (code, out) = machine.groups(&json!([
        { "parallel": true, "name": "first", "steps": [bad, good] },
        { "steps": [good] },
    ]));
    assert_eq!(code, 1);
    assert!(out.contains("first failed"), "{out}");
    assert!(out.ends_with("1 passed, 1 failed, 1 skipped\n"), "{out}");
    let (_, out) = machine.groups(&json!([{ "steps": [good, bad, good] }, { "steps": [good] }]));
    assert!(out.ends_with("1 passed, 1 failed, 2 skipped\n"), "{out}");
    let (_, out) = machine.groups(&json!([
        { "keep-going": true, "steps": [good, bad, good] },
        { "steps": [good] },
    ]));
    assert!(out.ends_with("3 passed, 1 failed, 0 skipped\n"), "{out}");
}

/// A step that writes its name down.
fn noted(machine: &Machine, name: &str) -> Value {
    let script = format!("echo {name} >> {}", machine.path("notes").display());
    json!({ "name": name, "exec": { "argv": ["sh", "-c", script] } })
}

fn notes(machine: &Machine) -> String {
    fs::read_to_string(machine.path("notes"))
        .unwrap_or_default()
        .replace('\n', " ")
}

#[test]
fn cleanups_run_after_a_failure_the_last_first_and_only_of_what_began() {
    let machine = Machine::new();
    let with = |name: &str, cleanup: &str, fails: bool| {
        let mut step = noted(&machine, name);
        if fails {
            step["exec"]["argv"] = json!(["false"]);
        }
        step["cleanup"] = json!([noted(&machine, cleanup)]);
        step
    };
    let (code, out) = machine.groups(&json!([{ "steps": [
        with("one", "undo-one", false), with("two", "undo-two", true), with("three", "undo-three", false),
    ] }]));
    assert_eq!(code, 1, "{out}");
    assert_eq!(notes(&machine), "one undo-two undo-one ");
    assert!(out.ends_with("3 passed, 1 failed, 1 skipped\n"), "{out}");
}

#[test]
fn a_cleanup_that_hangs_is_stopped_and_the_others_run() {
    let machine = Machine::new();
    let mut one = noted(&machine, "one");
    one["cleanup"] = json!([noted(&machine, "undo-one")]);
    let mut two = noted(&machine, "two");
    two["cleanup"] =
        json!([{ "name": "hangs", "timeout": 0.3, "exec": { "argv": ["sleep", "60"] } }]);
    let start = Instant::now();
    let (code, out) = machine.groups(&json!([{ "steps": [one, two] }]));
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(code, 1);
    assert_eq!(notes(&machine), "one two undo-one ");
    assert!(
        out.contains("hangs: `sleep 60` gave no answer within"),
        "{out}"
    );
    assert!(out.ends_with("3 passed, 1 failed, 0 skipped\n"), "{out}");
}

/// Runs a scenario and sends it a signal as soon as its first line is out.
fn signalled(machine: &Machine, second: &Value, signal: rustix::process::Signal) -> (i32, String) {
    machine.mark();
    let mut first = noted(machine, "first");
    // Long enough to be stopped as well, if the signal meant the cleanups.
    let slow = json!({ "exec": { "argv": ["sleep", "1"] } });
    first["cleanup"] = json!([slow, noted(machine, "undo-first")]);
    let document = json!({ "schema": 1, "name": "t", "groups": [
        { "steps": [first, second, noted(machine, "never")] },
    ] });
    let file = machine.write("scenario.json", document.to_string());
    let mut child = machine
        .command(&["run", file.to_str().unwrap(), "--destructive"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    out.read_line(&mut text).unwrap();
    thread::sleep(Duration::from_millis(100));
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
    out.read_to_string(&mut text).unwrap();
    (child.wait().unwrap().code().unwrap(), text)
}

#[test]
fn a_signal_in_the_middle_cleans_up_and_the_exit_code_says_so() {
    let silent = respond(|stream, _| {
        thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    let sleep = json!({ "exec": { "argv": ["sh", "-c", "sleep 60 & wait"] } });
    let http = json!({ "http": { "url": format!("http://{silent}/") } });
    let again = json!({ "retry": { "every": 60 }, "timeout": 120, "exec": { "argv": ["false"] } });
    for (step, signal, wanted) in [
        (&sleep, rustix::process::Signal::INT, 130),
        (&http, rustix::process::Signal::INT, 130),
        (&again, rustix::process::Signal::TERM, 143),
    ] {
        let machine = Machine::new();
        let start = Instant::now();
        let (code, out) = signalled(&machine, step, signal);
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(code, wanted, "{out}");
        assert_eq!(notes(&machine), "first undo-first ");
        assert!(out.contains("interrupted"), "{out}");
        assert!(out.ends_with("3 passed, 1 failed, 1 skipped\n"), "{out}");
    }
}

#[test]
fn a_killed_container_must_be_another_one() {
    let machine = Machine::new();
    let steps = json!([
        { "kill-container": { "service": "web" } },
        { "timeout": 1, "wait-healthy": { "new": true } },
    ]);
    let (code, out) = machine.steps(&steps);
    assert_eq!(code, 0, "{out}");
    assert!(
        machine
            .calls()
            .contains("podman kill --signal KILL local-ai-web")
    );
    machine.write("nobody-restarts", "");
    let (code, out) = machine.steps(&steps);
    assert_eq!(code, 1);
    assert!(
        out.contains("local-ai-web is still the same container"),
        "{out}"
    );
}

#[test]
fn healthy_is_unit_container_and_probe() {
    let machine = Machine::new();
    let step = json!([{ "timeout": 2, "wait-healthy": {} }]);
    for (state, words) in [
        ("one exited healthy", "local-ai-web is exited"),
        (
            "one running unhealthy",
            "podman says that local-ai-web is unhealthy",
        ),
        ("one running starting", "is starting"),
    ] {
        machine.write("containers/local-ai-web", state);
        let (code, out) = machine.steps(&step);
        assert_eq!(code, 1, "{out}");
        assert!(out.contains(words), "{out}");
    }
    fs::remove_file(machine.path("containers/local-ai-web")).unwrap();
    let (_, out) = machine.steps(&step);
    assert!(
        out.contains("podman has no container local-ai-web"),
        "{out}"
    );
}

#[test]
fn containers_are_stopped_continued_recreated_and_reset() {
    let machine = Machine::new();
    machine.stack(&[("cache", closed_port()), ("web", closed_port())]);
    let (code, out) = machine.steps(&json!([
        { "stop-container": { "service": "web" } },
        { "continue-container": { "service": "web" } },
        { "recreate-container": {} },
        { "wait-healthy": { "new": true } },
        { "reset-storage": {} },
        { "continue-container": {} },
        { "start-unit": { "service": "web" } },
        { "stop-unit": { "service": "web" } },
        { "restart-unit": { "unit": "local-ai-cache.service", "wait": false } },
    ]));
    assert_eq!(code, 0, "{out}");
    for call in [
        "podman kill --signal STOP local-ai-web",
        "podman kill --signal CONT local-ai-web",
        "systemctl --no-pager restart -- local-ai-cache.service",
        "podman system reset --force",
        "systemctl --no-pager start -- local-ai-web.service",
        "systemctl --no-pager stop -- local-ai-web.service",
        "systemctl --no-pager restart --no-block -- local-ai-cache.service",
    ] {
        assert!(
            machine.calls().contains(call),
            "{call}: {}",
            machine.calls()
        );
    }
    machine.write("nobody-restarts", "");
    let (code, out) = machine.steps(&json!([{ "recreate-container": { "service": "web" } }]));
    assert_eq!(code, 1, "{out}");
    machine.write("hangs-restart", "");
    let (code, out) = machine.steps(&json!([
        { "timeout": 0.3, "restart-unit": { "service": "web" } },
    ]));
    assert_eq!(code, 1);
    assert!(out.contains("gave no answer within"), "{out}");
}

/// Changes what the stack says of its service `web`.
fn declare(machine: &Machine, change: impl FnOnce(&mut Value)) {
    let path = machine.path("stack.json");
    let mut stack: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut stack["services"]["web"]);
    fs::write(path, stack.to_string()).unwrap();
}

#[test]
fn a_container_is_the_same_another_one_or_gone() {
    let machine = Machine::new();
    let is =
        |state: &str| json!({ "timeout": 1, "container": { "service": "web", "state": state } });
    let (code, out) = machine.steps(&json!([is("running"), is("same")]));
    assert_eq!(code, 0, "{out}");
    let kill = json!({ "kill-container": { "service": "web" } });
    let (code, out) = machine.steps(&json!([kill, is("new"), is("running")]));
    assert_eq!(code, 0, "{out}");
    for (steps, words) in [
        (json!([is("new")]), "local-ai-web is the old one"),
        (json!([is("gone")]), "local-ai-web runs"),
        (json!([kill, is("same")]), "local-ai-web is another one"),
    ] {
        let (code, out) = machine.steps(&steps);
        assert_eq!(code, 1, "{out}");
        assert!(out.contains(words), "{words}: {out}");
    }
    machine.write("containers/local-ai-web", "one exited healthy\n");
    let (code, out) = machine.steps(&json!([is("gone")]));
    assert_eq!(code, 0, "{out}");
    let (code, out) = machine.steps(&json!([is("running")]));
    assert!(code == 1 && out.contains("local-ai-web is exited"), "{out}");
    fs::remove_file(machine.path("containers/local-ai-web")).unwrap();
    let (code, out) = machine.steps(&json!([is("gone")]));
    assert_eq!(code, 0, "{out}");
    let (code, out) = machine.steps(&json!([is("new")]));
    assert!(code == 1 && out.contains("is not there"), "{out}");
}

#[test]
fn secrets_are_podmans_and_show_nowhere() {
    use std::os::unix::fs::PermissionsExt;

    // Another run of this test on the machine has another.
    let value = format!("s3cret-of-{}", std::process::id());
    let machine = Machine::new();
    let source = machine.write("secret", &value);
    let mode = |mode| fs::set_permissions(&source, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o600);
    declare(&machine, |web| {
        web["secrets"] = json!([{
            "name": "web-KEY", "source": source, "generate": true,
            "option": "services.aiStack.web.secretEnv.KEY",
        }]);
    });
    machine.write("secrets/web-KEY", &value);
    machine.write("journal", "nothing\nof note\n");
    let look = json!([{ "secrets": {} }]);
    let (code, out) = machine.steps(&look);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("web keeps its secrets"), "{out}");

    let bad = |words: &str| {
        let (code, out) = machine.steps(&look);
        assert_eq!(code, 1, "{words}: {out}");
        assert!(out.contains(words), "{words}: {out}");
        assert!(!out.contains(&value), "{out}");
    };
    machine.write("journal", format!("a\nkey={value}\n"));
    machine.write("all-units", format!("Environment=KEY={value}\n"));
    bad("web-KEY shows in systemctl show, the journal");
    machine.write("journal", "");
    machine.write("all-units", "");
    // In the way of a program that takes a password as an argument. It waits by itself: a
    // `sleep` that it started would outlive it, and hold the output of the tests open.
    let mut process = Command::new("sh")
        .args(["-c", "read -r line", &value])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    bad("web-KEY shows in the list of processes");
    process.kill().unwrap();
    process.wait().unwrap();
    mode(0o644);
    bad("every user may read it");
    mode(0o600);
    machine.write("secrets/web-KEY", "another value");
    bad("podman holds another value of web-KEY");
    fs::remove_file(machine.path("secrets/web-KEY")).unwrap();
    bad("podman holds no secret web-KEY");
    fs::write(&source, "short").unwrap();
    bad("has less than 8 characters");
    fs::remove_file(&source).unwrap();
    bad("does not exist");
    declare(&machine, |web| web["secrets"] = json!([]));
    let (code, out) = machine.steps(&json!([{ "secrets": { "service": "web" } }]));
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("it has none"), "{out}");
}

#[test]
fn a_container_is_held_against_its_quadlet() {
    let machine = Machine::new();
    // This test's own process stands for the container's.
    machine.write(
        "containers/local-ai-web",
        format!("one running healthy {}\n", std::process::id()),
    );
    let step = json!([{ "confined": { "service": "web" } }]);
    let (code, out) = machine.steps(&step);
    assert!(code == 1 && out.contains("knows no file"), "{out}");
    let quadlet = machine.write("web.container", "[Container]\nReadOnly=false\nUser=77:77\n");
    machine.write(
        "source-of-local-ai-web.service",
        format!("{}\n", quadlet.display()),
    );
    let (code, out) = machine.steps(&step);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("declared is 77"), "{out}");
    assert!(!out.contains("its root is"), "{out}");
    fs::write(&quadlet, "[Container]\nReadOnly=true\n").unwrap();
    let (code, out) = machine.steps(&step);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("its root is writable, declared read-only"),
        "{out}"
    );
    machine.write("containers/local-ai-web", "one exited healthy\n");
    let (_, out) = machine.steps(&step);
    assert!(out.contains("local-ai-web has no process"), "{out}");
}

#[test]
fn units_that_have_failed_are_named() {
    let machine = Machine::new();
    let step = json!([{ "no-failed-units": {} }]);
    let (code, out) = machine.steps(&step);
    assert_eq!(code, 0, "{out}");
    machine.write(
        "failed-units",
        "a.service loaded failed failed A\nb.timer loaded failed failed B\n",
    );
    let (code, out) = machine.steps(&step);
    assert!(code == 1 && out.contains(": a.service, b.timer\n"), "{out}");
}

#[test]
fn ports_of_loopback_are_closed_on_another_address() {
    let machine = Machine::new();
    let ours = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = ours.local_addr().unwrap().port();
    machine.stack(&[("web", port)]);
    let step = json!([{ "ports": { "service": "web", "closed-on": "127.0.0.2" } }]);
    let (code, out) = machine.steps(&step);
    assert_eq!(code, 0, "{out}");
    let _other = TcpListener::bind(("127.0.0.2", port)).unwrap();
    let (code, out) = machine.steps(&step);
    assert_eq!(code, 1, "{out}");
    let words = format!("http takes connections on 127.0.0.2:{port}");
    assert!(out.contains(&words), "{words}: {out}");
}

#[test]
fn texts_take_what_the_stack_says() {
    let machine = Machine::new();
    let say = |text: &str, seen: &str| json!({ "exec": { "argv": ["echo", text], "stdout": { "equals": seen } } });
    let stack = machine.path("stack.json").display().to_string();
    let (code, out) = machine.steps(&json!([
        say("--${$.scope} ${$.services.web.unit}", "--system local-ai-web.service"),
        say("${stack} ${HOME}", &format!("{stack} ${{HOME}}")),
        { "unit": { "unit": "${$.services.web.unit}" } },
    ]));
    assert_eq!(code, 0, "{out}");
    let (code, out) = machine.steps(&json!([say("a", "a"), say("${$.services.none.unit}", "")]));
    assert_eq!(code, 2, "{out}");
    assert!(
        out.contains("groups[0].steps[1].exec.argv[1]")
            && out.contains("stack.json has nothing at $.services.none.unit"),
        "{out}"
    );
    // One that is passed over may refer to what is not there.
    machine.mark();
    let document = json!({ "schema": 1, "name": "t", "requires": ["none"],
        "groups": [{ "steps": [say("${$.services.none.unit}", "")] }] });
    let file = machine.write("s.json", document.to_string());
    let (code, out, _) = machine.outcome(&["run", file.to_str().unwrap(), "--destructive"]);
    assert!(code == 0 && out.contains("none is not on"), "{out}");
}

#[test]
fn folders_of_data_keep_a_file() {
    let machine = Machine::new();
    let (data, store) = (machine.path("data"), machine.path("store"));
    fs::create_dir(&data).unwrap();
    fs::create_dir(&store).unwrap();
    declare(&machine, |web| {
        let folder = |path: &Path, read_only| {
            json!({ "name": "d", "host": path, "container": path, "readOnly": read_only,
                "owner": null, "mode": "0700" })
        };
        web["data"] = json!([folder(&data, false), folder(&store, true)]);
    });
    let (code, out) = machine.steps(&json!([{ "write-marker": {} }, { "read-marker": {} }]));
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("2 passed"), "{out}");
    assert!(fs::read_dir(&store).unwrap().next().is_none());
    fs::write(data.join("aistack-marker"), "other\n").unwrap();
    let (code, out) = machine.steps(&json!([{ "read-marker": {} }]));
    assert!(code == 1 && out.contains("has another text"), "{out}");
    fs::remove_file(data.join("aistack-marker")).unwrap();
    let (code, out) = machine.steps(&json!([{ "read-marker": {} }]));
    assert!(code == 1 && out.contains("No such file"), "{out}");
}

#[test]
fn all_services_are_looked_at_with_one_question() {
    let machine = Machine::new();
    let services: Vec<String> = (0..12).map(|n| format!("web{n}")).collect();
    let services: Vec<(&str, u16)> = services.iter().map(|name| (name.as_str(), 1)).collect();
    machine.stack(&services);
    // However the threads are scheduled: all ask while the first waits for its answer.
    machine.write("slow", "");
    let (code, out) = machine.groups(&json!([
        { "parallel": true, "steps": [{ "wait-healthy": { "except": ["web3"] } }] },
    ]));
    assert_eq!(code, 0, "{out}");
    assert!(out.ends_with("11 passed, 0 failed, 0 skipped\n"), "{out}");
    let questions = machine.calls().matches("podman container inspect").count();
    // One for the first step, one for those that came while it was asked.
    assert!(questions <= 4, "{questions}");

    fs::remove_file(machine.path("calls")).unwrap();
    let mut steps: Vec<Value> = (0..12)
        .map(|n| json!({ "unit": { "unit": format!("u{n}.service") } }))
        .collect();
    // What is no name is asked for alone.
    steps.push(json!({ "unit": { "unit": "a?.service" } }));
    let (code, out) = machine.groups(&json!([{ "parallel": true, "steps": steps }]));
    assert_eq!(code, 0, "{out}");
    let calls = machine.calls();
    let questions: Vec<&str> = calls
        .lines()
        .filter(|line| line.contains(" show "))
        .collect();
    assert!(questions.len() <= 5, "{questions:?}");
    let alone = |line: &&&str| line.contains("a?.service") && !line.contains("u1.service");
    assert_eq!(questions.iter().filter(alone).count(), 1, "{questions:?}");
}

#[test]
fn a_line_of_the_journal_counts_from_the_beginning_on() {
    let machine = Machine::new();
    let step =
        json!([{ "timeout": 0.4, "journal": { "service": "web", "contains": "the cause" } }]);
    let (code, out) = machine.steps(&step);
    assert_eq!(code, 1);
    assert!(out.contains("no line has \"the cause\""), "{out}");
    machine.write("journal", "first\nthis is the cause of it\n");
    let (code, out) = machine.steps(&step);
    assert_eq!(code, 0, "{out}");
    assert!(
        machine
            .calls()
            .contains("--unit=local-ai-web.service --after-cursor=s=1;i=2")
    );

    let lacks =
        |words| json!([{ "timeout": 0.4, "journal": { "service": "web", "lacks": words } }]);
    assert_eq!(machine.steps(&lacks("a panic")).0, 0);
    let (code, out) = machine.steps(&lacks("the cause"));
    assert_eq!(code, 1);
    assert!(
        out.contains("a line has \"the cause\": this is the cause of it"),
        "{out}"
    );
}

#[test]
fn a_port_is_taken_and_released() {
    let machine = Machine::new();
    let port = closed_port();
    let (code, out) = machine.steps(&json!([
        { "take-port": { "number": port } },
        { "tcp": { "number": port } },
        { "take-port": { "number": port } },
        { "release-port": { "number": port } },
        { "nothing-listens": { "number": port } },
        { "release-port": { "number": port } },
    ]));
    assert_eq!(code, 1);
    assert!(out.contains("in use"), "{out}");
    assert!(out.contains("no step holds it"), "{out}");
    assert!(out.ends_with("4 passed, 2 failed, 0 skipped\n"), "{out}");
}

#[test]
fn what_changes_the_machine_is_refused_without_flag_and_mark() {
    let machine = Machine::new();
    let before = machine.calls();
    let (code, _, error) = machine.outcome(&["run", "kill"]);
    assert_eq!(code, 2);
    assert!(error.contains("it runs with --destructive"), "{error}");
    let (code, _, error) = machine.outcome(&["run", "kill", "--destructive"]);
    assert_eq!(code, 2);
    assert!(error.contains("this is no test stack"), "{error}");
    assert!(error.contains("/test-stack does not exist"), "{error}");
    assert_eq!(machine.calls(), before);
    machine.mark();
    let (code, out, _) = machine.outcome(&["run", "kill", "--destructive"]);
    assert_eq!(code, 0, "{out}");
    // The mark alone is no permission.
    assert_eq!(machine.outcome(&["run", "kill"]).0, 2);
}

#[test]
fn a_harmless_step_needs_no_permission_and_one_that_could_change_does() {
    let machine = Machine::new();
    let run = |step: &Value| {
        let document = json!({ "schema": 1, "name": "t", "groups": [{ "steps": [step] }] });
        let file = machine.write("s.json", document.to_string());
        machine.outcome(&["run", file.to_str().unwrap()]).0
    };
    assert_eq!(run(&json!({ "exec": { "argv": ["true"] } })), 2);
    assert_eq!(
        run(&json!({ "harmless": true, "exec": { "argv": ["true"] } })),
        0
    );
    let post = json!({ "url": "http://127.0.0.1:1/", "method": "POST" });
    assert_eq!(run(&json!({ "http": post })), 2);
    // Whatever it says of itself.
    assert_eq!(run(&json!({ "harmless": true, "kill-container": {} })), 2);
    // In a cleanup as well.
    assert_eq!(
        run(&json!({ "ports": {}, "cleanup": [{ "kill-container": {} }] })),
        2
    );
}

/// Two services, one of which keeps nothing.
fn service_data(machine: &Machine) {
    let well = answers("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nmodel");
    machine.stack(&[("locked", well.port()), ("web", well.port())]);
    let http = json!({ "port": "http", "path": "/" });
    let data = json!({
        "web": {
            "checks": [
                { "name": "lists", "http": http, "expect": "model" },
                { "name": "says", "exec": ["echo", "a word"], "expect": "word" },
                { "name": "writes", "exec": ["echo", "a word"], "expect": "word", "quick": false },
            ],
            // Written in two steps.
            "marker": {
                "write": [
                    { "exec": ["touch", machine.path("m")] },
                    { "exec": ["sh", "-c", format!("[ -e {0} ] && echo kept > {0}", machine.path("m").display())] },
                ],
                "read": { "exec": ["cat", machine.path("m")] },
                "expect": "kept",
            },
        },
        "locked": { "checks": [
            { "name": "lists", "http": http, "expect": ["mo", "del"], "lacks": "x" },
        ] },
        "another": { "checks": [] },
    });
    machine.write("scenarios.json", data.to_string());
}

#[test]
fn quick_asks_what_the_services_say_and_writes_nothing() {
    let machine = Machine::new();
    service_data(&machine);
    let (code, out, error) = machine.outcome(&["quick"]);
    assert_eq!(code, 0, "{out}{error}");
    for words in [
        "web is healthy",
        "web lists",
        "web writes: it writes: for test stacks alone",
        "locked lists",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
    assert!(out.ends_with("7 passed, 0 failed, 1 skipped\n"), "{out}");
    assert!(!machine.path("m").exists());
    machine.mark();
    let (_, out, _) = machine.outcome(&["run", "quick", "--destructive"]);
    assert!(out.ends_with("8 passed, 0 failed, 0 skipped\n"), "{out}");
    let other = machine.write(
        "other.json",
        r#"{"web":{"checks":[{"name":"x","exec":["true"],"expect":"y"}]}}"#,
    );
    let (code, out, _) = machine.outcome(&["quick", "--scenarios", other.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(out.contains("no \"y\" in the answer"), "{out}");
}

/// A server that wants `header: value`, and repeats what it was given.
fn guarded(header: &'static str, value: &'static str) -> SocketAddr {
    respond(move |mut stream, request| {
        let given = request
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case(header))
            .map_or("", |(_, given)| given);
        let (status, body) = if given == value {
            ("200 OK", format!("model, asked by {given}"))
        } else {
            ("401 Unauthorized", String::new())
        };
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}");
        drop(stream.write_all(answer.as_bytes()));
    })
}

/// One service with a key, and a check that sends it as `auth` says.
fn with_key(machine: &Machine, at: SocketAddr, auth: &Value, expect: &str) {
    machine.services([(
        "store",
        json!({
            "ports": [{
                "name": "http", "protocol": "tcp", "address": "127.0.0.1", "host": at.port(),
                "container": 80, "option": "services.aiStack.x.ports.http",
            }],
            "secrets": [{
                "name": "local-ai-store-KEY", "source": machine.path("key"), "generate": false,
                "option": "services.aiStack.store.secretEnv.KEY",
            }],
        }),
    )]);
    let mut http = json!({ "port": "http", "path": "/" });
    if !auth.is_null() {
        http["auth"] = auth.clone();
    }
    let data = json!({ "store": {
        "checks": [{ "name": "lists", "http": http, "expect": expect }],
        "marker": { "write": { "http": http }, "read": { "http": http }, "expect": expect },
    } });
    machine.write("scenarios.json", data.to_string());
}

fn key_file(machine: &Machine, value: &str) {
    let path = machine.write("key", value);
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn a_check_sends_the_declared_key() {
    let machine = Machine::new();
    let checks = json!([
        { "checks": {} },
        { "write-marker": {} },
        { "read-marker": {} },
    ]);
    let bearer =
        json!({ "secret": "local-ai-store-KEY", "header": "authorization", "prefix": "Bearer " });
    let own = json!({ "secret": "local-ai-store-KEY", "header": "api-key" });
    for (header, value, auth) in [
        ("authorization", "Bearer sesame-1", &bearer),
        ("api-key", "sesame-1", &own),
    ] {
        with_key(&machine, guarded(header, value), auth, "model");
        key_file(&machine, "sesame-1\n");
        let (code, out) = machine.steps(&checks);
        assert_eq!(code, 0, "{header}: {out}");
        assert!(out.ends_with("3 passed, 0 failed, 0 skipped\n"), "{out}");
    }
}

#[test]
fn a_key_is_sent_to_the_declared_container_alone() {
    let machine = Machine::new();
    let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    stranger.set_nonblocking(true).unwrap();
    let auth = json!({ "secret": "local-ai-store-KEY", "header": "api-key" });
    with_key(&machine, stranger.local_addr().unwrap(), &auth, "model");
    key_file(&machine, "sesame-1");
    // The unit is up, but its processes are others than the one that listens.
    machine.write("control-group", "/system.slice/local-ai-store.service");
    let (code, out) = machine.steps(&json!([{ "checks": {} }]));
    assert_eq!(code, 1, "{out}");
    assert!(
        out.contains("its key was not sent: the socket on 127.0.0.1"),
        "{out}"
    );
    assert_eq!(
        stranger.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock,
        "the stranger was connected to"
    );
}

#[test]
fn a_service_that_refuses_is_a_failure_that_says_why() {
    let machine = Machine::new();
    let auth = json!({ "secret": "local-ai-store-KEY", "header": "api-key" });
    let at = guarded("api-key", "sesame-1");
    let failing = |auth: &Value, expect: &str| {
        with_key(&machine, at, auth, expect);
        let (code, out) = machine.steps(&json!([{ "checks": {} }]));
        assert_eq!(code, 1, "{out}");
        assert!(out.ends_with("0 passed, 1 failed, 0 skipped\n"), "{out}");
        assert!(!out.contains("sesame"), "{out}");
        out
    };
    let out = failing(&auth, "model");
    assert!(
        out.contains("the key of store (services.aiStack.store.secretEnv.KEY) cannot be used"),
        "{out}"
    );
    assert!(out.contains("does not exist"), "{out}");

    key_file(&machine, "sesame-2");
    let out = failing(&auth, "model");
    assert!(
        out.contains("answered status 401: it refuses the key of the secret local-ai-store-KEY"),
        "{out}"
    );

    let out = failing(&Value::Null, "model");
    assert!(
        out.contains("answered status 401: it asks for a key, and scenarios.json names none"),
        "{out}"
    );

    let unknown = json!({ "secret": "local-ai-store-OTHER", "header": "api-key" });
    let out = failing(&unknown, "model");
    assert!(out.contains("which stack.json does not have"), "{out}");

    key_file(&machine, "two\nlines");
    let out = failing(&auth, "model");
    assert!(out.contains("it must be one line of text"), "{out}");

    // A server that repeats the key does not bring it into the report.
    key_file(&machine, "sesame-1");
    let out = failing(&auth, "another");
    assert!(out.contains("asked by (the key)"), "{out}");
}

#[test]
fn an_answer_must_lack_what_it_must_not_have() {
    let machine = Machine::new();
    let well = answers("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nmodel");
    machine.stack(&[("web", well.port())]);
    let http = json!({ "port": "http", "path": "/" });
    let asked = |check: Value| {
        machine.write(
            "scenarios.json",
            json!({ "web": { "checks": [check] } }).to_string(),
        );
        machine.steps(&json!([{ "checks": {} }]))
    };
    let (code, out) = asked(json!({ "name": "a", "http": http, "expect": "mod", "lacks": "del" }));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("\"del\" is in the answer"), "{out}");
    let (code, out) = asked(json!({ "name": "a", "http": http, "expect": ["mod", "x"] }));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("no \"x\" in the answer"), "{out}");
}

#[test]
fn markers_go_through_the_service() {
    let machine = Machine::new();
    service_data(&machine);
    let (code, out) = machine.steps(&json!([
        { "write-marker": {} },
        { "read-marker": {} },
        { "read-marker": { "service": "locked" } },
    ]));
    assert_eq!(code, 0, "{out}");
    assert!(out.ends_with("2 passed, 0 failed, 1 skipped\n"), "{out}");
    fs::write(machine.path("m"), "lost").unwrap();
    let (code, out) = machine.steps(&json!([{ "read-marker": {} }]));
    assert_eq!(code, 1);
    assert!(out.contains("no \"kept\" in the answer \"lost\""), "{out}");
}

#[test]
fn a_scenario_that_does_not_fit_is_refused_or_passed_over() {
    let machine = Machine::new();
    let run = |document: &Value| {
        let file = machine.write("s.json", document.to_string());
        machine.outcome(&["run", file.to_str().unwrap()])
    };
    let one = |step: Value| json!({ "schema": 1, "name": "t", "groups": [{ "steps": [step] }] });
    for (step, words) in [
        (
            json!({ "ports": { "service": "nobody" } }),
            "scenario t at groups[0].steps[0]: no service is called nobody: known are web",
        ),
        (
            json!({ "tcp": { "service": "web", "port": "grpc" } }),
            "web has no port grpc: known are http",
        ),
        (
            json!({ "ports": {}, "cleanup": [{ "ports": { "service": "nobody" } }] }),
            "at groups[0].steps[0].cleanup[0]: no service is called nobody",
        ),
        (json!({ "explode": {} }), "unknown field `explode`"),
    ] {
        let (code, _, error) = run(&one(step));
        assert_eq!(code, 2);
        assert!(error.contains(words), "{error}");
    }
    let mut wants = one(json!({ "ports": {} }));
    wants["requires"] = json!(["gpu-thing"]);
    let (code, out, _) = run(&wants);
    assert_eq!(code, 0);
    assert!(out.contains("gpu-thing is not on"), "{out}");
    let (code, _, error) = machine.outcome(&["run", "nonsense"]);
    assert_eq!(code, 2);
    assert!(error.contains("known are quick, boot, kill"), "{error}");
    let (code, _, error) = machine.outcome(&["run", "/nowhere.toml"]);
    assert_eq!(code, 2);
    assert!(error.contains("/nowhere.toml cannot be read"), "{error}");
}

#[test]
fn reports_for_machines() {
    let machine = Machine::new();
    service_data(&machine);
    let document = json!({ "schema": 1, "name": "t <&>", "groups": [{ "keep-going": true, "steps": [
        { "name": "good # 1", "ports": {} },
        { "name": "bad", "file": { "path": "/nowhere" } },
        { "name": "skip", "read-marker": { "service": "locked" } },
    ] }] });
    let file = machine.write("s.json", document.to_string());
    let run = |flag: &str| machine.outcome(&["run", file.to_str().unwrap(), flag]);
    let (code, out, error) = run("--tap");
    assert_eq!(
        (code, error.as_str()),
        (1, "2 passed, 1 failed, 1 skipped\n")
    );
    assert!(
        out.starts_with("TAP version 14\n1..4\nok 1 - t <&> / group 1 / good \\# 1: locked"),
        "{out}"
    );
    assert!(
        out.contains("\nnot ok 3 - t <&> / group 1 / bad\n  ---\n  message: \"/nowhere"),
        "{out}"
    );
    assert!(
        out.contains(
            "\nok 4 - t <&> / group 1 / skip # SKIP it has no folder, and scenarios.json no marker"
        ),
        "{out}"
    );
    let (code, out, _) = run("--json");
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["passed"], 2);
    assert_eq!(report["interrupted"], false);
    assert_eq!(report["steps"][2]["finding"], "failed");
    let (code, out, _) = run("--junit");
    assert_eq!(code, 1);
    for words in [
        "<testsuite name=\"t &lt;&amp;&gt;\" tests=\"4\" disabled=\"1\" errors=\"0\" failures=\"1\"",
        "<failure message=\"/nowhere is not there\"",
        "<skipped message=",
    ] {
        assert!(out.contains(words), "{words}: {out}");
    }
}

#[test]
fn built_in_scenarios_run() {
    let machine = Machine::new();
    service_data(&machine);
    machine.mark();
    for name in [
        "boot",
        "kill",
        "recreate",
        "survive-reset",
        "before-reboot",
        "after-reboot",
    ] {
        let (code, out, error) = machine.outcome(&["run", name, "--destructive"]);
        assert_eq!(code, 0, "{name}: {out}{error}");
    }
    for name in ["hang", "port-taken"] {
        let (code, out, _) = machine.outcome(&["run", name, "--destructive"]);
        assert_eq!(code, 0, "{out}");
        assert!(out.contains("redis is not on"), "{out}");
    }
    let (code, out, _) = machine.outcome(&["list"]);
    assert_eq!(code, 0);
    assert_eq!(out.lines().count(), 9);
}
