//! `aistack setup` and `aistack check` on a stand-in for qdrant: a small server of this
//! test that keeps collections, and can be told to misbehave.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, outcome, port, service, stack};
use serde_json::{Value, json};

/// What the stand-in does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Well,
    /// Answers what is no JSON.
    Garbage,
    /// Answers JSON of another shape.
    OtherJson,
    /// Answers status 500.
    Broken,
    /// Says nothing.
    Silent,
    /// Sends a body without an end.
    Endless,
    /// Says that a collection is missing, and that it is there when it is to be made.
    Race,
}

/// The stand-in: what it holds, and what it was asked.
#[derive(Clone)]
struct StandIn {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    mood: Mood,
    key: Option<&'static str>,
    /// `vectors` of each collection.
    collections: BTreeMap<String, Value>,
    requests: Vec<String>,
}

impl StandIn {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stand_in = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(Mutex::new(State {
                mood: Mood::Well,
                key: None,
                collections: BTreeMap::new(),
                requests: Vec::new(),
            })),
        };
        let state = Arc::clone(&stand_in.state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&state);
                thread::spawn(move || answer(stream.unwrap(), &state));
            }
        });
        stand_in
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// A service with these collections.
    fn service(&self, collections: &[(&str, u32, &str)]) -> Value {
        let mut declared = service("x");
        declared["ports"] = json!([port("http", "127.0.0.1", self.port)]);
        let collections: Vec<Value> = collections
            .iter()
            .map(|(name, size, distance)| {
                json!({
                    "name": name, "size": size, "distance": distance,
                    "option": format!("services.aiStack.x.collections.{name}"),
                })
            })
            .collect();
        declared["qdrant"] =
            json!({ "port": "http", "apiKeySource": null, "collections": collections });
        declared
    }
}

fn answer(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut head, mut length, mut key) = (String::new(), 0, None);
    reader.read_line(&mut head).unwrap();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "api-key" => key = Some(value.to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let words: Vec<&str> = head.split(' ').collect();
    let (method, name) = (words[0], words[1].strip_prefix("/collections/").unwrap());
    let mut state = state.lock().unwrap();
    state.requests.push(format!(
        "{method} {name} {}",
        String::from_utf8_lossy(&body)
    ));
    let (status, text) = match state.mood {
        Mood::Well
            if state
                .key
                .is_some_and(|wanted| key.as_deref() != Some(wanted)) =>
        {
            (
                401,
                "Must provide an API key or an Authorization bearer token".to_owned(),
            )
        }
        Mood::Well => well(&mut state, method, name, &body),
        Mood::Garbage => (200, "<html>".to_owned()),
        Mood::OtherJson => (200, r#"{"result":{"status":"green"}}"#.to_owned()),
        Mood::Broken => (
            500,
            r#"{"status":{"error":"Service internal error: No space left on device"}}"#.to_owned(),
        ),
        Mood::Race if method == "PUT" => {
            state.mood = Mood::Well;
            state
                .collections
                .insert(name.to_owned(), json!({ "size": 3, "distance": "Dot" }));
            (409, String::new())
        }
        Mood::Race => (404, String::new()),
        Mood::Silent => {
            drop(state);
            thread::sleep(Duration::from_mins(1));
            return;
        }
        Mood::Endless => {
            drop(state);
            let mut stream = stream;
            drop(stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"));
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            while stream.write_all(chunk.as_bytes()).is_ok() {}
            return;
        }
    };
    drop(state);
    let mut stream = stream;
    drop(write!(
        stream,
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    ));
}

fn well(state: &mut State, method: &str, name: &str, body: &[u8]) -> (u16, String) {
    if method == "PUT" {
        let asked: Value = serde_json::from_slice(body).unwrap();
        state
            .collections
            .insert(name.to_owned(), asked["vectors"].clone());
        return (
            200,
            r#"{"result":true,"status":"ok","time":0.1}"#.to_owned(),
        );
    }
    match state.collections.get(name) {
        None => (404, format!(r#"{{"status":{{"error":"Not found: Collection `{name}` doesn't exist!"}}}}"#)),
        Some(vectors) => (
            200,
            json!({
                "result": {
                    "status": "green", "points_count": 0,
                    "config": { "params": { "vectors": vectors, "shard_number": 1 }, "hnsw_config": { "m": 16 } },
                },
                "status": "ok", "time": 0.1,
            })
            .to_string(),
        ),
    }
}

fn run(machine: &Machine, command: &str, declared: Value) -> (i32, String, String) {
    let file = machine.stack(&stack(&[("x", declared)]));
    let mut words = vec![command, "x", "--stack", file.to_str().unwrap()];
    if command == "check" {
        words.extend(["--timeout", "2"]);
    }
    outcome(machine.aistack(&words))
}

#[test]
fn collections_are_made_once_and_are_as_declared_then() {
    let (machine, qdrant) = (Machine::new(), StandIn::new());
    let declared = qdrant.service(&[("notes", 384, "Cosine"), ("code", 65_536, "Manhattan")]);
    let (code, out, _) = run(&machine, "check", declared.clone());
    assert_eq!(code, 1);
    assert!(
        out.contains("NOT OK  system  x  collection  notes: does not exist"),
        "{out}"
    );
    qdrant.requests();

    let (code, out, error) = run(&machine, "setup", declared.clone());
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(
        out,
        "x: made collection notes (size 384, distance Cosine)\n\
         x: made collection code (size 65536, distance Manhattan)\n"
    );
    assert_eq!(
        qdrant.requests(),
        [
            "GET notes ",
            r#"PUT notes {"vectors":{"distance":"Cosine","size":384}}"#,
            "GET code ",
            r#"PUT code {"vectors":{"distance":"Manhattan","size":65536}}"#,
        ]
    );
    assert_eq!(
        run(&machine, "setup", declared.clone()),
        (0, String::new(), String::new())
    );
    assert_eq!(qdrant.requests(), ["GET notes ", "GET code "]);
    let (code, out, _) = run(&machine, "check", declared);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("collection  notes: size 384, distance Cosine"),
        "{out}"
    );
}

#[test]
fn other_vectors_are_said_and_neither_changed_nor_an_error_of_the_start() {
    let (machine, qdrant) = (Machine::new(), StandIn::new());
    for (vectors, seen) in [
        (
            json!({ "size": 768, "distance": "Cosine" }),
            "size 768, distance Cosine",
        ),
        (
            json!({ "size": 384, "distance": "Dot", "on_disk": true }),
            "size 384, distance Dot",
        ),
        (
            json!({ "text": { "size": 384, "distance": "Cosine" }, "size": { "size": 3, "distance": "Dot" } }),
            "named vectors (size: size 3, distance Dot; text: size 384, distance Cosine)",
        ),
        (json!({}), "no dense vectors"),
        (json!(null), "no dense vectors"),
    ] {
        qdrant.set(|state| {
            state
                .collections
                .insert("notes".to_owned(), vectors.clone());
        });
        let declared = qdrant.service(&[("notes", 384, "Cosine"), ("more", 3, "Dot")]);
        let (code, _, error) = run(&machine, "setup", declared.clone());
        assert_eq!(code, 0, "{error}");
        assert_eq!(
            error,
            format!(
                "aistack: x: collection notes (services.aiStack.x.collections.notes): size 384, \
                 distance Cosine is declared, but it has {seen}; nothing was changed or deleted. \
                 Vectors of another model do not fit: declare a new name and embed anew into it, \
                 or declare what is there\n"
            )
        );
        let asked = qdrant.requests();
        assert!(
            asked
                .iter()
                .all(|request| !request.starts_with("PUT notes")),
            "{asked:?}"
        );
        qdrant.set(|state| assert_eq!(state.collections["notes"], vectors));
        let (code, out, _) = run(&machine, "check", declared);
        assert_eq!(code, 1);
        assert!(
            out.contains("NOT OK") && out.contains(&format!("but it has {seen}")),
            "{out}"
        );
        qdrant.requests();
    }
}

#[test]
fn the_key_goes_along_and_is_never_shown() {
    let (machine, qdrant) = (Machine::new(), StandIn::new());
    qdrant.set(|state| state.key = Some("sesame"));
    let mut declared = qdrant.service(&[("notes", 3, "Dot")]);
    let (code, _, error) = run(&machine, "setup", declared.clone());
    assert_eq!(code, 1);
    assert!(
        error.contains("answered status 401: it asks for an API key, and none is declared"),
        "{error}"
    );
    declared["qdrant"]["apiKeySource"] = json!(machine.write_private("key", "sesame\n"));
    assert_eq!(run(&machine, "setup", declared.clone()).0, 0);
    assert_eq!(run(&machine, "check", declared.clone()).0, 0);
    for (key, words) in [
        ("wrong-key", "it has another API key than the file"),
        ("wrong\nkey", "the API key holds white space"),
        ("wrong-kéy", "the API key holds white space"),
        ("\n", "is empty"),
    ] {
        machine.write_private("key", key);
        let (code, out, error) = run(&machine, "setup", declared.clone());
        assert_eq!(code, 1, "{key:?}");
        assert!(error.contains(words), "{words:?} is not in: {error}");
        assert!(
            !error.contains("wrong") && !out.contains("wrong"),
            "{error}"
        );
    }
    let (_, out, _) = run(&machine, "check", declared);
    assert!(
        out.contains("skipped") && out.contains("was not looked at"),
        "{out}"
    );
}

#[test]
fn a_server_that_misbehaves_costs_a_bounded_time_and_says_so() {
    let (machine, qdrant) = (Machine::new(), StandIn::new());
    let declared = qdrant.service(&[("notes", 3, "Dot")]);
    for (mood, words) in [
        (Mood::Garbage, "the answer is not qdrant's"),
        (Mood::OtherJson, "missing field `config`"),
        (
            Mood::Broken,
            "answered status 500: {\"status\":{\"error\":\"Service internal error: No space left",
        ),
        (Mood::Endless, "a body of more than 1024 KiB"),
    ] {
        qdrant.set(|state| state.mood = mood);
        let start = Instant::now();
        let (code, _, error) = run(&machine, "setup", declared.clone());
        assert_eq!(code, 1, "{mood:?}");
        assert!(error.contains(words), "{words:?} is not in: {error}");
        assert!(error.contains("collection notes (services.aiStack.x.collections.notes)"));
        assert!(start.elapsed() < Duration::from_secs(20), "{mood:?}");
        let (code, out, _) = run(&machine, "check", declared.clone());
        assert_eq!(code, 1, "{mood:?}");
        assert!(out.contains(words), "{words:?} is not in: {out}");
    }
    qdrant.set(|state| state.mood = Mood::Silent);
    let start = Instant::now();
    let (code, out, _) = run(&machine, "check", declared);
    assert_eq!(code, 1);
    assert!(out.contains("no complete answer within 2 s"), "{out}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn one_that_another_made_meanwhile_is_compared() {
    let (machine, qdrant) = (Machine::new(), StandIn::new());
    for (size, drifts) in [(3, false), (4, true)] {
        qdrant.set(|state| state.mood = Mood::Race);
        let declared = qdrant.service(&[("notes", size, "Dot")]);
        let (code, out, error) = run(&machine, "setup", declared);
        assert_eq!((code, out.as_str()), (0, ""));
        assert_eq!(error.contains("but it has size 3"), drifts, "{error}");
    }
}

#[test]
fn a_qdrant_that_is_not_there_is_tried_again() {
    let machine = Machine::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut declared = StandIn::new().service(&[("notes", 3, "Dot")]);
    declared["ports"] = json!([port(
        "http",
        "127.0.0.1",
        listener.local_addr().unwrap().port()
    )]);
    drop(listener);
    let start = Instant::now();
    let (code, _, error) = run(&machine, "setup", declared);
    assert_eq!(code, 1);
    assert!(error.contains("connection refused"), "{error}");
    assert!(start.elapsed() >= Duration::from_secs(8));
}
