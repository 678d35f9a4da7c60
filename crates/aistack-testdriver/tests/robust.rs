//! The driver against what misbehaves: clocks that jump, programs and servers that answer
//! garbage, or slowly, or without end, files that are no scenarios, signals while it
//! cleans up. Each costs its time-out and no more, and is a finding with an exit code.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::{Machine, answers, each, server};
use serde_json::{Value, json};

/// Runs steps; exit code, what was said, and how long it took.
fn steps(machine: &Machine, steps: &Value) -> (i32, String, Duration) {
    outcome(&mut machine.run(&machine.scenario(&each(steps))))
}

fn outcome(command: &mut Command) -> (i32, String, Duration) {
    let begin = Instant::now();
    let output = command.output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    text += &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), text, begin.elapsed())
}

/// Writes `text` over and over, a byte every 200 ms.
fn trickles(text: &'static [u8]) -> SocketAddr {
    server(move |mut stream| {
        for byte in text.iter().cycle() {
            if stream.write_all(&[*byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(200));
        }
    })
}

/// A library before libc's in which the time of day jumps by a day and back with each
/// question, while the monotonic clock stays as it is; none without a C compiler.
fn jumping_clock(machine: &Machine) -> Option<PathBuf> {
    let source = machine.write(
        "clock.c",
        r"
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long jump(void) {
    static long n;
    long sign = __sync_add_and_fetch(&n, 1) % 2 ? 1 : -1;
    return sign * 86400;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int result = syscall(SYS_clock_gettime, clock, at);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) at->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *at, void *zone) {
    int result = syscall(SYS_gettimeofday, at, zone);
    at->tv_sec += jump();
    return result;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
",
    );
    let library = machine.path("clock.so");
    let made = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    made.is_ok_and(|status| status.success()).then_some(library)
}

#[test]
fn a_time_of_day_that_jumps_changes_no_time_out() {
    let machine = Machine::new();
    let Some(library) = jumping_clock(&machine) else {
        // Past the harness, which would count this as passed.
        drop(writeln!(
            std::io::stderr(),
            "SKIP no C compiler here to make the clock jump"
        ));
        return;
    };
    // The clock does jump, or the rest would show nothing.
    let dates: Vec<i64> = (0..2)
        .map(|questions| {
            let script = "import sys, time\nfor _ in range(int(sys.argv[1])): time.time()\nprint(int(time.time()))";
            let date = Command::new("python3")
                .args(["-c", script, &questions.to_string()])
                .env("LD_PRELOAD", &library)
                .output()
                .unwrap();
            String::from_utf8(date.stdout).unwrap().trim().parse().unwrap()
        })
        .collect();
    assert!(dates[0].abs_diff(dates[1]) > 86_400, "{dates:?}");

    let silent = server(|stream| {
        thread::sleep(Duration::from_secs(30));
        drop(stream);
    });
    let file = machine.scenario(&each(&json!([
        { "timeout": 0.5, "exec": { "argv": ["sleep", "30"] } },
        { "timeout": 1, "retry": { "every": 0.1, "factor": 1 }, "exec": { "argv": ["false"] } },
        { "timeout": 0.5, "http": { "url": format!("http://{silent}/") } },
        { "limit": 20, "exec": { "argv": ["sleep", "0.2"] } },
        { "limit": 0.05, "exec": { "argv": ["sleep", "0.2"] } },
    ])));
    let mut command = machine.run(&file);
    command.arg("--json").env("LD_PRELOAD", &library);
    let (code, out, took) = outcome(&mut command);
    assert_eq!(code, 1, "{out}");
    assert!(took >= Duration::from_millis(2300), "{took:?}");
    assert!(took < Duration::from_secs(15), "{took:?}: {out}");
    let end = out.rfind('}').unwrap();
    let report: Value = serde_json::from_str(&out[..=end]).unwrap();
    assert_eq!(
        (&report["passed"], &report["failed"]),
        (&json!(1), &json!(4))
    );
    let steps = report["steps"].as_array().unwrap();
    assert!(steps[1]["tries"].as_u64().unwrap() > 3, "{out}");
    for step in steps {
        let lasted = step["durationMs"].as_f64().unwrap();
        assert!((40.0..10_000.0).contains(&lasted), "{step}");
    }
}

#[test]
fn health_probes_bear_with_garbage_and_with_single_bytes() {
    let http = |at: SocketAddr| json!({ "http": { "url": format!("http://{at}/") } });
    let socket =
        |kind: &str, at: SocketAddr| json!({ kind: { "address": at.ip(), "port": at.port() } });
    let garbage = answers(b"\0\xff\xfe\x1b[2J garbage \r\n\r\n\r\n");
    let slow = trickles(b"x");
    for (health, wanted) in [
        (http(garbage), 1),
        (http(slow), 1),
        (socket("redis", garbage), 1),
        (socket("redis", slow), 1),
        (socket("redis", answers(b"")), 1),
        // A server that says no is one.
        (socket("redis", answers(b"-NOAUTH\r\n")), 0),
        (socket("postgres", garbage), 1),
        (socket("postgres", slow), 1),
        (socket("postgres", answers(b"")), 1),
    ] {
        let machine = Machine::new();
        machine.services([("web", json!({ "health": health }))]);
        let (code, out, took) = steps(&machine, &json!([{ "timeout": 1, "wait-healthy": {} }]));
        assert_eq!(code, wanted, "{health}: {out}");
        assert!(took < Duration::from_secs(5), "{health}: {took:?}");
        // What a stranger says does not reach the terminal as it is.
        assert!(!out.contains('\u{1b}'), "{out:?}");
    }
}

#[test]
fn answers_that_lie_about_their_length_or_never_end() {
    let step = |at: SocketAddr| {
        json!({ "timeout": 1, "http": {
            "url": format!("http://{at}/"), "expect": { "body": { "contains": "whole" } },
        } })
    };
    for (name, at) in [
        (
            "too short",
            answers(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nwh"),
        ),
        (
            "no number",
            answers(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\nwho"),
        ),
        (
            "negative",
            answers(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nwho"),
        ),
        (
            "larger than memory",
            answers(b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\nwh"),
        ),
        (
            "a chunk that is none",
            answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nwho"),
        ),
        (
            "a chunk larger than memory",
            answers(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nwh"),
        ),
        ("no status", answers(b"HTTP/1.1\r\n\r\nwho")),
        ("nothing", answers(b"")),
        (
            "headers without end",
            server(|mut stream| {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
                while stream.write_all(b"x-a: b\r\n").is_ok() {}
            }),
        ),
        ("byte by byte", trickles(b"HTTP/1.1 200 OK\r\n")),
    ] {
        let machine = Machine::new();
        let (code, out, took) = steps(&machine, &json!([step(at)]));
        assert_eq!(code, 1, "{name}: {out}");
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        assert!(
            out.ends_with("0 passed, 1 failed, 0 skipped\n"),
            "{name}: {out}"
        );
    }
}

#[test]
fn programs_that_answer_garbage_or_not_at_all_are_findings() {
    let steps = json!([
        { "timeout": 0.5, "wait-healthy": {} },
        { "timeout": 0.5, "unit": { "service": "web" } },
        { "timeout": 0.5, "kill-container": { "service": "web" } },
        { "timeout": 0.5, "recreate-container": { "service": "web" } },
        { "timeout": 0.5, "journal": { "service": "web", "contains": "x" } },
    ]);
    for script in [
        r"printf '\377\376\000 {[ garbage'",
        "echo '[]'; echo '[{}]'",
        "exec sleep 60",
        "exec yes '{'",
        "kill -9 $$",
        "exit 77",
    ] {
        let machine = Machine::new();
        machine.program("podman", script);
        machine.program("systemctl", script);
        // The journal's end may take ten seconds to be found, which are not spent here.
        if !script.contains("sleep") {
            machine.program("journalctl", script);
        }
        let file = machine.scenario(&json!([{ "parallel": true, "steps": steps }]));
        let (code, out, took) = outcome(&mut machine.run(&file));
        assert_eq!(code, 1, "{script}: {out}");
        assert!(took < Duration::from_secs(15), "{script}: {took:?}");
        assert!(
            out.ends_with("0 passed, 5 failed, 0 skipped\n"),
            "{script}: {out}"
        );
    }
}

#[test]
fn what_is_no_scenario_is_refused_with_a_place() {
    let machine = Machine::new();
    let deep = format!(
        "{{\"schema\":1,\"name\":\"t\",\"groups\":{}{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let large = format!("# {}\n", "x".repeat(2 * 1024 * 1024));
    let twice = r#"{"schema":1,"name":"a","name":"b","groups":[{"steps":[{"tcp":{"number":1}}]}]}"#;
    for (file, text, words) in [
        ("a.json", &b"\xff\xfe{"[..], "a.json is not valid JSON"),
        ("a.toml", b"\xff\xfe", "a.toml"),
        ("a.json", b"", "EOF"),
        ("a.toml", b"", "missing field"),
        ("a.json", deep.as_bytes(), "a.json"),
        ("a.toml", large.as_bytes(), "larger than 1024 KiB"),
        ("a.json", b"null", "at the top level"),
        (
            "a.json",
            br#"{"schema":1,"name":"t","groups":[{"steps":[{"tcp":{"number":1,"opne":true}}]}]}"#,
            "groups[0].steps[0].tcp",
        ),
        (
            "a.toml",
            b"schema = 1\nname = \"t\"\n[[groups]]\n[[groups.steps]]\nexplode = {}\n",
            "groups[0].steps[0].explode: unknown field `explode`",
        ),
        (
            "a.toml",
            b"schema = 1\nname = \"t\"\n[[groups]]\n[[groups.steps]]\ntimeout = nan\nports = {}\n",
            "groups[0].steps[0].timeout",
        ),
    ] {
        let file = machine.write(file, text);
        let (code, out, took) = outcome(&mut machine.run(&file));
        assert_eq!(code, 2, "{out}");
        assert!(out.contains(words), "{words}: {out}");
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    // Of a name that stands twice the last counts, as in JSON everywhere; it is no crash.
    let file = machine.write("twice.json", twice);
    assert!(matches!(outcome(&mut machine.run(&file)).0, 0..=2));
    let (code, out, _) = outcome(&mut machine.run(&machine.path("")));
    assert_eq!(code, 2, "{out}");
}

/// Runs a scenario, sends it SIGINT once its first line is out, and again after each
/// further line.
fn impatient(machine: &Machine, steps: &Value) -> (i32, String) {
    let mut child = machine
        .run(&machine.scenario(&each(steps)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while out.read_line(&mut text).unwrap() != 0 {
        // It may have ended in between.
        rustix::process::kill_process(pid, rustix::process::Signal::INT).ok();
    }
    (child.wait().unwrap().code().unwrap(), text)
}

#[test]
fn ctrl_c_again_and_again_leaves_no_cleanup_out() {
    let machine = Machine::new();
    let note = |name: &str| {
        let script = format!("echo {name} >> {}", machine.path("notes").display());
        json!({ "name": name, "exec": { "argv": ["sh", "-c", script] } })
    };
    let with = |name: &str| {
        let mut step = note(name);
        step["cleanup"] = json!([
            { "timeout": 0.5, "name": "hangs", "exec": { "argv": ["sleep", "30"] } },
            note(&format!("undo-{name}")),
        ]);
        step
    };
    let (code, out) = impatient(
        &machine,
        &json!([with("one"), { "exec": { "argv": ["sleep", "30"] } }, note("never")]),
    );
    assert_eq!(code, 130, "{out}");
    let notes = fs::read_to_string(machine.path("notes")).unwrap();
    assert_eq!(notes, "one\nundo-one\n", "{out}");
    assert!(out.contains("hangs: "), "{out}");
}
