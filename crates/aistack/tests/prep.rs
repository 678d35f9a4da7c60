//! `aistack prep`: what it makes, what it says, and what it must never do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command as Process;

use fakes::{Machine, closed_port, have, outcome, skip, user};
use serde_json::{Value, json};

const PODMAN: &str = r#"{"host":{"networkBackend":"netavark","networkBackendInfo":{"dns":{"path":"/x/aardvark-dns"}}},"version":{"Version":"5.6.0"}}"#;

/// A machine with podman and compose that work, and a plan below its folder.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.program("fake-bin/podman", "runtime");
    machine.program("fake-bin/podman-compose", "runtime");
    machine.program("fake-bin/docker", "runtime");
    machine.write("podman-info", PODMAN);
    machine.write("docker-broken", "");
    machine.write("root/proc/cpuinfo", "processor : 0\n");
    machine.write("root/etc/machine-id", "one\n");
    machine.write("prep.json", &plan(&machine, closed_port()).to_string());
    machine
}

fn plan(machine: &Machine, port: u16) -> Value {
    json!({
        "schema": 1, "scope": "user", "user": user(),
        "dataRoot": machine.path("data-root"), "configRoot": machine.path("config-root"),
        "expectedLocation": machine.path("AI-Optimizer"),
        "statusFile": machine.path("cache/nixos-quick-deploy/integration/ai-optimizer.json"),
        "networkName": "aidb-network",
        "ports": { "postgres": { "port": port, "option": "services.aiOptimizerPrep.ports.postgres" } },
        "gpus": [],
    })
}

fn prep(machine: &Machine, more: &[&str]) -> (i32, String, String) {
    let file = machine.path("prep.json");
    let mut arguments = vec!["prep", "--file", file.to_str().unwrap()];
    arguments.extend(more);
    outcome(machine.aistack(&arguments))
}

fn record(machine: &Machine) -> Value {
    let path = machine.path("cache/nixos-quick-deploy/integration/ai-optimizer.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn validator(name: &str) -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../schemas")
        .join(name);
    jsonschema::validator_for(&serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).unwrap()
}

#[test]
fn all_of_it_makes_the_folders_and_a_report_that_follows_its_schema() {
    let machine = machine();
    let schema = validator("prep.schema.json");
    assert!(schema.is_valid(&plan(&machine, 1)));
    for _ in 0..2 {
        let (code, out, err) = prep(&machine, &[]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.contains("is ready for AI-Optimizer"), "{out}");
        assert!(out.contains("not installed"), "{out}");
        assert!(out.contains("podman-compose 1.5.0"), "{out}");
        assert!(machine.path("data-root/vllm-models").is_dir());
        let record = record(&machine);
        let schema = validator("ai-optimizer.schema.json");
        let errors: Vec<String> = schema.iter_errors(&record).map(|e| e.to_string()).collect();
        assert_eq!(errors, [""; 0]);
        assert_eq!(record["prepared"], true);
        assert_eq!(record["podman_available"], true);
        assert_eq!(record["docker_available"], false);
        assert_eq!(record["gpu_detected"], false);
        assert_eq!(record["ports"][0]["holder"], "free");
    }
    let env = fs::read_to_string(machine.path("config-root/.env")).unwrap();
    assert!(
        env.contains("POSTGRES_DATA_DIR=/") && !env.contains("VLLM_MODEL="),
        "{env}"
    );
    let (code, out, _) = prep(&machine, &["info"]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("prepared at 20") && out.contains("next steps"),
        "{out}"
    );
    // Only questions, and no network is made.
    for call in machine.calls().lines() {
        assert!(
            ["info", "ps", "network inspect", "--version"]
                .iter()
                .any(|question| call.split_once(' ').unwrap().1.starts_with(question)),
            "{call}"
        );
    }
}

#[test]
fn a_runtime_must_work_and_not_only_be_there() {
    let machine = machine();
    machine.write("podman-broken", "");
    let (code, out, _) = prep(&machine, &["check-runtime", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 1, "{out}");
    assert_eq!(report["podman_available"], false);
    assert!(
        out.contains("does not work") && out.contains("it is broken"),
        "{out}"
    );

    // docker is understood, and podman by its name is podman.
    fs::remove_file(machine.path("docker-broken")).unwrap();
    machine.write("docker-info", r#"{"ServerVersion":"28.1"}"#);
    let (code, out, _) = prep(&machine, &["check-runtime", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &report["docker_available"]),
        (0, &json!(true)),
        "{out}"
    );
    fs::remove_file(machine.path("podman-broken")).unwrap();
    machine.write("docker-info", PODMAN);
    let (_, out, _) = prep(&machine, &["check-runtime"]);
    assert!(out.contains("is podman by another name"), "{out}");

    // Without a resolver containers do not find each other.
    machine.write(
        "podman-info",
        r#"{"host":{"networkBackend":"netavark","networkBackendInfo":{"dns":{}}}}"#,
    );
    let (code, out, _) = prep(&machine, &["check-runtime"]);
    assert_eq!(code, 1);
    assert!(out.contains("aardvark-dns"), "{out}");
}

#[test]
fn a_taken_port_is_named_with_who_has_it_and_the_option() {
    let machine = machine();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    machine.write("prep.json", &plan(&machine, port).to_string());
    let (code, out, _) = prep(&machine, &["detect-port-conflicts"]);
    assert_eq!(code, 1);
    for word in [
        &port.to_string(),
        "is taken",
        "services.aiOptimizerPrep.ports.postgres",
    ] {
        assert!(out.contains(word), "{word}: {out}");
    }
    let (code, _, _) = prep(&machine, &[]);
    assert_eq!(code, 1);
    assert_eq!(record(&machine)["prepared"], false);
    // The rest was done all the same.
    assert!(machine.path("data-root/postgres").is_dir());
}

#[test]
fn the_stack_is_running_stopped_or_not_installed() {
    let machine = machine();
    let state = || prep(&machine, &["status"]).1.trim().to_owned();
    assert_eq!(state(), "not_installed");
    machine.write("AI-Optimizer/docker-compose.new.yml", "services: {}\n");
    assert_eq!(state(), "stopped");
    let row = |folder: &Path| {
        json!([{ "Names": ["aidb-mcp"], "Labels": { "com.docker.compose.project.working_dir": folder } }])
            .to_string()
    };
    // A container of the same name that is not the stack's.
    machine.write("podman-ps", &row(Path::new("/elsewhere")));
    assert_eq!(state(), "stopped");
    machine.write("podman-ps", &row(&machine.path("AI-Optimizer")));
    assert_eq!(state(), "running");
    let (code, out, _) = prep(&machine, &["check-installed", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["installed"]), (0, &json!(true)));
    // What can't be asked is said.
    machine.write("podman-broken", "");
    let (code, out, err) = prep(&machine, &["status"]);
    assert_eq!((code, out.trim()), (0, "stopped"));
    assert!(err.contains("no container runtime works"), "{err}");
}

#[test]
fn a_network_is_made_when_asked_and_one_that_does_not_fit_is_left() {
    let machine = machine();
    for words in ["made aidb-network", "is there"] {
        let (code, out, _) = prep(&machine, &["ensure-network"]);
        assert_eq!(code, 0, "{out}");
        assert!(out.contains(words), "{out}");
    }
    assert_eq!(machine.calls().matches("network create").count(), 1);
    for odd in [
        r#"[{"driver":"bridge","dns_enabled":false}]"#,
        r#"[{"driver":"macvlan","dns_enabled":true}]"#,
    ] {
        machine.write("network-aidb-network", odd);
        machine.forget_calls();
        let (code, out, _) = prep(&machine, &["ensure-network"]);
        assert_eq!(code, 1);
        assert!(out.contains("network rm aidb-network"), "{out}");
        assert!(!machine.calls().contains("create"), "{}", machine.calls());
    }
}

#[test]
fn a_gpu_needs_a_cdi_spec() {
    let machine = machine();
    let mut declared = plan(&machine, 1);
    declared["gpus"] = json!([{ "slot": "0000:01:00.0", "vendor": "nvidia", "vramMiB": 24564 }]);
    machine.write("prep.json", &declared.to_string());
    let root = machine.path("root");
    let arguments = ["check-gpu-toolkit", "--root", root.to_str().unwrap()];
    let (code, out, _) = prep(&machine, &arguments);
    assert_eq!(code, 1);
    assert!(
        out.contains("hardware.nvidia-container-toolkit.enable"),
        "{out}"
    );
    machine.write(
        "root/var/run/cdi/nvidia.yaml",
        "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: all\n  containerEdits: {}\n",
    );
    let (code, out, _) = prep(&machine, &arguments);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("nvidia.com/gpu=all"), "{out}");
}

#[test]
fn an_env_is_shown_before_it_is_written() {
    let machine = machine();
    let env = machine.write("AI-Optimizer/.env", "A=1\n");
    let path = env.to_str().unwrap();
    let (code, out, _) = prep(&machine, &["env", path, "--dry-run"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("+POSTGRES_DATA_DIR=") && out.contains("@@ -1,1 +1,"),
        "{out}"
    );
    assert_eq!(fs::read_to_string(&env).unwrap(), "A=1\n");
    fs::write(&env, "A=1\r\n").unwrap();
    let (code, _, err) = prep(&machine, &["env", path]);
    assert_eq!(code, 2);
    assert!(err.contains("CRLF"), "{err}");
    assert_eq!(fs::read_to_string(&env).unwrap(), "A=1\r\n");
}

#[test]
fn another_ones_plan_and_a_broken_one_are_refused() {
    let machine = machine();
    let mut declared = plan(&machine, 1);
    declared["user"] = json!("somebody-else");
    machine.write("prep.json", &declared.to_string());
    let (code, _, err) = prep(&machine, &[]);
    assert_eq!(code, 2);
    assert!(err.contains("run it as somebody-else"), "{err}");
    assert!(!machine.path("data-root").exists());
    // Looking is allowed.
    assert_eq!(prep(&machine, &["check-runtime"]).0, 0);

    for (text, word) in [
        ("{", "no prep.json"),
        (r#"{"schema":2}"#, "schema 2"),
        (r#"{"schema":1,"scope":"user"}"#, "missing field"),
    ] {
        machine.write("prep.json", text);
        let (code, _, err) = prep(&machine, &["status"]);
        assert_eq!(code, 2);
        assert!(err.contains(word), "{err}");
    }
    declared["dataRoot"] = json!("relative");
    machine.write("prep.json", &declared.to_string());
    assert!(prep(&machine, &["status"]).2.contains("no absolute path"));
}

/// Everything below a folder, with owners, modes and contents.
fn tree(folder: &Path) -> String {
    let script = "find . -printf '%p %M %U %l\\n' | sort; find . -type f -exec cat {} +";
    let done = Process::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(done.stdout).unwrap()
}

/// A folder of a user who is not root, and a program for them; none where the tests run
/// as nobody who may be another.
fn stranger() -> Option<Machine> {
    if user() != "root" {
        skip("only root can try `aistack prep` as another user");
        return None;
    }
    let machine = machine();
    // Where the tree lies may be closed to them.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/bin/runtime");
    let own = Path::new(env!("CARGO_BIN_EXE_aistack"));
    for (name, file) in [
        ("aistack", own),
        ("fake-bin/podman", &script),
        ("fake-bin/podman-compose", &script),
        ("fake-bin/docker", &script),
    ] {
        drop(fs::remove_file(machine.path(name)));
        if fs::hard_link(file, machine.path(name)).is_err() {
            fs::copy(file, machine.path(name)).unwrap();
        }
    }
    let calls = machine.write("calls", "");
    fs::set_permissions(calls, Permissions::from_mode(0o666)).unwrap();
    fs::create_dir(machine.path("home")).unwrap();
    chown(machine.path("home"), Some(STRANGER), Some(STRANGER)).unwrap();
    fs::set_permissions(machine.path(""), Permissions::from_mode(0o755)).unwrap();
    Some(machine)
}

const STRANGER: u32 = 65_534;

fn fake_path(machine: &Machine) -> String {
    let path = std::env::var("PATH").unwrap();
    format!("{}:{path}", machine.path("fake-bin").display())
}

/// `aistack prep …` as that user, with nothing declared.
fn as_stranger(machine: &Machine, more: &[&str]) -> (i32, String, String) {
    let done = Process::new(machine.path("aistack"))
        .arg("prep")
        .args(more)
        .env_clear()
        .env("PATH", fake_path(machine))
        .env("HOME", machine.path("home"))
        .current_dir("/")
        .uid(STRANGER)
        .gid(STRANGER)
        .output()
        .unwrap();
    (
        done.status.code().unwrap(),
        String::from_utf8(done.stdout).unwrap(),
        String::from_utf8(done.stderr).unwrap(),
    )
}

#[test]
fn a_home_that_cannot_be_written_is_named_and_stays_as_it_is() {
    let Some(machine) = stranger() else { return };
    let home = machine.path("home");
    fs::set_permissions(&home, Permissions::from_mode(0o500)).unwrap();
    let before = tree(&home);
    for command in [
        &[][..],
        &["prepare-directories"],
        &["save-status"],
        &["env"],
    ] {
        let (code, out, err) = as_stranger(&machine, command);
        assert_eq!(code, 2, "{command:?}: {out}{err}");
        assert!(
            err.contains(home.to_str().unwrap()) && err.contains("Permission denied"),
            "{command:?}: {err}"
        );
    }
    // What was seen is told all the same.
    let (_, out, _) = as_stranger(&machine, &[]);
    assert!(
        out.contains("is not ready") && !out.contains("report:"),
        "{out}"
    );
    assert_eq!(tree(&home), before);
}

#[test]
fn a_users_scope_needs_no_root_and_a_containers_folder_stays_its_own() {
    let Some(machine) = stranger() else { return };
    let folder = machine.path("home/.local/share/ai-optimizer/postgres");
    let (code, out, err) = as_stranger(&machine, &["prepare-directories"]);
    assert_eq!(code, 0, "{out}{err}");
    chown(&folder, Some(100_069), Some(100_069)).unwrap();
    let before = tree(&machine.path("home"));
    let (code, out, err) = as_stranger(&machine, &["prepare-directories"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("belongs to user id 100069"), "{out}");
    assert_eq!(tree(&machine.path("home")), before);
}

#[test]
fn folders_of_somebody_else_are_named_with_the_option() {
    for (folder, option) in [
        (
            ".local/share/ai-optimizer",
            "services.aiOptimizerPrep.dataRoot",
        ),
        (
            ".config/ai-optimizer",
            "services.aiOptimizerPrep.configRoot",
        ),
    ] {
        let Some(machine) = stranger() else { return };
        let home = machine.path("home");
        // The parents are the user's, the folder is root's.
        for path in Path::new(folder).parent().unwrap().ancestors() {
            fs::create_dir_all(home.join(path)).unwrap();
        }
        fs::create_dir(home.join(folder)).unwrap();
        let mut parent = Path::new(folder).parent();
        while let Some(path) = parent {
            chown(home.join(path), Some(STRANGER), Some(STRANGER)).unwrap();
            parent = path.parent();
        }
        let before = tree(&home);
        let (code, _, err) = as_stranger(&machine, &["prepare-directories"]);
        assert_eq!(code, 2, "{err}");
        assert!(
            err.contains("belongs to user id 0") && err.contains(option),
            "{err}"
        );
        assert_eq!(tree(&home), before);
    }
}

#[test]
fn a_file_in_the_place_of_a_folder_is_named_before_anything_is_made() {
    for place in ["data-root", "data-root/redis", "config-root"] {
        let machine = machine();
        let file = machine.write(place, "mine");
        let before = tree(&machine.path(""));
        let (code, _, err) = prep(&machine, &["prepare-directories"]);
        assert_eq!(code, 2);
        assert!(
            err.contains(&format!("{} is no directory", file.display()))
                && err.contains("services.aiOptimizerPrep."),
            "{err}"
        );
        assert_eq!(tree(&machine.path("")), before);
    }
}

#[test]
fn a_full_disk_is_told_and_everything_is_as_it_was() {
    let Some(machine) = stranger() else { return };
    for program in ["unshare", "setpriv"] {
        if !have(program) {
            skip(&format!(
                "no {program} here, so that no full disk was tried"
            ));
            return;
        }
    }
    // No room for what is in files, and none for folders.
    for size in ["size=16k", "size=1m,nr_inodes=9"] {
        let script = r#"
            set -eu
            mount -t tmpfs -o "$1,mode=755,uid=65534,gid=65534" full "$HOME" 2>/dev/null || exit 75
            cd "$HOME"
            mkdir -p .cache/nixos-quick-deploy/integration .config/ai-optimizer
            echo '{"schema":1,"old":true}' >.cache/nixos-quick-deploy/integration/ai-optimizer.json
            echo 'A=1' >.config/ai-optimizer/.env
            chmod 600 .config/ai-optimizer/.env
            while echo x 2>/dev/null >"fill$(ls | wc -l)"; do :; done
            cat /dev/zero >fill0 2>/dev/null || :
            chown -R 65534:65534 .
            find . -printf '%p %M %U %s
' | sort >"$2/before"
            cp -r .config .cache "$2/"
            cd /
            for command in "" prepare-directories save-status env; do
                echo "== $command"
                rc=0
                setpriv --reuid=65534 --regid=65534 --clear-groups "$2/aistack" prep $command 2>&1 || rc=$?
                echo "rc $rc"
            done
            cd "$HOME"
            find . -printf '%p %M %U %s
' | sort | diff "$2/before" -
            diff -r .config "$2/.config"
            diff -r .cache "$2/.cache"
        "#;
        let done = Process::new("unshare")
            .args([
                "--mount",
                "--propagation",
                "private",
                "sh",
                "-c",
                script,
                "sh",
                size,
            ])
            .arg(machine.path(""))
            .env_remove("XDG_CONFIG_HOME")
            .env("PATH", fake_path(&machine))
            .env("HOME", machine.path("home"))
            .output()
            .unwrap();
        if done.status.code() == Some(75) {
            skip("no tmpfs can be mounted here, so that no full disk was tried");
            return;
        }
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{size}: {done:?}");
        assert_eq!(said.matches("\nrc 2\n").count(), 4, "{size}: {said}");
        assert!(
            said.matches("No space left on device").count() >= 4,
            "{size}: {said}"
        );
        for folder in [".config", ".cache"] {
            fs::remove_dir_all(machine.path(folder)).unwrap();
        }
    }
}

#[test]
fn every_command_answers_in_json() {
    let machine = machine();
    let root = machine.path("root");
    for command in [
        "",
        "check-runtime",
        "check-gpu-toolkit",
        "prepare-directories",
        "detect-port-conflicts",
        "ensure-network",
        "save-status",
        "check-installed",
        "status",
        "info",
        "env",
    ] {
        let mut words = vec!["--json", "--root", root.to_str().unwrap()];
        words.extend(Some(command).filter(|word| !word.is_empty()));
        let (code, out, err) = prep(&machine, &words);
        assert_eq!(code, 0, "{command}: {out}{err}");
        let report: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["schema"], 1, "{command}: {out}");
    }
}

#[test]
fn info_reads_the_report_back_and_refuses_what_is_none() {
    let machine = machine();
    let file = "cache/nixos-quick-deploy/integration/ai-optimizer.json";
    let info = |json: bool| prep(&machine, if json { &["info", "--json"] } else { &["info"] });
    let (code, out, _) = info(false);
    assert_eq!(code, 0);
    assert!(out.starts_with("not prepared yet"), "{out}");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    machine.write("prep.json", &plan(&machine, port).to_string());
    assert_eq!(prep(&machine, &[]).0, 1);
    let (code, out, _) = info(false);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("not ready at 20") && out.contains("is taken"),
        "{out}"
    );
    let (_, out, _) = info(true);
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["record"], record(&machine));
    assert!(validator("ai-optimizer.schema.json").is_valid(&said["record"]));

    for (text, words) in [
        ("", "no report of schema 1"),
        ("{\"schema\":1}", "no report of schema 1"),
        ("{\"schema\":7}", "has schema 7"),
    ] {
        machine.write(file, text);
        let (code, _, err) = info(false);
        assert_eq!(code, 2);
        assert!(
            err.contains(words) && err.contains("aistack prep save-status"),
            "{err}"
        );
    }
}

/// The promise: no container is started, nothing is fetched, nothing else is written.
#[test]
fn it_starts_no_container_opens_no_connection_and_writes_only_what_is_declared() {
    if !have("strace") {
        skip("no strace here, so that the promise of `aistack prep` was not watched");
        return;
    }
    let machine = machine();
    let trace = machine.path("trace");
    let command = machine.aistack(&["prep"]);
    let path = command
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .unwrap();
    let done = Process::new("strace")
        .args(["-f", "-qq", "-y", "-s", "4096", "-o"])
        .arg(&trace)
        .args([
            "-e",
            "trace=%network,%process,%file,ftruncate,fchmod,fchown",
        ])
        .arg(env!("CARGO_BIN_EXE_aistack"))
        .args(["prep", "--file"])
        .arg(machine.path("prep.json"))
        .env("PATH", path.1.unwrap())
        .env("HOME", machine.path("home"))
        .output()
        .unwrap();
    let text = fs::read_to_string(&trace).unwrap_or_default();
    if text.is_empty() {
        skip("strace may not trace here, so that the promise of `aistack prep` was not watched");
        return;
    }
    assert!(done.status.success(), "{done:?}");
    let base = machine.path("").to_str().unwrap().to_owned();
    let allowed =
        ["data-root", "config-root", "cache", "calls"].map(|name| format!("{base}{name}"));
    let mut programs = 0;
    for line in text.lines() {
        let call = line
            .split_once(' ')
            .map_or("", |(_, call)| call.trim_start());
        // Also one whose end stands on a line of its own.
        if call.starts_with("execve(") && !call.contains(" = -1 ") {
            programs += 1;
            let program = call.split('"').nth(1).unwrap();
            let words: Vec<&str> = call.split('"').skip(3).step_by(2).collect();
            assert!(
                !["conmon", "crun", "runc", "git", "curl", "skopeo", "buildah"]
                    .iter()
                    .any(|name| program.ends_with(&format!("/{name}"))),
                "{line}"
            );
            if ["/podman", "/docker", "/podman-compose"]
                .iter()
                .any(|name| program.ends_with(name))
            {
                let question = words[1..].join(" ");
                assert!(
                    ["info", "ps", "network inspect", "--version"]
                        .iter()
                        .any(|known| question.starts_with(known)),
                    "{line}"
                );
            }
        }
        // What listens is asked of the kernel, over netlink.
        let network = call.starts_with("connect(")
            || (call.starts_with("send") && !call.contains("SOCK_DIAG_BY_FAMILY"));
        assert!(
            !(network && (call.contains("AF_INET") || call.contains("sin6_addr"))),
            "a connection: {line}"
        );
        let writes = (call.starts_with("open")
            && (call.contains("O_WRONLY") || call.contains("O_RDWR") || call.contains("O_CREAT")))
            || [
                "mkdir", "rename", "unlink", "rmdir", "link", "symlink", "chmod", "chown",
                "fchmodat", "fchownat", "truncate", "mknod", "creat(",
            ]
            .iter()
            .any(|name| call.starts_with(name));
        if writes && !call.contains(" = -1 ") {
            assert!(
                call.contains("/dev/null")
                    || call.contains("/dev/tty")
                    || allowed.iter().any(|path| call.contains(path.as_str())),
                "written elsewhere: {line}"
            );
        }
    }
    // The questions were seen, so the trace is whole.
    assert!(programs > 3, "{text}");
}
