//! A machine for the driver's tests: fake podman, systemctl and journalctl, and a stack.
// Each file of tests is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with the fakes, a stack, and whatever a test lays beside them.
pub struct Machine {
    directory: TempDir,
}

impl Machine {
    /// With one service, `web`, on a port that nothing listens on.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/bin");
        fs::create_dir(directory.path().join("bin")).unwrap();
        for name in ["systemctl", "podman", "journalctl"] {
            symlink(programs.join(name), directory.path().join("bin").join(name)).unwrap();
        }
        let machine = Self { directory };
        machine.write("units/none", "");
        machine.stack(&[("web", closed_port())]);
        machine
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Another program in the place of a fake.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::remove_file(&path).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// A stack of web services, each with its container.
    pub fn stack(&self, services: &[(&str, u16)]) {
        let services = services.iter().map(|(name, port)| {
            let port = json!({
                "name": "http", "protocol": "tcp", "address": "127.0.0.1", "host": port,
                "container": 80, "option": "services.aiStack.x.ports.http",
            });
            (*name, json!({ "ports": [port] }))
        });
        self.services(services);
    }

    /// A stack of services with what is said of each, every one with its container.
    pub fn services<'a>(&self, services: impl IntoIterator<Item = (&'a str, Value)>) {
        let mut all = serde_json::Map::new();
        for (name, said) in services {
            let mut service = json!({
                "description": name, "option": format!("services.aiStack.{name}"),
                "unit": format!("local-ai-{name}.service"),
                "pullUnit": format!("local-ai-{name}-image.service"),
                "container": format!("local-ai-{name}"), "configHash": "one",
                "image": {
                    "reference": "registry.example/x:1", "name": "registry.example/x",
                    "tag": "1", "digest": null, "archive": null,
                },
                "ports": [], "health": null, "data": [], "secrets": [], "files": [],
                "setup": [], "needs": [], "wants": [], "gpu": null, "metrics": null,
            });
            for (key, value) in said.as_object().unwrap() {
                service[key] = value.clone();
            }
            all.insert(name.to_owned(), service);
            self.write(
                &format!("containers/local-ai-{name}"),
                "one running healthy\n",
            );
        }
        let stack = json!({
            "schema": 1, "host": "box", "scope": "system", "user": null,
            "dataRoot": "/", "target": "local-ai.target", "network": "local-ai",
            "services": all,
        });
        self.write("stack.json", stack.to_string());
    }

    /// Makes it a test stack.
    pub fn mark(&self) {
        self.write("test-stack", "");
    }

    /// The driver with these arguments, and the stack for those that need one.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aistack-testdriver"));
        let path = std::env::join_paths(
            std::iter::once(self.path("bin"))
                .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
        )
        .unwrap();
        command.args(arguments).env("PATH", path);
        if matches!(arguments[0], "run" | "quick") {
            command.arg("--stack").arg(self.path("stack.json"));
        }
        command
    }

    /// The driver with this file, on a test stack.
    pub fn run(&self, file: &Path) -> Command {
        self.mark();
        self.command(&["run", file.to_str().unwrap(), "--destructive"])
    }

    /// A scenario of groups of steps.
    pub fn scenario(&self, groups: &Value) -> PathBuf {
        let document = json!({ "schema": 1, "name": "t", "groups": groups });
        self.write("scenario.json", document.to_string())
    }

    /// Runs the driver; exit code, standard output and standard error.
    pub fn outcome(&self, arguments: &[&str]) -> (i32, String, String) {
        said(&mut self.command(arguments))
    }

    /// Runs groups of steps on a test stack; exit code and lines.
    pub fn groups(&self, groups: &Value) -> (i32, String) {
        let (code, out, error) = said(&mut self.run(&self.scenario(groups)));
        (code, out + &error)
    }

    /// Runs steps one after the other, each whatever became of the others.
    pub fn steps(&self, steps: &Value) -> (i32, String) {
        self.groups(&each(steps))
    }

    /// What the fakes were asked.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }
}

/// Steps one after the other, each whatever became of the others, as groups.
pub fn each(steps: &Value) -> Value {
    json!([{ "keep-going": true, "steps": steps }])
}

fn said(command: &mut Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A port of 127.0.0.1 that nothing listens on: it was free a moment ago.
pub fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that does the same with each connection.
pub fn server(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream.unwrap()));
        }
    });
    address
}

/// A server that does the same with each connection, once a request has come.
pub fn respond(answer: impl Fn(TcpStream, &str) + Clone + Send + 'static) -> SocketAddr {
    server(move |mut stream| {
        let mut request = vec![0; 4096];
        let mut count = stream.read(&mut request).unwrap_or_default();
        let head = String::from_utf8_lossy(&request[..count]).to_lowercase();
        // The body may come in a packet of its own.
        if head.contains("content-length: ") && head.ends_with("\r\n\r\n") {
            count += stream.read(&mut request[count..]).unwrap_or_default();
        }
        request.truncate(count);
        answer(stream, &String::from_utf8_lossy(&request));
    })
}

/// Answers each request with `text`, and closes.
pub fn answers(text: &'static (impl AsRef<[u8]> + ?Sized + Sync)) -> SocketAddr {
    respond(move |mut stream, _| drop(stream.write_all(text.as_ref())))
}
