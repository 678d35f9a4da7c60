//! `aistack model`: what it says, and a disk that becomes full.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::thread;

use fakes::{Machine, have, outcome, service, skip, stack};
use serde_json::{Value, json};

/// Three MiB of zeros, and their hash.
const SIZE: usize = 3 * 1024 * 1024;
const HASH: &str = "bbd05cf6097ac9b1f89ea29d2542c1b7b67ee46848393895f5a9e43fa1f621e5";

/// Serves the zeros with ranges; a HEAD isn't answered, so that no size is known.
fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines: Vec<String> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            if lines[0].starts_with("HEAD") {
                continue;
            }
            let from = lines
                .iter()
                .find_map(|line| line.strip_prefix("Range: bytes="))
                .map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
            let head = if from == 0 {
                "HTTP/1.1 200 OK\r\n".to_owned()
            } else {
                let last = SIZE - 1;
                format!(
                    "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {from}-{last}/{SIZE}\r\n"
                )
            };
            let length = SIZE - from;
            let head = format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n");
            drop(stream.write_all(head.as_bytes()));
            drop(stream.write_all(&vec![0; length]));
        }
    });
    address
}

fn model(path: &Path, url: &str) -> Value {
    json!({
        "url": url, "sha256": HASH, "sizeMiB": null, "path": path,
        "unit": "local-ai-model-m.service", "option": "services.aiStack.models.m",
    })
}

fn declared(models: &Value) -> Value {
    let mut stack = stack(&[("x", service("x"))]);
    stack["models"] = models.clone();
    stack
}

#[test]
fn a_model_is_fetched_listed_and_known() {
    if !have("curl") {
        return skip("models with the real curl: it is not installed");
    }
    let machine = Machine::new();
    let path = machine.path("m.gguf");
    let url = format!("http://{}/m.gguf?signed=secret", server());
    let file = machine.stack(&declared(&json!({ "m": model(&path, &url) })));
    let file = file.to_str().unwrap();
    let list = |more: &[&str]| {
        let mut arguments = vec!["model", "list", "--stack", file];
        arguments.extend(more);
        outcome(machine.aistack(&arguments))
    };
    let (code, out, _) = list(&[]);
    assert_eq!(code, 1);
    assert!(out.contains("m      missing  /"), "{out}");

    let fetch = || outcome(machine.aistack(&["model", "fetch", "m", "--stack", file]));
    let (code, out, error) = fetch();
    assert_eq!(code, 0, "{error}");
    assert!(
        out.contains("m.gguf is there now, with the declared hash"),
        "{out}"
    );
    assert!(!out.contains("secret"), "{out}");
    assert!(fetch().1.contains("is there, unchanged since"));

    let (code, out, _) = list(&["--json", "--verify"]);
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["models"][0]["state"], "present");
    assert_eq!(report["models"][0]["verified"], true);
    assert_eq!(report["models"][0]["sizeMiB"], json!(null));

    // Of the same size and time: only reading it tells.
    let time = path.metadata().unwrap().modified().unwrap();
    let changed = fs::File::options().write(true).open(&path).unwrap();
    (&changed).write_all(b"x").unwrap();
    changed.set_modified(time).unwrap();
    assert_eq!(list(&[]).0, 0);
    let (code, out, _) = list(&["--verify"]);
    assert_eq!(code, 1);
    assert!(out.contains("wrong hash") && out.contains(HASH), "{out}");
    let (code, _, error) = fetch();
    assert_eq!(code, 1);
    assert!(
        error.contains("no model m (services.aiStack.models.m): "),
        "{error}"
    );
    assert!(error.contains("it is left as it is"), "{error}");
}

#[test]
fn what_is_partly_there_is_said_in_mib() {
    let machine = Machine::new();
    let path = machine.path("m.gguf");
    let mut models = json!({ "m": model(&path, "https://a.example/m") });
    fs::write(machine.path(".m.partial"), vec![0; 2 * 1024 * 1024]).unwrap();
    let list = |models: &Value| {
        let file = machine.stack(&declared(models));
        outcome(machine.aistack(&["model", "list", "--stack", file.to_str().unwrap()]))
    };
    let (code, out, _) = list(&models);
    assert_eq!(code, 1);
    assert!(out.contains("partial, 2 MiB  /"), "{out}");
    models["m"]["sizeMiB"] = json!(40);
    assert!(list(&models).1.contains("partial, 2 of 40 MiB  /"));
    let (code, out, _) = list(&json!({}));
    assert_eq!((code, out.contains("no models are declared")), (0, true));
}

#[test]
fn a_name_that_is_not_declared_and_another_users_stack_are_refused() {
    let machine = Machine::new();
    let models = json!({ "m": model(&machine.path("m.gguf"), "https://a.example/m") });
    let file = machine.stack(&declared(&models));
    let fetch = |name: &str| {
        outcome(machine.aistack(&["model", "fetch", name, "--stack", file.to_str().unwrap()]))
    };
    let (code, _, error) = fetch("n");
    assert_eq!(code, 2);
    assert!(error.contains("has no model n: known are m"), "{error}");

    let mut other = declared(&models);
    other["scope"] = json!("user");
    other["user"] = json!("nobody-of-this-name");
    machine.stack(&other);
    let (code, _, error) = fetch("m");
    assert_eq!(code, 2);
    assert!(error.contains("nobody-of-this-name's stack"), "{error}");
}

#[test]
fn a_folder_that_is_another_users_is_said() {
    if !have("curl") {
        return skip("models with the real curl: it is not installed");
    }
    if fakes::user() != "root" {
        return skip("a folder of another user: only root can run this as somebody else");
    }
    let machine = Machine::new();
    let folder = machine.path("models");
    fs::create_dir(&folder).unwrap();
    for path in [machine.path("."), folder.clone()] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let models = json!({ "m": model(&folder.join("m.gguf"), "http://127.0.0.1:9/m") });
    let file = machine.stack(&declared(&models));
    // A copy, since the build folder need not be visible to others; made by cp, since
    // what this process has just written another test's child may still have open.
    let program = machine.path("aistack");
    let copied = std::process::Command::new("cp")
        .arg(env!("CARGO_BIN_EXE_aistack"))
        .arg(&program)
        .status();
    assert!(copied.unwrap().success());
    let mut command = std::process::Command::new(&program);
    command
        .args(["model", "fetch", "m", "--stack"])
        .arg(&file)
        .uid(65534)
        .gid(65534);
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("it must be writable by the user id 65534, which runs this"),
        "{error}"
    );
}

#[test]
fn a_disk_that_becomes_full_keeps_what_came_and_goes_on_later() {
    if !have("curl") {
        return skip("models with the real curl: it is not installed");
    }
    let machine = Machine::new();
    let disk = machine.path("disk");
    fs::create_dir(&disk).unwrap();
    let url = format!("http://{}/m.gguf", server());
    let models = json!({ "m": model(&disk.join("m.gguf"), &url) });
    let file = machine.stack(&declared(&models));
    // In mounts of its own, so that nothing is left behind.
    let script = r#"
        mount -t tmpfs -o size=2m none "$1" || exit 75
        echo other > "$1/other"
        "$2" model fetch m --stack "$3"; echo "first $?"
        stat -c 'kept %n %s' "$1"/.*.partial
        ls -A "$1"
        "$2" model list --stack "$3"
        mount -o remount,size=8m "$1"
        "$2" model fetch m --stack "$3"; echo "second $?"
        ls -A "$1"
    "#;
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&disk)
        .arg(env!("CARGO_BIN_EXE_aistack"))
        .arg(&file)
        .output();
    let Ok(output) = output else {
        return skip("a full disk: there is no unshare here");
    };
    let (out, error) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    if output.status.code() == Some(75) || error.contains("unshare") {
        return skip("a full disk: no file system can be mounted here (root can)");
    }
    assert!(out.contains("first 1\n"), "{out}{error}");
    assert!(
        error.contains("became full (No space left on device"),
        "{error}"
    );
    assert!(error.contains("after 2 MiB, which are kept"), "{error}");
    assert!(out.contains(".m.partial 20"), "{out}");
    assert!(out.contains("partial, 2 MiB"), "{out}");
    assert!(out.contains("going on after 2 MiB"), "{out}");
    assert!(
        out.contains("second 0\n.m.gguf.sha256\nm.gguf\nother\n"),
        "{out}{error}"
    );
}
