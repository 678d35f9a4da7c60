//! `aistack ollama-load`: against a server that speaks as ollama does, or doesn't.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fakes::{Machine, outcome, service, stack};
use serde_json::{Value, json};

const MIB: u64 = 1024 * 1024;

/// A server that has `old:1` and `plain:latest`. A pull is answered by `pull`,
/// which gets the name and the number of the pull; the names are kept.
struct Server {
    address: SocketAddr,
    pulls: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(pull: impl Fn(&str, usize, &mut TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pulls = Arc::new(Mutex::new(Vec::new()));
        let (seen, pull) = (Arc::clone(&pulls), Arc::new(pull));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, pull) = (Arc::clone(&seen), Arc::clone(&pull));
                thread::spawn(move || answer(stream.unwrap(), &seen, pull.as_ref()));
            }
        });
        Self { address, pulls }
    }

    fn pulls(&self) -> Vec<String> {
        self.pulls.lock().unwrap().clone()
    }
}

fn answer(
    mut stream: TcpStream,
    pulls: &Mutex<Vec<String>>,
    pull: &dyn Fn(&str, usize, &mut TcpStream),
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_ascii_lowercase());
    }
    let length: usize = lines
        .iter()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    if lines[0].starts_with("get /api/tags ") {
        let list = r#"{"models":[{"name":"old:1"},{"name":"plain:latest"}]}"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", list.len());
        drop(stream.write_all(head.as_bytes()));
        drop(stream.write_all(list.as_bytes()));
    } else if lines[0].starts_with("post /api/pull ") {
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["stream"], true);
        let name = body["model"].as_str().unwrap().to_owned();
        let number = {
            let mut pulls = pulls.lock().unwrap();
            pulls.push(name.clone());
            pulls.len() - 1
        };
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"));
        pull(&name, number, &mut stream);
    }
}

fn line(stream: &mut TcpStream, line: &Value) {
    drop(writeln!(stream, "{line}"));
}

fn whole_pull(stream: &mut TcpStream) {
    line(stream, &json!({ "status": "pulling manifest" }));
    for percent in (0..=100).step_by(2) {
        let completed = percent * MIB;
        let total = 100 * MIB;
        line(
            stream,
            &json!({ "status": "pulling abc", "digest": "sha256:abc", "total": total, "completed": completed }),
        );
    }
    // Too small for a line of its own.
    line(
        stream,
        &json!({ "status": "pulling def", "digest": "sha256:def", "total": 10, "completed": 10 }),
    );
    line(stream, &json!({ "status": "success" }));
}

fn load(machine: &Machine, address: SocketAddr, arguments: &[&str]) -> (i32, String, String) {
    let mut ollama = service("ollama");
    ollama["health"] = json!({ "http": { "url": format!("http://{address}/api/tags") } });
    let file = machine.stack(&stack(&[("ollama", ollama)]));
    let mut all = vec![
        "ollama-load",
        "--stack",
        file.to_str().unwrap(),
        "--wait",
        "0.01",
    ];
    all.extend(arguments);
    outcome(machine.aistack(&all))
}

#[test]
fn what_is_listed_is_skipped_and_the_rest_is_pulled_with_progress() {
    let machine = Machine::new();
    let server = Server::new(|_, _, stream| whole_pull(stream));
    let (code, out, error) = load(&machine, server.address, &["old:1", "plain", "new:7b"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(server.pulls(), ["new:7b"]);
    assert!(out.contains("old:1: is there\nplain: is there\n"), "{out}");
    assert!(out.contains("new:7b: 30 of 100 MiB (30 %)\n"), "{out}");
    assert_eq!(out.matches(" %)").count(), 10, "{out}");
    assert!(out.ends_with("new:7b: is there now\n"), "{out}");
    assert_eq!(machine.calls(), "");
}

#[test]
fn a_pull_that_breaks_is_tried_again() {
    let machine = Machine::new();
    let server = Server::new(|_, number, stream| match number {
        // Closed early, an error of the moment, no JSON, and then well.
        0 => line(stream, &json!({ "status": "pulling manifest" })),
        1 => line(stream, &json!({ "error": "dial tcp: i/o timeout" })),
        2 => drop(writeln!(stream, "<html>")),
        _ => whole_pull(stream),
    });
    let (code, out, error) = load(&machine, server.address, &["new:7b"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("attempt 4 of 5"), "{out}");
    for words in [
        "closed the connection before the model was there",
        "dial tcp: i/o timeout; next attempt in 0.02 s",
        "is not ollama's",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

#[test]
fn what_cannot_be_had_does_not_stop_the_others_and_is_said_at_the_end() {
    let machine = Machine::new();
    let server = Server::new(|name, _, stream| match name {
        "absent:1" => line(
            stream,
            &json!({ "error": "pull model manifest: file does not exist" }),
        ),
        "broken:1" => line(stream, &json!({ "error": "reset" })),
        _ => whole_pull(stream),
    });
    let names = ["absent:1", "broken:1", "new:7b"];
    let (code, out, error) = load(&machine, server.address, &names);
    assert_eq!(code, 1);
    assert!(out.contains("new:7b: is there now"), "{out}");
    let pulls = server.pulls();
    let count = |name: &str| pulls.iter().filter(|pull| *pull == name).count();
    assert_eq!((count("absent:1"), count("broken:1")), (1, 5));
    assert!(
        error.contains(
            "ollama lacks 2 of 3:\n  absent:1: ollama can't have it: pull model manifest: file \
             does not exist\n  broken:1: 5 attempts failed, the last with: reset\n"
        ),
        "{error}"
    );
}

#[test]
fn a_pull_that_says_nothing_is_left() {
    let machine = Machine::new();
    let server = Server::new(|_, number, stream| {
        line(stream, &json!({ "status": "pulling manifest" }));
        if number == 0 {
            thread::sleep(Duration::from_secs(30));
        } else {
            whole_pull(stream);
        }
    });
    let (code, _, error) = load(
        &machine,
        server.address,
        &["new:7b", "--stall-timeout", "0.5"],
    );
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("it said nothing for 0.5 s"), "{error}");
}

#[test]
fn an_ollama_that_comes_late_is_waited_for_and_one_that_does_not_is_said() {
    let machine = Machine::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let (code, out, error) = load(&machine, address, &["a", "--timeout", "1"]);
    assert_eq!(code, 2);
    assert!(out.contains("waiting for ollama"), "{out}");
    assert!(
        error.contains("did not answer within 1 s")
            && error.contains("`systemctl status local-ai-ollama.service`"),
        "{error}"
    );

    thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        let listener = TcpListener::bind(address).unwrap();
        for stream in listener.incoming() {
            let pulls = Mutex::new(Vec::new());
            answer(stream.unwrap(), &pulls, &|_, _, stream| whole_pull(stream));
        }
    });
    let (code, _, error) = load(&machine, address, &["old:1", "--timeout", "20"]);
    assert_eq!(code, 0, "{error}");
}

#[test]
fn a_file_is_imported_inside_the_container_and_nothing_of_it_is_shell() {
    let machine = Machine::new();
    machine.program("exec-bin/ollama", "ollama");
    let server = Server::new(|_, _, stream| whole_pull(stream));
    let path = "/models/a b'$(touch pwned)\".gguf";
    let arguments = [
        "--import",
        &format!("mine={path}"),
        "--import",
        "bad=/models/bad.gguf",
        "--import",
        "old:1=/models/x.gguf",
    ];
    let (code, out, error) = load(&machine, server.address, &arguments);
    assert_eq!(code, 1);
    assert!(out.contains("mine: is there now\n"), "{out}{error}");
    assert!(out.contains("old:1: is there\n"), "{out}");
    assert_eq!(
        fs::read_to_string(machine.path("exec-bin/mine")).unwrap(),
        format!("FROM {path}\n")
    );
    assert!(
        machine
            .calls()
            .starts_with("podman exec local-ai-ollama sh -c")
    );
    assert!(
        error.contains("ollama lacks 1 of 3:\n  bad: /models/bad.gguf was not taken by"),
        "{error}"
    );
    assert_eq!(server.pulls(), [""; 0]);
}

#[test]
fn a_stack_without_ollama_is_said() {
    let machine = Machine::new();
    let file = machine.stack(&stack(&[("x", service("x"))]));
    let (code, _, error) =
        outcome(machine.aistack(&["ollama-load", "--stack", file.to_str().unwrap(), "a"]));
    assert_eq!(code, 2);
    assert!(error.contains("has no service ollama"), "{error}");
}
