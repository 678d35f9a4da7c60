//! Fake `systemctl` and `podman` for the commands' tests, and stacks to run them on.
//!
//! The fakes are the shell scripts in `bin`, linked into a folder that stands first
//! in `PATH`. They write down each call, and answer from files that a test lays.
#![allow(dead_code, clippy::unwrap_used)]

pub mod cluster;
pub mod place;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with the fakes, and whatever a test lays beside them.
pub struct Machine {
    directory: TempDir,
}

impl Machine {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Links, not copies: a file that was just written can't be executed while
        // another test's child still has it open.
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/bin");
        fs::create_dir(directory.path().join("fake-bin")).unwrap();
        for name in ["systemctl", "podman"] {
            symlink(
                programs.join(name),
                directory.path().join("fake-bin").join(name),
            )
            .unwrap();
        }
        for folder in [
            "images",
            "secrets",
            "registry",
            "units",
            "data",
            "start-fails",
        ] {
            fs::create_dir(directory.path().join(folder)).unwrap();
        }
        Self { directory }
    }

    /// A path below the machine's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes an oci-archive that holds an image's name alone.
    #[allow(dead_code)]
    pub fn archive(&self, name: &str, image: &str) -> PathBuf {
        let index = json!({ "manifests": [
            { "annotations": { "org.opencontainers.image.ref.name": image } }
        ] });
        let list = self.write(&format!("{name}.d/index.json"), &index.to_string());
        let path = self.path(name);
        let made = std::process::Command::new("tar")
            .arg("-cf")
            .arg(&path)
            .arg("-C")
            .arg(list.parent().unwrap())
            .arg("index.json")
            .status();
        assert!(made.unwrap().success());
        fs::remove_dir_all(list.parent().unwrap()).unwrap();
        path
    }

    /// Writes a file that only its owner may read.
    pub fn write_private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.write(name, text);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        path
    }

    /// What systemd shall say of a unit: its state, its finer state, how it ended last.
    pub fn unit(&self, unit: &str, active: &str, sub: &str, result: &str) {
        self.write(
            &format!("units/{unit}"),
            &format!(
                "LoadState=loaded\nActiveState={active}\nSubState={sub}\nResult={result}\n\
                 NRestarts=4\nExecMainStatus=7\nStateChangeTimestampMonotonic=1000000\n"
            ),
        );
    }

    /// Makes an image present.
    pub fn image(&self, reference: &str) {
        self.write(
            &format!("images/{}", reference.replace(['/', ':', '@'], "_")),
            "",
        );
    }

    /// Lays one of the scripts of `bin` at a path, in place of what is there.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(fs::remove_file(&path));
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/bin");
        symlink(scripts.join(script), path).unwrap();
    }

    /// The calls of the fakes so far, one a line.
    pub fn calls(&self) -> String {
        fs::read_to_string(self.path("calls")).unwrap_or_default()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        drop(fs::remove_file(self.path("calls")));
    }

    /// Writes `stack.json` and gives its path.
    pub fn stack(&self, stack: &Value) -> PathBuf {
        self.write("stack.json", &stack.to_string())
    }

    /// `aistack` with the fakes first in `PATH` and nobody's configuration.
    pub fn aistack(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aistack"));
        command
            .args(arguments)
            .env(
                "PATH",
                // The scripts call cat and tr, wherever these are.
                std::env::join_paths(
                    std::iter::once(self.path("fake-bin"))
                        .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
                )
                .unwrap(),
            )
            .env("HOME", self.path("home"))
            .env("XDG_RUNTIME_DIR", self.path("runtime"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("NO_COLOR")
            .env_remove("CLICOLOR_FORCE");
        command
    }
}

/// Exit code, standard output and standard error of a command.
pub fn outcome(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// Says that a test could not run here. Not by a macro, whose output the test
/// harness keeps to itself.
pub fn skip(why: &str) {
    drop(writeln!(io::stderr(), "\nSKIP {why}"));
}

/// Whether a program is in `PATH`.
pub fn have(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .any(|directory| directory.join(program).exists())
}

/// The name of the user who runs the tests.
pub fn user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A port of 127.0.0.1 that nothing listens on: it was free a moment ago.
pub fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A stack in system scope.
pub fn stack(services: &[(&str, Value)]) -> Value {
    let services: serde_json::Map<String, Value> = services
        .iter()
        .map(|(name, service)| ((*name).to_owned(), service.clone()))
        .collect();
    json!({
        "schema": 1, "host": "box", "scope": "system", "user": null,
        "dataRoot": "/", "target": "local-ai.target", "network": "local-ai",
        "services": services,
    })
}

/// A service that claims nothing.
pub fn service(name: &str) -> Value {
    json!({
        "description": name, "option": format!("services.aiStack.{name}"),
        "unit": format!("local-ai-{name}.service"),
        "pullUnit": format!("local-ai-{name}-image.service"),
        "container": format!("local-ai-{name}"), "configHash": "one",
        "image": {
            "reference": format!("registry.example/{name}:1"),
            "name": format!("registry.example/{name}"),
            "tag": "1", "digest": null, "archive": null,
        },
        "ports": [], "health": null, "data": [], "secrets": [], "files": [],
        "setup": [], "needs": [], "wants": [], "gpu": null, "metrics": null,
    })
}

/// A service with one of its fields replaced.
pub fn with(mut service: Value, field: &str, value: Value) -> Value {
    *service.pointer_mut(field).unwrap() = value;
    service
}

/// A TCP port on an address.
pub fn port(name: &str, address: &str, port: u16) -> Value {
    json!({
        "name": name, "protocol": "tcp", "address": address, "host": port,
        "container": 80, "option": format!("services.aiStack.x.ports.{name}"),
    })
}

/// A data directory.
pub fn data(path: &Path) -> Value {
    json!({
        "name": "main", "host": path, "container": "/data", "readOnly": false,
        "owner": null, "mode": "0750",
    })
}

/// A secret.
pub fn secret(name: &str, source: &Path, generate: bool) -> Value {
    json!({
        "name": name, "source": source, "generate": generate,
        "option": format!("services.aiStack.x.secretEnv.{name}"),
    })
}
