//! `aistack check`: real sockets and servers on loopback, a fake systemctl.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, closed_port, data, outcome, port, service, stack, user, with};
use serde_json::{Value, json};

fn check(machine: &Machine, stack: &Value, more: &[&str]) -> (i32, String, String) {
    let file = machine.stack(stack);
    let mut arguments = vec!["check", "--stack", file.to_str().unwrap()];
    arguments.extend(more);
    outcome(machine.aistack(&arguments))
}

/// An HTTP server on 127.0.0.1 that answers `status` after a while.
fn http_server(status: &'static str, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                drop(stream.read(&mut [0; 4096]));
                thread::sleep(delay);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                drop(stream.write_all(answer.as_bytes()));
            });
        }
    });
    address
}

/// A service that publishes the address and is asked over HTTP.
fn web(name: &str, at: SocketAddr) -> Value {
    let service = with(
        service(name),
        "/ports",
        json!([port("http", "127.0.0.1", at.port())]),
    );
    with(
        service,
        "/health",
        json!({ "http": { "url": format!("http://{at}/health") } }),
    )
}

/// The lines of a report without runs of spaces.
fn lines(out: &str) -> Vec<String> {
    out.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

#[test]
fn everything_as_declared() {
    let machine = Machine::new();
    let at = http_server("200 OK", Duration::ZERO);
    let web = with(
        web("web", at),
        "/data",
        json!([data(&machine.path("data"))]),
    );
    let (code, out, error) = check(&machine, &stack(&[("web", web)]), &[]);
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let lines = lines(&out);
    assert!(lines[0].starts_with("ok system web unit local-ai-web.service: active for"));
    assert_eq!(
        lines[1],
        format!("ok system web port http {at}/tcp: listens")
    );
    assert!(lines[2].starts_with(&format!(
        "ok system web health GET http://{at}/health: status 200 in"
    )));
    assert!(lines[3].starts_with("ok system web data main: /"));
    assert_eq!(lines[4], "4 ok, 0 not ok");
    assert!(!out.contains('\u{1b}'), "colour on a pipe");
}

#[test]
fn each_thing_that_is_wrong_is_said_with_what_to_do() {
    let machine = Machine::new();
    machine.unit("local-ai-down.service", "failed", "failed", "exit-code");
    let wide = TcpListener::bind("0.0.0.0:0").unwrap();
    let sick = http_server("503 Service Unavailable", Duration::ZERO);
    let closed = closed_port();
    let down = with(
        service("down"),
        "/ports",
        json!([
            port("gone", "127.0.0.1", closed),
            port("wide", "127.0.0.1", wide.local_addr().unwrap().port())
        ]),
    );
    let down = with(down, "/data", json!([data(&machine.path("absent"))]));
    let down = with(
        down,
        "/health",
        json!({ "tcp": { "address": "127.0.0.1", "port": closed } }),
    );
    let stack = stack(&[("down", down), ("sick", web("sick", sick))]);
    let (code, out, _) = check(&machine, &stack, &[]);
    assert_eq!(code, 1);
    for words in [
        "NOT OK  system  down  unit    local-ai-down.service: failed (exit-code, status 7)",
        "`journalctl -u local-ai-down.service -n 50` says why",
        "nothing listens there",
        "wrong address: it listens on 0.0.0.0",
        "absent is missing: is its disk mounted?",
        "`systemd-tmpfiles --create`",
        "connection refused",
        "answered status 503",
        "2 ok, 6 not ok",
    ] {
        assert!(out.contains(words), "{words:?} is not in:\n{out}");
    }
}

#[test]
fn only_the_named_services_are_looked_at() {
    let machine = Machine::new();
    machine.unit("local-ai-b.service", "failed", "failed", "exit-code");
    let stack = stack(&[("a", service("a")), ("b", service("b"))]);
    assert_eq!(check(&machine, &stack, &["a"]).0, 0);
    assert!(!machine.calls().contains("local-ai-b"));
    assert_eq!(check(&machine, &stack, &["b"]).0, 1);
    let (code, out, error) = check(&machine, &stack, &["c", "a"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(error, "aistack: no service is called c: known are a, b\n");
}

#[test]
fn probes_run_at_once_each_with_its_time_out() {
    let machine = Machine::new();
    let slow = Duration::from_millis(400);
    let mut services: Vec<(String, Value)> = (0..12)
        .map(|at| {
            let name = format!("s{at}");
            let service = web(&name, http_server("200 OK", slow));
            (name, service)
        })
        .collect();
    services.push((
        "hangs".to_owned(),
        web("hangs", http_server("200 OK", Duration::from_mins(1))),
    ));
    let services: Vec<(&str, Value)> = services
        .iter()
        .map(|(name, service)| (name.as_str(), service.clone()))
        .collect();
    let start = Instant::now();
    let (code, out, _) = check(&machine, &stack(&services), &["--timeout", "1.5"]);
    assert_eq!(code, 1);
    // One after another: 4.8 s and the time-out.
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
    assert!(
        out.contains("connected, but no complete answer within 1.5 s"),
        "{out}"
    );
    assert!(out.contains("38 ok, 1 not ok"), "{out}");
    // All units in one question.
    assert_eq!(machine.calls().lines().count(), 1);
}

#[test]
fn json_has_every_check() {
    let machine = Machine::new();
    machine.unit("local-ai-b.service", "inactive", "dead", "success");
    let at = http_server("200 OK", Duration::ZERO);
    let stack = stack(&[("a", web("a", at)), ("b", service("b"))]);
    let (code, out, _) = check(&machine, &stack, &["--json"]);
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (
            &report["schema"],
            &report["ok"],
            &report["notOk"],
            &report["skipped"]
        ),
        (&json!(1), &json!(3), &json!(1), &json!(0))
    );
    let checks = report["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 4);
    assert_eq!(checks[2]["kind"], "health");
    assert!(checks[2]["latencyMs"].as_f64().unwrap() > 0.0);
    assert_eq!(checks[3]["finding"], "not-ok");
    assert_eq!(checks[3]["hint"], "`systemctl start local-ai-b.service`");
}

#[test]
fn tap_is_version_14() {
    let machine = Machine::new();
    machine.unit("local-ai-b.service", "inactive", "dead", "success");
    let stack = stack(&[("a", service("a")), ("b", service("b"))]);
    let (code, out, _) = check(&machine, &stack, &["--tap"]);
    assert_eq!(code, 1);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["TAP version 14", "1..2"]);
    assert_eq!(lines[2], "ok 1 - system a unit local-ai-a.service");
    assert_eq!(lines[3], "not ok 2 - system b unit local-ai-b.service");
    assert_eq!(lines[4], "  ---");
    assert!(lines[5].starts_with("  message: \"inactive (dead)"));
    assert_eq!(lines[7], "  ...");
    assert_eq!(lines.len(), 8);
    assert_eq!(check(&machine, &stack, &["--tap", "--json"]).0, 2);
}

#[test]
fn without_systemd_the_rest_is_still_checked() {
    let machine = Machine::new();
    machine.write("no-systemd", "");
    let at = http_server("200 OK", Duration::ZERO);
    let (code, out, _) = check(&machine, &stack(&[("a", web("a", at))]), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("Host is down"), "{out}");
    assert!(out.contains("2 ok, 1 not ok, 1 skipped"), "{out}");
}

#[test]
fn colours_only_where_asked_for() {
    let machine = Machine::new();
    let file = machine.stack(&stack(&[("a", service("a"))]));
    let run = |name: &str, value: &str| {
        let mut command = machine.aistack(&["check", "--stack", file.to_str().unwrap()]);
        command.env("CLICOLOR_FORCE", "1").env(name, value);
        outcome(command).1.contains('\u{1b}')
    };
    assert!(run("UNRELATED", "1"));
    assert!(!run("NO_COLOR", "1"));
}

/// A tree with all that rootless containers need.
fn rootless_tree(machine: &Machine) {
    let user = user();
    machine.write(&format!("root/var/lib/systemd/linger/{user}"), "");
    for file in ["subuid", "subgid"] {
        machine.write(
            &format!("root/etc/{file}"),
            &format!("{user}:100000:65536\n"),
        );
    }
    for program in ["newuidmap", "newgidmap", "pasta"] {
        let path = machine.write(&format!("root/usr/bin/{program}"), "");
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    machine.write("root/proc/net/tcp", "  sl  local_address\n");
    let runtime = machine.path("runtime");
    let below = machine
        .path("root")
        .join(runtime.strip_prefix("/").unwrap());
    fs::create_dir_all(below).unwrap();
}

#[test]
fn user_scope_checks_what_rootless_containers_need() {
    let machine = Machine::new();
    rootless_tree(&machine);
    let root = machine.path("root");
    let root = root.to_str().unwrap();
    let mut stack = stack(&[("a", service("a"))]);
    stack["scope"] = json!("user");
    stack["user"] = json!(user());
    let (code, out, error) = check(&machine, &stack, &["--root", root]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("8 ok, 0 not ok"), "{out}");
    assert!(machine.calls().starts_with("systemctl --user "));

    for (path, words) in [
        (
            format!("root/var/lib/systemd/linger/{}", user()),
            "loginctl enable-linger",
        ),
        ("root/etc/subuid".to_owned(), "gives"),
        ("root/etc/subgid".to_owned(), "usermod --add-subuids"),
        ("root/usr/bin/pasta".to_owned(), "passt"),
        ("root/usr/bin/newuidmap".to_owned(), "uidmap"),
        ("root/usr/bin/newgidmap".to_owned(), "uidmap"),
    ] {
        let aside = machine.path("aside");
        fs::rename(machine.path(&path), &aside).unwrap();
        let (code, out, _) = check(&machine, &stack, &["--root", root]);
        assert_eq!(code, 1, "without {path}: {out}");
        assert!(out.contains(words), "without {path}: {out}");
        assert!(out.contains("7 ok, 1 not ok"), "without {path}: {out}");
        fs::rename(&aside, machine.path(&path)).unwrap();
    }
}

#[test]
fn a_network_target_that_nobody_wants_is_named_in_user_scope() {
    let machine = Machine::new();
    rootless_tree(&machine);
    machine.unit("network-online.target", "inactive", "dead", "success");
    let root = machine.path("root");
    for (scope, owner, named) in [
        ("user", json!(user()), true),
        ("system", Value::Null, false),
    ] {
        let mut stack = stack(&[]);
        stack["scope"] = json!(scope);
        stack["user"] = owner;
        let file = machine.stack(&stack);
        let (code, out, _) = outcome(machine.aistack(&[
            "check",
            "--stack",
            file.to_str().unwrap(),
            "--root",
            root.to_str().unwrap(),
        ]));
        assert_eq!(code, i32::from(named), "{out}");
        assert_eq!(
            out.contains("systemctl add-wants multi-user.target network-online.target"),
            named,
            "{out}"
        );
    }
}

#[test]
fn preflight_needs_no_stack_and_no_systemd() {
    let machine = Machine::new();
    rootless_tree(&machine);
    machine.write("no-systemd", "");
    let root = machine.path("root");
    let root = root.to_str().unwrap();
    let (code, out, error) = outcome(machine.aistack(&["check", "--preflight", "--root", root]));
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("7 ok, 0 not ok"), "{out}");
    assert_eq!(machine.calls(), "");
    fs::remove_file(machine.path("root/usr/bin/pasta")).unwrap();
    let (code, ..) = outcome(machine.aistack(&["check", "--preflight", "--root", root]));
    assert_eq!(code, 1);
}

#[test]
fn bad_input_is_two_and_one_clear_line() {
    let machine = Machine::new();
    let good = stack(&[("a", service("a"))]);
    let mut other = good.clone();
    other["schema"] = json!(7);
    let mut unknown = good.clone();
    unknown["services"]["a"]["portz"] = json!([]);
    let cut = good.to_string();
    let cut = &cut[..cut.len() / 2];
    for (text, words) in [
        (
            other.to_string().as_str(),
            "has schema 7, this aistack reads schema 1",
        ),
        (unknown.to_string().as_str(), "unknown field `portz`"),
        (cut, "is not valid JSON"),
        ("", "is not valid JSON"),
        ("[]", "has schema no number"),
    ] {
        let file = machine.write("bad.json", text);
        let file = file.to_str().unwrap();
        let (code, out, error) = outcome(machine.aistack(&["check", "--stack", file]));
        assert_eq!((code, out.as_str()), (2, ""), "{words}");
        assert!(error.contains(words), "{error}");
        assert!(error.contains(file), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let folder = machine.path("data");
    let (code, _, error) =
        outcome(machine.aistack(&["check", "--stack", folder.to_str().unwrap()]));
    assert_eq!(code, 2);
    assert!(error.contains("name the file itself"), "{error}");
    for timeout in ["0", "-1", "x", "nan"] {
        let (code, ..) = check(&machine, &good, &[&format!("--timeout={timeout}")]);
        assert_eq!(code, 2, "{timeout}");
    }
}

#[test]
fn the_default_files_are_looked_for_in_both_scopes() {
    let machine = Machine::new();
    let root = machine.path("root");
    let root = root.to_str().unwrap();
    let run = |more: &[&str]| {
        let mut arguments = vec!["check", "--root", root];
        arguments.extend(more);
        outcome(machine.aistack(&arguments))
    };
    let (code, _, error) = run(&[]);
    assert_eq!(code, 2);
    assert!(error.contains("/etc/aistack/stack.json"), "{error}");
    assert!(error.contains("/.config/aistack/stack.json"), "{error}");
    assert!(error.contains("services.aiStack"), "{error}");

    rootless_tree(&machine);
    machine.write(
        "root/etc/aistack/stack.json",
        &stack(&[("a", service("a"))]).to_string(),
    );
    let mut users = stack(&[("b", service("b"))]);
    users["scope"] = json!("user");
    users["user"] = json!(user());
    let home = machine.path("home");
    let below = format!("root{}/.config/aistack/stack.json", home.display());
    machine.write(&below, &users.to_string());
    let (code, out, error) = run(&[]);
    assert_eq!(code, 0, "{out}{error}");
    assert!(out.contains("local-ai-a.service") && out.contains("local-ai-b.service"));
    let (_, out, _) = run(&["--system"]);
    assert!(out.contains("local-ai-a.service") && !out.contains("local-ai-b.service"));
    let (_, out, _) = run(&["--user"]);
    assert!(!out.contains("local-ai-a.service") && out.contains("local-ai-b.service"));
}

/// A service with an engine's image that was given a GPU.
fn engine(name: &str, image: &str, at: SocketAddr) -> Value {
    let mut service = web(name, at);
    service["image"]["name"] = json!(image);
    service["gpu"] = json!({ "backend": "cuda", "devices": ["nvidia.com/gpu=all"] });
    service
}

/// A process of a unit below the machine's root, with a file open.
fn process(machine: &Machine, pid: u32, unit: &str, open: &str) {
    machine.write(
        &format!("root/proc/{pid}/cgroup"),
        &format!("0::/system.slice/{unit}/libpod-payload-1\n"),
    );
    let files = machine.path(&format!("root/proc/{pid}/fd"));
    fs::create_dir_all(&files).unwrap();
    std::os::unix::fs::symlink(open, files.join("3")).unwrap();
}

/// A server that answers every GET with a body.
fn body_server(body: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            drop(stream.read(&mut [0; 4096]));
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            drop(stream.write_all(format!("{head}{body}").as_bytes()));
        }
    });
    address
}

#[test]
fn an_engine_that_fell_back_to_the_processor_is_found() {
    let machine = Machine::new();
    machine.write("root/proc/net/tcp", "  sl  local_address\n");
    let at = http_server("200 OK", Duration::ZERO);
    let llama = "ghcr.io/ggml-org/llama.cpp";
    let run = |service: Value, unit: &str| {
        let stack = stack(&[(unit, service)]);
        let root = machine.path("root");
        let (_, out, _) = check(
            &machine,
            &stack,
            &["--root", root.to_str().unwrap(), "--json"],
        );
        let report: Value = serde_json::from_str(&out).unwrap();
        let checks = report["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["kind"] == "device")
            .cloned()
    };

    // By its open files, since the log says nothing.
    machine.write("logs/local-ai-a", "srv  llama_server: model loaded\n");
    process(&machine, 10, "local-ai-a.service", "/dev/nvidia-uvm");
    let row = run(engine("a", llama, at), "a").unwrap();
    assert_eq!(row["finding"], "ok", "{row}");
    assert_eq!(row["subject"], "CUDA");
    assert_eq!(
        row["message"],
        "computes on the GPU: its processes have /dev/nvidia-uvm open"
    );

    process(&machine, 11, "local-ai-b.service", "/dev/null");
    machine.write("logs/local-ai-b", "srv  llama_server: model loaded\n");
    let row = run(engine("b", llama, at), "b").unwrap();
    assert_eq!(row["finding"], "not-ok", "{row}");
    assert_eq!(
        row["message"],
        "computes on the processor, though a GPU is declared: none of its processes has a GPU's \
         device node open, though its model is loaded"
    );
    let hint = row["hint"].as_str().unwrap();
    assert!(hint.contains("services.aiStack.b.gpus = [ ]"), "{hint}");

    // By its log, whatever is open.
    process(&machine, 12, "local-ai-c.service", "/dev/nvidia-uvm");
    machine.write(
        "logs/local-ai-c",
        "load_tensors: offloaded 0/33 layers to GPU\n",
    );
    let row = run(engine("c", llama, at), "c").unwrap();
    assert_eq!(row["finding"], "not-ok", "{row}");

    // By its API.
    process(&machine, 13, "local-ai-d.service", "/dev/null");
    let ollama = "docker.io/ollama/ollama";
    for (body, finding) in [
        (
            r#"{"models":[{"name":"m","size":10,"size_vram":10}]}"#,
            "ok",
        ),
        (
            r#"{"models":[{"name":"m","size":10,"size_vram":0}]}"#,
            "not-ok",
        ),
        (r#"{"models":[]}"#, "skipped"),
    ] {
        let row = run(engine("d", ollama, body_server(body)), "d").unwrap();
        assert_eq!(row["finding"], finding, "{row}");
    }

    // Where the processor was declared it is said as well, and not wrong.
    let declared_cpu = |mut service: Value| {
        service["gpu"] = json!({ "backend": "cpu", "devices": [] });
        service
    };
    let row = run(declared_cpu(engine("b", llama, at)), "b").unwrap();
    assert_eq!(row["finding"], "ok", "{row}");
    assert_eq!(row["subject"], "CPU");
    assert_eq!(
        row["message"],
        "computes on the processor, as declared: none of its processes has a GPU's device node \
         open, though its model is loaded"
    );
    // Nothing is said of an engine that has loaded nothing.
    let idle = engine("d", ollama, body_server(r#"{"models":[]}"#));
    assert_eq!(run(declared_cpu(idle), "d"), None);
    assert_eq!(run(declared_cpu(engine("gone", llama, at)), "gone"), None);
    // What can't be seen is not wrong.
    let row = run(engine("gone", llama, at), "gone").unwrap();
    assert_eq!(
        (&row["finding"], &row["message"]),
        (
            &json!("skipped"),
            &json!("what it computes on is unknown: it has no processes")
        )
    );
}

#[test]
fn a_secret_that_nobody_brought_is_named_as_the_cause() {
    let machine = Machine::new();
    let missing = machine.path("brought/token");
    let declared = with(
        service("a"),
        "/secrets",
        json!([fakes::secret("local-ai-a-TOKEN", &missing, false)]),
    );
    machine.unit(
        "local-ai-a.service",
        "activating",
        "auto-restart",
        "exit-code",
    );
    let (code, out, _) = check(&machine, &stack(&[("a", declared)]), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("secret local-ai-a-TOKEN"), "{out}");
    assert!(out.contains("brought/token does not exist"), "{out}");
}

#[test]
fn a_network_that_was_made_without_its_options_is_named() {
    let machine = Machine::new();
    let mut declared = stack(&[]);
    declared["networkOptions"] = json!({ "isolate": "strict" });
    machine.program("fake-bin/nft", "nft");
    machine.write("nft", "chain loopback chain containers chain accounts");
    for (options, code, words) in [
        (
            r#"{"isolate":"strict"}"#,
            0,
            "closed to containers of other networks",
        ),
        ("{}", 1, "made without isolate=strict"),
    ] {
        machine.write("network", options);
        let (seen, out, _) = check(&machine, &declared, &[]);
        assert!(out.contains(words), "{out}");
        assert!(out.contains("closed to other machines"), "{out}");
        assert_eq!(seen, code, "{out}");
    }
    machine.write("nft", "");
    let (seen, out, _) = check(&machine, &declared, &[]);
    // Another user may not look, and is told nothing.
    if fs::metadata("/proc/self").unwrap().uid() == 0 {
        assert!(out.contains("systemctl restart local-ai-guard"), "{out}");
        assert_eq!(seen, 1);
    }
}
