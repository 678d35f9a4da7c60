//! A real `PostgreSQL` server for a test program, in a folder and on a port of its own.
//!
//! Passwords are asked for on the port and not on the socket, as in the images. It
//! stops and its folder goes when the test program ends.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::closed_port;

/// The user and group `nobody`: the server refuses to be root's.
const NOBODY: u32 = 65_534;

/// The server.
pub struct Cluster {
    programs: PathBuf,
    /// The folder of its socket.
    pub socket: PathBuf,
    /// Its port, on 127.0.0.1 and of the socket.
    pub port: u16,
    /// Ends with its standard input, which this holds open.
    _keeper: Child,
}

/// The server of this test program; none, said visibly, where it can't be had.
pub fn cluster() -> Option<&'static Cluster> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        let programs = programs();
        if programs.is_none() {
            // Past the harness, which keeps what a test that passes prints.
            drop(io::stderr().write_all(b"SKIP: no PostgreSQL server (initdb) here\n"));
        }
        Some(start(&programs?))
    });
    cluster.as_ref()
}

/// The directory of `initdb` and `postgres`: Debian's of the newest version, or one of `PATH`.
fn programs() -> Option<PathBuf> {
    let mut debian: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((
                entry.file_name().to_str()?.parse().ok()?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    debian.sort();
    let path = std::env::var_os("PATH")?;
    debian
        .into_iter()
        .rev()
        .map(|(_, directory)| directory)
        .chain(std::env::split_paths(&path))
        .find(|directory| {
            ["initdb", "postgres", "psql"]
                .iter()
                .all(|name| directory.join(name).exists())
        })
}

fn start(programs: &Path) -> Cluster {
    let socket = tempfile::Builder::new()
        .prefix("aistack-pg")
        .tempdir()
        .unwrap()
        .keep();
    let root = socket.metadata().unwrap().uid() == 0;
    if root {
        chown(&socket, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    // A fake podman of any user's comes to the socket.
    fs::set_permissions(&socket, PermissionsExt::from_mode(0o755)).unwrap();
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir("/").env("TZ", "UTC").env("LC_ALL", "C");
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let data = socket.join("data");
    let made = command(&programs.join("initdb"))
        .args([
            "--username=admin",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ])
        .args([
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--pgdata",
        ])
        .arg(&data)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let port = closed_port();
    let script = r#"
        "$1/postgres" -D "$2/data" -k "$2" -p "$3" -h 127.0.0.1 -F \
            -c log_statement=all -c max_connections=60 >"$2/log" 2>&1 &
        read -r _
        kill -INT $!
        wait
        rm -rf "$2"
    "#;
    let keeper = command(Path::new("/bin/sh"))
        .args(["-c", script, "sh"])
        .arg(programs)
        .arg(&socket)
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let cluster = Cluster {
        programs: programs.to_owned(),
        socket,
        port,
        _keeper: keeper,
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while cluster.try_psql("admin", "postgres", "SELECT 1").is_err() {
        assert!(Instant::now() < deadline, "{}", cluster.log());
        thread::sleep(Duration::from_millis(100));
    }
    cluster
}

impl Cluster {
    /// What a statement answers through the socket, as any user without a password.
    pub fn psql(&self, user: &str, database: &str, statement: &str) -> String {
        self.try_psql(user, database, statement).unwrap()
    }

    /// The same, or what psql said of an error.
    pub fn try_psql(&self, user: &str, database: &str, statement: &str) -> Result<String, String> {
        self.ask(&self.socket, user, None, database, statement)
    }

    /// Through the port with a password, as a client does.
    pub fn client(
        &self,
        user: &str,
        password: &str,
        database: &str,
        statement: &str,
    ) -> Result<String, String> {
        self.ask(
            Path::new("127.0.0.1"),
            user,
            Some(password),
            database,
            statement,
        )
    }

    fn ask(
        &self,
        host: &Path,
        user: &str,
        password: Option<&str>,
        database: &str,
        statement: &str,
    ) -> Result<String, String> {
        let mut command = Command::new(self.programs.join("psql"));
        command
            .args(["-qAtXw", "-v", "ON_ERROR_STOP=1", "-c", statement])
            .env("PGHOST", host)
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", user)
            .env("PGDATABASE", database)
            .env("PGPASSFILE", "/nonexistent");
        if let Some(password) = password {
            command.env("PGPASSWORD", password);
        }
        let output = command.output().unwrap();
        if output.status.success() {
            Ok(String::from_utf8(output.stdout)
                .unwrap()
                .trim_end()
                .to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// The server's log, with every statement.
    pub fn log(&self) -> String {
        let mut text = Vec::new();
        fs::File::open(self.socket.join("log"))
            .and_then(|mut file| file.read_to_end(&mut text))
            .unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }
}
