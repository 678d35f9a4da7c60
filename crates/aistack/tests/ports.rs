//! `aistack ports` on sockets that the test opens, and `aistack ports scan`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, outcome, port, service, stack, with};
use serde_json::{Value, json};

fn declared(machine: &Machine, ports: &[(&str, u16)]) -> String {
    let ports: Vec<Value> = ports
        .iter()
        .map(|(address, number)| port("http", address, *number))
        .collect();
    let service = with(service("a"), "/ports", json!(ports));
    let file = machine.stack(&stack(&[("a", service)]));
    file.to_str().unwrap().to_owned()
}

/// One test at a time. A program that another test starts has this process's sockets until its
/// `exec`, so a port that was just closed is still taken, and a file that was just written is
/// still open for writing.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A port that nobody has.
fn unused() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn rows(report: &Value, port: u16) -> Vec<Value> {
    report["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["port"] == port)
        .cloned()
        .collect()
}

#[test]
fn a_foreign_process_is_named_and_freeing_the_port_heals() {
    let _alone = alone();
    let machine = Machine::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = socket.local_addr().unwrap().port();
    let file = declared(&machine, &[("127.0.0.1", number)]);
    let arguments = ["ports", "--stack", &file];

    let (code, out, _) = outcome(machine.aistack(&arguments));
    assert_eq!(code, 1, "{out}");
    let pid = std::process::id();
    let row = out
        .lines()
        .find(|line| line.starts_with(&number.to_string()))
        .unwrap();
    assert!(row.contains(&format!("[{pid}]")), "{row}");
    assert!(row.ends_with("foreign"), "{row}");
    for line in [
        format!("127.0.0.1:{number}/tcp of services.aiStack.x.ports.http is taken"),
        "services.aiStack.x.ports.http = ".to_owned(),
        format!("kill {pid}"),
    ] {
        assert!(out.contains(&line), "{line}\n{out}");
    }

    let (code, out, _) = outcome(machine.aistack(&[&arguments[..], &["--json"]].concat()));
    assert_eq!(code, 1);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&report["schema"], &report["well"]),
        (&json!(1), &json!(false))
    );
    let row = &rows(&report, number)[0];
    assert_eq!(row["verdict"], "foreign");
    assert_eq!(row["owner"]["process"]["pid"], pid);
    assert_eq!(row["declared"]["service"], "a");
    let proposed = report["advice"][0]["freePort"].as_u64().unwrap();
    TcpListener::bind(("0.0.0.0", u16::try_from(proposed).unwrap())).unwrap();

    drop(socket);
    let (code, out, _) = outcome(machine.aistack(&arguments));
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains(&format!("{number}")) && out.contains("free"),
        "{out}"
    );
    // No program was asked.
    assert_eq!(machine.calls(), "");
}

#[test]
fn every_kind_of_socket_is_seen_once() {
    let _alone = alone();
    let machine = Machine::new();
    let file = declared(&machine, &[]);
    let tcp4 = TcpListener::bind("127.0.0.3:0").unwrap();
    let udp4 = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut expected = vec![
        (tcp4.local_addr().unwrap(), "tcp"),
        (udp4.local_addr().unwrap(), "udp"),
    ];
    // Where the machine has IPv6.
    let tcp6 = TcpListener::bind("[::1]:0").ok();
    expected.extend(tcp6.iter().map(|it| (it.local_addr().unwrap(), "tcp")));
    // Connections aren't listeners.
    let peer = std::net::TcpStream::connect(tcp4.local_addr().unwrap()).unwrap();
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(udp4.local_addr().unwrap()).unwrap();

    let (code, out, _) = outcome(machine.aistack(&["ports", "--json", "--stack", &file]));
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&out).unwrap();
    for (address, protocol) in expected {
        let rows = rows(&report, address.port());
        assert_eq!(rows.len(), 1, "{address}");
        assert_eq!(rows[0]["address"], address.ip().to_string());
        assert_eq!(rows[0]["protocol"], protocol);
        assert_eq!(rows[0]["verdict"], Value::Null);
        assert_eq!(rows[0]["owner"]["process"]["pid"], std::process::id());
    }
    assert!(rows(&report, peer.local_addr().unwrap().port()).is_empty());
    assert!(rows(&report, connected.local_addr().unwrap().port()).is_empty());
}

#[test]
fn what_another_user_hides_is_said_and_the_rest_is_right() {
    let _alone = alone();
    if Command::new("id").arg("-u").output().unwrap().stdout != b"0\n" {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let machine = Machine::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = socket.local_addr().unwrap().port();
    let free = unused();
    // Ours would be root's; so would be what holds it.
    let file = declared(&machine, &[("127.0.0.1", number), ("127.0.0.1", free)]);
    let program = machine.path("aistack");
    std::fs::copy(env!("CARGO_BIN_EXE_aistack"), &program).unwrap();
    std::fs::set_permissions(machine.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    let done = Command::new(program)
        .args(["ports", "--stack", &file])
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let out = String::from_utf8(done.stdout).unwrap();
    let row = |port: u16| {
        out.lines()
            .find(|line| line.starts_with(&port.to_string()))
            .unwrap_or_else(|| panic!("{port}: {out}"))
    };
    assert!(row(number).contains("hidden (user root)"), "{out}");
    assert!(row(free).ends_with("free"), "{out}");
    assert!(out.contains("could not be seen"), "{out}");
    assert!(out.contains("run it as root"), "{out}");
    assert_eq!(done.status.code(), Some(1), "{out}");
}

#[test]
fn waiting_for_a_port() {
    let _alone = alone();
    let machine = Machine::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let number = socket.local_addr().unwrap().port();
    let text = number.to_string();
    let wait = |more: &[&str]| {
        outcome(machine.aistack(&[&["ports", "--wait-free", &text][..], more].concat()))
    };
    let began = Instant::now();
    let (code, out, err) = wait(&["--timeout", "0.3"]);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!((code, out.as_str()), (1, ""));
    let pid = std::process::id();
    assert!(
        err.contains(&format!("127.0.0.1:{number}/tcp is taken")),
        "{err}"
    );
    assert!(err.contains(&format!("[{pid}]")), "{err}");
    let (code, out, _) = wait(&["--timeout", "0.1", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["free"]), (1, &json!(false)));
    assert_eq!(report["owners"][0]["process"]["pid"], pid);
    // Another protocol.
    let (code, ..) = outcome(machine.aistack(&["ports", "--wait-free", &format!("{number}/udp")]));
    assert_eq!(code, 0);

    let later = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        drop(socket);
    });
    let (code, _, err) = wait(&["--timeout", "20"]);
    assert_eq!((code, err.as_str()), (0, ""));
    later.join().unwrap();
}

#[test]
fn without_a_stack_what_listens_is_shown() {
    let _alone = alone();
    let machine = Machine::new();
    for folder in ["root/proc/net", "root/etc"] {
        std::fs::create_dir_all(machine.path(folder)).unwrap();
    }
    machine.write("root/proc/net/tcp", "title\n");
    let root = machine.path("root");
    let root = root.to_str().unwrap();
    let (code, out, _) = outcome(machine.aistack(&["ports", "--root", root]));
    assert_eq!(code, 0);
    assert!(
        out.contains("nothing listens and nothing is declared"),
        "{out}"
    );
    assert!(out.contains("no stack is declared here"), "{out}");
    // Who asks for one means it.
    let (code, _, err) = outcome(machine.aistack(&["ports", "--system", "--root", root]));
    assert_eq!(code, 2);
    assert!(err.contains("no stack is declared here"), "{err}");
}

#[test]
fn bad_input() {
    let _alone = alone();
    let machine = Machine::new();
    let broken = machine.write("broken.json", "{\"schema\": 1");
    let broken = broken.to_str().unwrap();
    machine.write("empty/proc/.keep", "");
    let empty = machine.path("empty");
    let empty = empty.to_str().unwrap();
    for (arguments, message) in [
        (
            vec!["ports", "--wait-free", "0"],
            "not a port from 1 to 65535",
        ),
        (
            vec!["ports", "--wait-free", "65536"],
            "not a port from 1 to 65535",
        ),
        (vec!["ports", "--wait-free", "80/sctp"], "tcp or udp"),
        (
            vec!["ports", "--wait-free", "80", "--timeout", "0"],
            "--timeout",
        ),
        (vec!["ports", "--timeout", "1"], "--wait-free"),
        (vec!["ports", "--user", "--system"], "cannot be used with"),
        (
            vec!["ports", "--stack", "/nonexistent"],
            "/nonexistent does not exist",
        ),
        (vec!["ports", "--stack", broken], "is not valid JSON"),
        (
            vec!["ports", "--root", empty],
            "what listens can't be seen: ",
        ),
        (vec!["ports", "scan"], "<DIR>"),
        (
            vec!["ports", "scan", "/nonexistent"],
            "/nonexistent cannot be scanned",
        ),
        (vec!["ports", "scan", broken], "cannot be scanned"),
        (
            vec!["ports", "scan", empty],
            "has no .nix file that could be read",
        ),
        (
            vec!["ports", "scan", ".", "--json", "--sarif"],
            "cannot be used with",
        ),
    ] {
        let (code, _, err) = outcome(machine.aistack(&arguments));
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert!(err.contains(message), "{arguments:?}: {err}");
    }
}

fn tree() -> Machine {
    let machine = Machine::new();
    machine.write(
        "tree/a host.nix",
        "{ x, ... }:\n{\n  services.a.port = 8080;\n  services.b.port = 8080;\n  services.c.port = x;\n}\n",
    );
    machine.write("tree/bad.nix", "{\n  a = ;\n}\n");
    machine
}

#[test]
fn a_scan_reports_duplicates_with_their_places() {
    let _alone = alone();
    let machine = tree();
    let dir = machine.path("tree");
    let dir = dir.to_str().unwrap();
    let (code, out, err) = outcome(machine.aistack(&["ports", "scan", dir]));
    assert_eq!(code, 1);
    let expected = format!(
        "port 8080/tcp is claimed 2 times\n  {dir}/a host.nix:3:21: services.a.port\n    \
         | services.a.port = 8080;\n    |                   ^^^^\n  \
         {dir}/a host.nix:4:21: services.b.port\n    | services.b.port = 8080;\n    \
         |                   ^^^^\n\n1 port is claimed twice; 2 claims and 0 firewall openings \
         in 1 files\nnot known: 1 ports that must be computed; evaluation has them\n\
         not read: 1 files\n"
    );
    assert_eq!(out, expected);
    assert!(err.contains("bad.nix:2:7: cannot be parsed"), "{err}");

    let (code, out, _) = outcome(machine.aistack(&["ports", "scan", dir, "--json"]));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["duplicates"][0]["claims"][1]["line"], 4);
    assert_eq!(report["problems"][0]["file"], "bad.nix");
    assert_eq!(report["computed"], 1);

    let (code, out, _) = outcome(machine.aistack(&["ports", "scan", dir, "--sarif"]));
    let sarif: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1);
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "duplicate-port");
    let at = &result["locations"][0]["physicalLocation"];
    assert_eq!(at["artifactLocation"]["uri"], "a%20host.nix");
    assert_eq!(at["region"]["startLine"], 4);
    assert_eq!(at["region"]["startColumn"], 21);
    assert_eq!(
        result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"],
        3
    );
}

#[test]
fn a_scan_without_duplicates() {
    let _alone = alone();
    let machine = Machine::new();
    machine.write("tree/a.nix", "{ services.a.port = 1; }");
    let dir = machine.path("tree");
    let (code, out, err) = outcome(machine.aistack(&["ports", "scan", dir.to_str().unwrap()]));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.starts_with("0 ports are claimed twice; 1 claims"),
        "{out}"
    );
}

#[test]
fn help_says_what_counts() {
    let _alone = alone();
    let machine = Machine::new();
    for (arguments, words) in [
        (
            ["ports", "--help", ""],
            ["--wait-free <PORT>", "wrong address", "Exit codes: 0"],
        ),
        (
            ["ports", "scan", "--help"],
            ["Not compared", ".gitignore", "Exit codes: 0"],
        ),
    ] {
        let arguments: Vec<&str> = arguments.into_iter().filter(|a| !a.is_empty()).collect();
        let (code, out, _) = outcome(machine.aistack(&arguments));
        assert_eq!(code, 0);
        let out = out.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(out.contains(word), "{word}: {out}");
        }
    }
}
