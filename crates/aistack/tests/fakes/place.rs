//! A superuser and databases of a test's own, on the server that a test program shares.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use serde_json::{Value, json};

use super::cluster::{Cluster, cluster};
use super::{Machine, outcome, port, service, stack};

/// A superuser and a first database of a test's own, as an image makes them, on the
/// server that all tests share.
pub struct Place {
    /// The folder with the fakes.
    pub machine: Machine,
    /// The server.
    pub cluster: &'static Cluster,
    /// The service as `stack.json` declares it.
    pub declared: Value,
}

/// What a setup says that had to wait for another one.
pub const WAITED: &str = "x: another setup is at work on this server; it is waited for\n";

/// The names in it are of `name`; none: there is no server.
pub fn place(name: &str) -> Option<Place> {
    let cluster = cluster()?;
    let machine = Machine::new();
    machine.write("pg-socket", cluster.socket.to_str().unwrap());
    machine.write("pg-port", &cluster.port.to_string());
    let quoted = name.replace('"', "\"\"");
    cluster.psql(
        "admin",
        "postgres",
        &format!("CREATE ROLE \"{quoted}\" SUPERUSER LOGIN"),
    );
    cluster.psql(
        "admin",
        "postgres",
        &format!("CREATE DATABASE \"{quoted}\" OWNER \"{quoted}\""),
    );
    let mut declared = service("x");
    declared["ports"] = json!([port("postgres", "127.0.0.1", cluster.port)]);
    declared["postgres"] = json!({
        "port": "postgres", "user": name, "database": name,
        "passwordSource": machine.write_private("password", "sesame-of-the-superuser\n"),
        "major": null, "versionFile": machine.path("PG_VERSION"),
        "roles": [], "databases": [],
    });
    Some(Place {
        machine,
        cluster,
        declared,
    })
}

/// A database without extensions.
pub fn database(name: &str, owner: &str, migrations: Option<&Path>) -> Value {
    json!({
        "name": name, "owner": owner, "extensions": [], "migrations": migrations,
        "option": format!("services.aiStack.x.databases.{name}"),
    })
}

impl Place {
    pub fn role(&mut self, name: &str, password: &str) {
        let file = self
            .machine
            .write_private(&format!("password-{name}").replace('/', "_"), password);
        let role = json!({
            "name": name, "passwordSource": file, "option": format!("services.aiStack.x.users.{name}"),
        });
        self.declared["postgres"]["roles"]
            .as_array_mut()
            .unwrap()
            .push(role);
    }

    pub fn database(&mut self, database: Value) {
        self.declared["postgres"]["databases"]
            .as_array_mut()
            .unwrap()
            .push(database);
    }

    pub fn command(&self, command: &str) -> assert_cmd::Command {
        let file = self.machine.stack(&stack(&[("x", self.declared.clone())]));
        let mut words = vec![command, "x", "--stack", file.to_str().unwrap()];
        if command == "check" {
            words.extend(["--timeout", "10"]);
        }
        self.machine.aistack(&words)
    }

    /// Other tests have setups at work on the same server; that this one waited for
    /// them is left out.
    pub fn setup(&self) -> (i32, String, String) {
        let (code, out, error) = outcome(self.command("setup"));
        (code, out.replace(WAITED, ""), error)
    }

    /// The lines of `aistack check` on databases.
    pub fn check(&self) -> (i32, String) {
        let (code, out, _) = outcome(self.command("check"));
        let lines: Vec<String> = out
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| line.contains(" database "))
            .collect();
        (code, lines.join("\n"))
    }

    pub fn migration(&self, name: &str, text: &str) -> std::path::PathBuf {
        let file = self.machine.write(&format!("migrations/{name}"), text);
        file.parent().unwrap().to_owned()
    }

    pub fn psql(&self, database: &str, statement: &str) -> String {
        self.cluster.psql("admin", database, statement)
    }
}
