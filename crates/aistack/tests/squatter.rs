//! A stranger listens on a service's port: no command hands it a password or a key.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use fakes::{Machine, outcome, port, service, stack};
use serde_json::{Value, json};

const PASSWORD: &str = "sesame-of-the-superuser";
const APP: &str = "sesame-of-the-app";
const KEY: &str = "sesame-of-qdrant";

/// What a stranger was told.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Heard {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    fn keep(&self, stream: &mut TcpStream) {
        let mut bytes = [0; 4096];
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            self.0.lock().unwrap().extend_from_slice(&bytes[..count]);
        }
    }
}

/// A stranger's program on a port of its own. It answers `first` to the first bytes of a
/// connection, and keeps all it is sent.
fn stranger(first: Vec<u8>) -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, heard) = (listener.local_addr().unwrap().port(), Heard::default());
    let keep = heard.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (keep, first) = (keep.clone(), first.clone());
            thread::spawn(move || {
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).unwrap_or(0);
                keep.0.lock().unwrap().extend_from_slice(&bytes[..count]);
                drop(stream.write_all(&first));
                keep.keep(&mut stream);
            });
        }
    });
    (port, heard)
}

/// An authentication message of `PostgreSQL`'s protocol.
fn ask(code: u32, rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(8 + rest.len()).unwrap();
    [&b"R"[..], &length.to_be_bytes(), &code.to_be_bytes(), rest].concat()
}

/// A service with a database server and a Qdrant on these ports.
fn declared(machine: &Machine, postgres: u16, qdrant: u16) -> Value {
    let mut declared = service("x");
    declared["ports"] = json!([
        port("postgres", "127.0.0.1", postgres),
        port("http", "127.0.0.1", qdrant),
    ]);
    declared["postgres"] = json!({
        "port": "postgres", "user": "mcp", "database": "mcp",
        "passwordSource": machine.write_private("password", PASSWORD),
        "major": null, "versionFile": "/absent",
        "roles": [{
            "name": "app", "passwordSource": machine.write_private("password-app", APP),
            "option": "services.aiStack.x.users.app",
        }],
        "databases": [{
            "name": "app", "owner": "app", "extensions": [],
            "migrations": machine.write("migrations/V1__a.sql", "SELECT 1").parent().unwrap(),
            "option": "services.aiStack.x.databases.app",
        }],
    });
    declared["qdrant"] = json!({
        "port": "http", "apiKeySource": machine.write_private("key", KEY),
        "collections": [{
            "name": "notes", "size": 4, "distance": "Cosine",
            "option": "services.aiStack.x.collections.notes",
        }],
    });
    declared
}

/// What `check`, `setup` and `rotate` say of the service.
fn all(machine: &Machine, declared: &Value) -> Vec<(i32, String)> {
    let file = machine.stack(&stack(&[("x", declared.clone())]));
    let file = file.to_str().unwrap();
    [
        &["check", "x", "--stack", file, "--timeout", "2"][..],
        &["setup", "x", "--stack", file],
        &["rotate", "x", "--stack", file],
    ]
    .map(|words| {
        let (code, out, error) = outcome(machine.aistack(words));
        (code, format!("{out}{error}"))
    })
    .into()
}

fn assert_untold(heard: &Heard, said: &[(i32, String)]) {
    for secret in [PASSWORD, APP, KEY] {
        assert!(!heard.text().contains(secret), "{}", heard.text());
        for (_, text) in said {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[test]
fn a_stranger_on_the_port_is_told_nothing() {
    let machine = Machine::new();
    let (postgres, told) = stranger(ask(3, b""));
    let (qdrant, told_http) =
        stranger(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".into());
    let declared = declared(&machine, postgres, qdrant);
    // The unit runs, and its processes are others than the one that listens.
    machine.write("control-group", "/system.slice/local-ai-x.service");
    let said = all(&machine, &declared);
    assert_untold(&told, &said);
    assert_untold(&told_http, &said);
    // Not even who asks.
    assert_eq!(
        (told.text(), told_http.text()),
        (String::new(), String::new())
    );
    for (code, text) in &said {
        assert_eq!(*code, 1, "{text}");
        assert!(
            text.contains("to no process of local-ai-x.service"),
            "{text}"
        );
    }
}

#[test]
fn a_stranger_on_the_port_of_a_stopped_container_is_told_nothing() {
    for (active, sub) in [
        ("inactive", "dead"),
        ("failed", "failed"),
        ("activating", "auto-restart"),
        ("activating", "start"),
        ("deactivating", "stop"),
    ] {
        let machine = Machine::new();
        let (postgres, told) = stranger(ask(3, b""));
        let (qdrant, told_http) = stranger(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into());
        let declared = declared(&machine, postgres, qdrant);
        machine.unit("local-ai-x.service", active, sub, "success");
        let said = all(&machine, &declared);
        assert_untold(&told, &said);
        assert_untold(&told_http, &said);
        assert_eq!(
            (told.text(), told_http.text()),
            (String::new(), String::new())
        );
        assert!(
            said[0].1.contains("local-ai-x.service is "),
            "{}",
            said[0].1
        );
        assert_eq!(said[1].0, 1, "{}", said[1].1);
        // Nothing is wrong: the next start sets them.
        assert_eq!(said[2].0, 0, "{}", said[2].1);
    }
}

/// The unit is up and the listener is one of its processes, as if a container were broken
/// into: it may ask who connects, and gets no password for it.
#[test]
fn a_server_that_asks_for_the_password_in_another_way_than_scram_does_not_get_it() {
    for (first, words) in [
        (ask(3, b""), "asks for the password in the clear"),
        (ask(5, b"salt"), "asks for the password's MD5 hash"),
        (ask(0, b""), "without proof that it knows the password"),
        (ask(10, b"PLAIN\0\0"), "unsupported SASL mechanism"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            "not PostgreSQL's protocol",
        ),
    ] {
        let machine = Machine::new();
        let (postgres, told) = stranger(first);
        let mut declared = declared(&machine, postgres, 1);
        declared["qdrant"] = json!(null);
        let said = all(&machine, &declared);
        assert_untold(&told, &said);
        assert!(told.text().contains("mcp"), "it was asked: {}", told.text());
        // 64 hexadecimal digits and more would be a verifier.
        assert!(!told.text().contains("md5") && !told.text().contains("SCRAM-SHA-256$"));
        assert!(said[0].1.contains(words), "{}", said[0].1);
        assert!(said[1].1.contains(words), "{}", said[1].1);
    }
}

/// It goes through SCRAM, does not know the password, and says that all is well.
#[test]
fn a_server_that_cannot_prove_that_it_knows_the_password_is_not_believed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Heard::default();
    let keep = heard.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = [0; 4096];
            let _ = stream.read(&mut bytes).unwrap_or(0);
            drop(stream.write_all(&ask(10, b"SCRAM-SHA-256\0\0")));
            let count = stream.read(&mut bytes).unwrap_or(0);
            let first = String::from_utf8_lossy(&bytes[..count]).into_owned();
            let nonce = first.rsplit("r=").next().unwrap_or_default().to_owned();
            let next = format!("r={nonce}more,s=c2FsdHNhbHRzYWx0c2FsdA==,i=4096");
            drop(stream.write_all(&ask(11, next.as_bytes())));
            let _ = stream.read(&mut bytes).unwrap_or(0);
            let forged = b"v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
            drop(
                stream
                    .write_all(&[ask(12, forged), ask(0, b""), b"Z\0\0\0\x05I".to_vec()].concat()),
            );
            keep.keep(&mut stream);
        }
    });
    let machine = Machine::new();
    let mut declared = declared(&machine, port, 1);
    declared["qdrant"] = json!(null);
    let said = all(&machine, &declared);
    assert!(
        said[0].1.contains("SCRAM verification error"),
        "{}",
        said[0].1
    );
    // After the forged signature nothing more was sent: no statement, no verifier.
    assert_eq!(heard.text(), "");
    assert_untold(&heard, &said);
}

/// Errors of a server that anybody may be do not reach the terminal as they are.
#[test]
fn a_servers_error_is_printable() {
    let fields =
        "SFATAL\0VFATAL\0C28000\0M\u{1b}]0;owned\u{7}\u{1b}[2Jline\nforged: ok\u{202e}\0\0";
    let length = u32::try_from(fields.len() + 4).unwrap();
    let error = [&b"E"[..], &length.to_be_bytes(), fields.as_bytes()].concat();
    let machine = Machine::new();
    let (postgres, _) = stranger(error);
    let mut declared = declared(&machine, postgres, 1);
    declared["qdrant"] = json!(null);
    for (_, text) in all(&machine, &declared) {
        assert!(
            !text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'),
            "{text:?}"
        );
        assert!(
            !text.lines().any(|line| line.starts_with("forged")),
            "{text}"
        );
    }
}
