//! `aistack prestart`: what keeps a container from starting, and what doesn't.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, data, outcome, port, secret, service, stack, with};
use serde_json::{Value, json};

/// A machine that has the image of the service `x`.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.image("registry.example/x:1");
    machine
}

/// The calls of podman and systemctl, without the question for the image.
fn calls(machine: &Machine) -> String {
    machine
        .calls()
        .split_inclusive('\n')
        .filter(|call| !call.starts_with("podman image exists"))
        .collect()
}

fn prestart(machine: &Machine, declared: Value) -> (i32, String, String) {
    prestart_in(machine, &stack(&[("x", declared)]))
}

fn prestart_in(machine: &Machine, stack: &Value) -> (i32, String, String) {
    for service in stack["services"].as_object().unwrap().values() {
        machine.image(service["image"]["reference"].as_str().unwrap());
    }
    prestart_as_it_is(machine, stack)
}

fn prestart_as_it_is(machine: &Machine, stack: &Value) -> (i32, String, String) {
    let file = machine.stack(stack);
    outcome(machine.aistack(&["prestart", "x", "--stack", file.to_str().unwrap()]))
}

#[test]
fn a_service_without_needs_may_start_and_podman_is_asked_for_its_image_alone() {
    let machine = machine();
    assert_eq!(
        prestart(&machine, service("x")),
        (0, String::new(), String::new())
    );
    assert_eq!(
        machine.calls(),
        "podman image exists registry.example/x:1\n"
    );
}

#[test]
fn without_its_image_it_has_it_fetched_and_does_not_wait() {
    let machine = Machine::new();
    let (code, _, error) = prestart_as_it_is(&machine, &stack(&[("x", service("x"))]));
    assert_eq!(code, 1);
    assert!(
        error.contains(
            "x can't start: its image registry.example/x:1 is not here yet (services.aiStack.x.image): \
             local-ai-x-image.service fetches it"
        ),
        "{error}"
    );
    assert!(
        machine
            .calls()
            .ends_with("start --no-block -- local-ai-x-image.service\n"),
        "{}",
        calls(&machine)
    );
}

#[test]
fn it_does_not_wait_for_a_need_whose_image_is_missing() {
    let machine = machine();
    let declared = stack(&[
        ("x", with(service("x"), "/needs", json!(["y"]))),
        ("y", service("y")),
    ]);
    machine.image("registry.example/x:1");
    machine.unit(
        "local-ai-y.service",
        "activating",
        "auto-restart",
        "exit-code",
    );
    let began = Instant::now();
    let (code, _, error) = prestart_as_it_is(&machine, &declared);
    assert_eq!(code, 1);
    assert!(error.contains("it needs y"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn secrets_go_to_podman_through_a_pipe_without_their_last_newline() {
    let machine = machine();
    let a = machine.write_private("a", "sesame\n");
    let b = machine.write_private("b", "two\nlines\n\n");
    let declared = with(
        service("x"),
        "/secrets",
        json!([secret("one", &a, false), secret("two", &b, true)]),
    );
    assert_eq!(prestart(&machine, declared).0, 0);
    assert_eq!(fs::read(machine.path("secrets/one")).unwrap(), b"sesame");
    assert_eq!(
        fs::read(machine.path("secrets/two")).unwrap(),
        b"two\nlines\n"
    );
    let calls = calls(&machine);
    assert_eq!(
        calls,
        "podman secret create --replace one -\npodman secret create --replace two -\n"
    );
}

#[test]
fn a_missing_secret_is_generated_once_where_that_is_declared() {
    let machine = machine();
    let source = machine.path("made/here/secret");
    let declared = with(
        service("x"),
        "/secrets",
        json!([secret("one", &source, true)]),
    );
    let (code, out, _) = prestart(&machine, declared.clone());
    assert_eq!(code, 0);
    assert!(out.contains("generated secret one at"), "{out}");
    let value = fs::read(&source).unwrap();
    assert_eq!(value.len(), 64);
    assert!(!out.contains(std::str::from_utf8(&value).unwrap()));
    assert_eq!(source.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(
        machine.path("made").metadata().unwrap().mode() & 0o777,
        0o700
    );
    assert_eq!(fs::read(machine.path("secrets/one")).unwrap(), value);

    let (code, out, _) = prestart(&machine, declared);
    assert_eq!((code, out.as_str()), (0, ""));
    assert_eq!(fs::read(&source).unwrap(), value);
}

#[test]
fn nothing_is_generated_below_a_disk_that_is_not_mounted() {
    let machine = machine();
    let root = machine.path("mnt/data");
    let declared = with(
        service("x"),
        "/secrets",
        json!([secret("one", &root.join("secrets/one"), true)]),
    );
    let declared_with_data = with(declared.clone(), "/data", json!([data(&root.join("x"))]));
    for declared in [declared, declared_with_data] {
        let mut stack = stack(&[("x", declared)]);
        stack["dataRoot"] = json!(root);
        let (code, out, error) = prestart_in(&machine, &stack);
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(
            error.contains("is missing: is its disk mounted?"),
            "{error}"
        );
        assert!(!machine.path("mnt").exists());
        assert_eq!(calls(&machine), "");
    }
}

#[test]
fn every_problem_is_reported_at_once_with_its_option() {
    let machine = machine();
    let open = machine.write("open", "value");
    fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
    let good = machine.write_private("good", "value");
    let empty = machine.write_private("empty", "\n");
    let gone = machine.path("gone");
    let file = machine.write("data/file", "");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();

    let mut declared = service("x");
    declared["secrets"] = json!([
        secret("open", &open, false),
        secret("good", &good, false),
        secret("empty", &empty, false),
        secret("gone", &gone, false)
    ]);
    let mut foreign = data(&machine.path("data"));
    foreign["owner"] = json!({ "uid": 4_000_000, "gid": 4_000_001 });
    declared["data"] = json!([data(&machine.path("nodisk")), data(&file), foreign]);
    declared["files"] =
        json!([{ "path": machine.path("model.gguf"), "option": "services.aiStack.x.model" }]);
    declared["ports"] = json!([
        port("http", "127.0.0.1", taken),
        port("far", "203.0.113.9", 8080)
    ]);

    let start = Instant::now();
    let (code, _, error) = prestart(&machine, declared);
    assert_eq!(code, 1);
    for words in [
        "secret open (services.aiStack.x.secretEnv.open)",
        "has mode 0644, so every user may read it: run `chmod 0600",
        "secret empty (services.aiStack.x.secretEnv.empty)",
        "is empty",
        "secret gone (services.aiStack.x.secretEnv.gone)",
        "gone does not exist",
        "nodisk is missing: is its disk mounted? create it with `systemd-tmpfiles --create`",
        "data/file is not a directory",
        "but 4000000:4000001 is declared",
        "model.gguf (services.aiStack.x.model): does not exist",
        "port http (services.aiStack.x.ports.http)",
        "is taken by another program",
        "no network interface has the address 203.0.113.9",
    ] {
        assert!(error.contains(words), "{words:?} is not in:\n{error}");
    }
    assert_eq!(error.lines().count(), 9, "{error}");
    assert!(start.elapsed() >= Duration::from_secs(5));
    // Not even the good one: the container won't start.
    assert_eq!(calls(&machine), "");
    assert!(!machine.path("nodisk").exists());
}

#[test]
fn a_port_that_is_let_go_in_time_is_waited_for() {
    let machine = machine();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let declared = with(
        service("x"),
        "/ports",
        json!([port("http", "127.0.0.1", taken)]),
    );
    let holder = thread::spawn(move || {
        thread::sleep(Duration::from_millis(800));
        drop(listener);
    });
    let start = Instant::now();
    let (code, _, error) = prestart(&machine, declared);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(start.elapsed() >= Duration::from_millis(500));
    assert!(start.elapsed() < Duration::from_secs(4));
    holder.join().unwrap();
}

#[test]
fn a_podman_that_fails_is_quoted() {
    let machine = machine();
    machine.write("podman-broken", "");
    let source = machine.write_private("a", "sesame");
    let declared = with(
        service("x"),
        "/secrets",
        json!([secret("one", &source, false)]),
    );
    let (code, _, error) = prestart(&machine, declared);
    assert_eq!(code, 1);
    assert!(error.contains("storage is broken"), "{error}");
    assert!(!error.contains("sesame"));
}

#[test]
fn what_can_not_run_is_two() {
    let machine = machine();
    let file = machine.stack(&stack(&[("qdrant", service("qdrant"))]));
    let file = file.to_str().unwrap();
    let (code, _, error) = outcome(machine.aistack(&["prestart", "x", "--stack", file]));
    assert_eq!(code, 2);
    assert!(
        error.contains("has no service x: known are qdrant"),
        "{error}"
    );
    assert_eq!(outcome(machine.aistack(&["prestart", "x"])).0, 2);
    assert_eq!(
        outcome(machine.aistack(&["prestart", "x", "--stack", "/nope"])).0,
        2
    );
}

/// Runs `prestart` with a service that was given devices, below `root`.
fn with_devices(machine: &Machine, devices: &[&str], scope: &str) -> (i32, String, Duration) {
    let mut declared = service("x");
    declared["gpu"] = json!({ "backend": "cuda", "devices": devices });
    let mut stack = stack(&[("x", declared)]);
    if scope == "user" {
        stack["scope"] = json!("user");
        stack["user"] = json!(fakes::user());
    }
    let file = machine.stack(&stack);
    let root = machine.path("root");
    fs::create_dir_all(&root).unwrap();
    let start = Instant::now();
    let (code, _, error) = outcome(machine.aistack(&[
        "prestart",
        "x",
        "--stack",
        file.to_str().unwrap(),
        "--root",
        root.to_str().unwrap(),
    ]));
    (code, error, start.elapsed())
}

const SPEC: &str =
    "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: \"0\"\n- name: all\n";

#[test]
fn devices_that_are_there_cost_no_time() {
    let machine = machine();
    machine.write("root/etc/cdi/nvidia.yaml", SPEC);
    machine.write("root/dev/kfd", "");
    machine.write("root/dev/dri/renderD128", "");
    for scope in ["system", "user"] {
        let (code, error, took) = with_devices(
            &machine,
            &[
                "nvidia.com/gpu=all",
                "/dev/kfd",
                "/dev/dri:/dev/dri:rw",
                "-/dev/absent",
            ],
            scope,
        );
        assert_eq!((code, error.as_str()), (0, ""));
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_cdi_spec_that_is_written_while_the_machine_boots_is_waited_for() {
    let machine = machine();
    let path = machine.path("root/var/run/cdi/nvidia.json");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Half of it first, as a generator that doesn't rename its file does.
    fs::write(&path, "{\"cdiVersion\":\"0.5.0\",").unwrap();
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_millis(1500));
        let spec = r#"{"cdiVersion":"0.5.0","kind":"nvidia.com/gpu","devices":[{"name":"all"}]}"#;
        fs::write(path, spec).unwrap();
    });
    let (code, error, took) = with_devices(&machine, &["nvidia.com/gpu=all"], "system");
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(took >= Duration::from_millis(1400), "{took:?}");
    assert!(took < Duration::from_secs(9), "{took:?}");
    writer.join().unwrap();
}

#[test]
fn devices_that_stay_away_are_named_with_the_fix() {
    let machine = machine();
    machine.write("root/etc/cdi/nvidia.yaml", SPEC);
    machine.write("root/etc/cdi/cut.json", "{");
    machine.write("root/dev/dri/card0", "");
    let (code, error, took) = with_devices(
        &machine,
        &[
            "nvidia.com/gpu=3",
            "amd.com/gpu=all",
            "example.com/tpu=x",
            "/dev/kfd",
            "/dev/dri",
        ],
        "system",
    );
    assert_eq!(code, 1);
    assert!(took >= Duration::from_secs(10), "{took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 5, "{error}");
    assert_eq!(
        lines[0],
        "aistack: x can't start: GPU nvidia.com/gpu=3: no CDI spec defines it. Looked in /etc/cdi \
         (2 specs) and /var/run/cdi (does not exist), which define nvidia.com/gpu=0, \
         nvidia.com/gpu=all. Not usable: /etc/cdi/cut.json: is no CDI spec in JSON: EOF while \
         parsing an object at line 1 column 1. On NixOS set \
         hardware.nvidia-container-toolkit.enable = true and run `systemctl restart \
         nvidia-container-toolkit-cdi-generator`; elsewhere run `nvidia-ctk cdi generate \
         --output=/etc/cdi/nvidia.yaml` (waited 10 s)"
    );
    for (line, words) in [
        (lines[1], "amd-ctk cdi generate"),
        (lines[2], "example.com/tpu write them"),
        (
            lines[3],
            "GPU /dev/kfd: does not exist; the kernel's amdgpu driver makes it",
        ),
        (lines[4], "GPU /dev/dri: has no render node"),
    ] {
        assert!(line.contains(words), "{line}");
    }
}

#[test]
fn a_node_that_this_user_may_not_use_names_the_group() {
    let machine = machine();
    let node = machine.write("root/dev/kfd", "");
    let gid = node.metadata().unwrap().gid();
    machine.write("root/etc/group", &format!("games:x:60:\nrender:x:{gid}:\n"));
    fs::set_permissions(&node, PermissionsExt::from_mode(0o000)).unwrap();
    // The system's containers are root's, who may use everything.
    assert_eq!(with_devices(&machine, &["/dev/kfd"], "system").0, 0);

    // So may this test when it is root's: then another user asks.
    let (user, uid) = match fakes::user().as_str() {
        "root" => ("nobody".to_owned(), 65_534),
        user => (user.to_owned(), machine.path("").metadata().unwrap().uid()),
    };
    let mut declared = service("x");
    declared["gpu"] = json!({ "backend": "rocm", "devices": ["/dev/kfd"] });
    let mut stack = stack(&[("x", declared)]);
    stack["scope"] = json!("user");
    stack["user"] = json!(user);
    let file = machine.stack(&stack);
    fs::set_permissions(machine.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    // Copied to where that user may go: the build folder may lie in a home.
    let program = machine.path("aistack");
    fs::copy(env!("CARGO_BIN_EXE_aistack"), &program).unwrap();
    let start = Instant::now();
    let mut command = std::process::Command::new(&program);
    if user == "nobody" {
        command.uid(uid).gid(uid);
    }
    let output = command
        .env("USER", &user)
        .args(["prestart", "x", "--stack"])
        .arg(&file)
        .arg("--root")
        .arg(machine.path("root"))
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    // A podman that is installed here has no image of that name, which is said as well.
    let of_the_gpu: String = error
        .split_inclusive('\n')
        .filter(|line| !line.contains("its image "))
        .collect();
    assert_eq!(
        of_the_gpu,
        format!(
            "aistack: x can't start: GPU /dev/kfd: {user} may not read and write it, the group \
             render may. On NixOS users.users.{user}.extraGroups = [ \"render\" ]; elsewhere \
             `sudo usermod -aG render {user}`; then log in anew (`loginctl terminate-user {user}` \
             ends what still runs)\n"
        )
    );
}

#[test]
fn a_missing_file_that_a_unit_fetches_names_the_unit_and_its_journal() {
    let machine = machine();
    let mut declared = service("x");
    declared["files"] = json!([{
        "path": machine.path("model.gguf"), "option": "services.aiStack.x.model",
        "unit": "local-ai-model-m.service",
    }]);
    let (code, _, error) = prestart(&machine, declared.clone());
    assert_eq!(code, 1);
    assert!(
        error.contains(
            "model.gguf (services.aiStack.x.model): does not exist yet: local-ai-model-m.service \
             fetches it, and `journalctl -u local-ai-model-m.service` shows"
        ),
        "{error}"
    );

    let mut own = stack(&[("x", declared.clone())]);
    own["scope"] = json!("user");
    own["user"] = json!(fakes::user());
    let (code, _, error) = prestart_in(&machine, &own);
    assert_eq!(code, 1);
    assert!(
        error.contains("`journalctl --user -u local-ai-model-m.service`"),
        "{error}"
    );

    machine.write("model.gguf", "");
    assert_eq!(prestart(&machine, declared).0, 0);
}

#[test]
fn every_secret_that_can_not_be_used_says_why() {
    let machine = machine();
    let open = machine.write("open", "sesame");
    fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).unwrap();
    let written = machine.write("written", "sesame");
    fs::set_permissions(&written, PermissionsExt::from_mode(0o620)).unwrap();
    let dangling = machine.path("dangling");
    std::os::unix::fs::symlink(machine.path("nowhere"), &dangling).unwrap();
    let large = machine.write_private("large", &"sesame".repeat(100_000));
    let empty = machine.write_private("empty", "\n");
    let mut declared = service("x");
    declared["secrets"] = json!([
        secret("open", &open, false),
        secret("written", &written, false),
        secret("gone", &machine.path("gone"), false),
        secret("dangling", &dangling, false),
        secret("large", &large, false),
        secret("empty", &empty, false),
        secret("folder", &machine.path("images"), false),
    ]);
    let (code, out, error) = prestart(&machine, declared);
    assert_eq!((code, out.as_str()), (1, ""));
    let lines: Vec<&str> = error.lines().collect();
    for (line, name, words) in [
        (
            0,
            "open",
            "has mode 0644, so every user may read it: run `chmod 0600",
        ),
        (
            1,
            "written",
            "has mode 0620, so others may change it: run `chmod 0600",
        ),
        (
            2,
            "gone",
            "does not exist: write the value to it (mode 0600)",
        ),
        (
            3,
            "dangling",
            "is a link to a file that does not exist: has the secret manager run?",
        ),
        (
            4,
            "large",
            "holds more than 511999 bytes, the most that podman takes",
        ),
        (5, "empty", "is empty: write the value to it, or remove it"),
        (
            6,
            "folder",
            "is not a regular file: name the file that holds the value",
        ),
    ] {
        let begin = format!(
            "aistack: x can't start: secret {name} (services.aiStack.x.secretEnv.{name}): "
        );
        assert!(lines[line].starts_with(&begin), "{}", lines[line]);
        assert!(lines[line].contains(words), "{}", lines[line]);
    }
    assert_eq!(lines.len(), 7, "{error}");
    assert!(!error.contains("sesame"), "{error}");
    assert_eq!(calls(&machine), "");
}

/// A service whose data directory is of a version of `PostgreSQL`.
fn with_data_of(machine: &Machine, version: &str, major: &Value) -> Value {
    let mut declared = service("x");
    declared["ports"] = json!([port("postgres", "127.0.0.1", fakes::closed_port())]);
    declared["postgres"] = json!({
        "port": "postgres", "user": "mcp", "database": "mcp",
        "passwordSource": machine.write_private("password", "sesame"),
        "major": major, "versionFile": machine.write("pg/PG_VERSION", version),
        "roles": [], "databases": [],
    });
    declared
}

#[test]
fn data_of_another_version_is_refused_and_left_alone() {
    let machine = machine();
    for (version, major) in [("18\n", json!(18)), ("17\n", json!(null))] {
        let declared = with_data_of(&machine, version, &major);
        assert_eq!(
            prestart(&machine, declared),
            (0, String::new(), String::new())
        );
    }
    let declared = with_data_of(&machine, "17\n", &json!(18));
    let (code, _, error) = prestart(&machine, declared.clone());
    assert_eq!(code, 1);
    assert_eq!(error.lines().count(), 1);
    for words in [
        &format!(
            "the data in {} is of PostgreSQL 17, the image has 18",
            machine.path("pg").display()
        ),
        "nothing was touched",
        "Keep the old image with services.aiStack.x.image",
        "`podman exec local-ai-x pg_dumpall -U mcp >dump.sql`",
        "an empty directory",
    ] {
        assert!(error.contains(words), "{words:?} is not in:\n{error}");
    }
    assert_eq!(
        fs::read_to_string(machine.path("pg/PG_VERSION")).unwrap(),
        "17\n"
    );
    // No data yet.
    fs::remove_file(machine.path("pg/PG_VERSION")).unwrap();
    assert_eq!(prestart(&machine, declared).0, 0);
    for version in ["", "seventeen\n", "18"] {
        let declared = with_data_of(&machine, version, &json!(18));
        let (code, _, error) = prestart(&machine, declared);
        assert_eq!(code, 1, "{version:?}");
        assert!(
            error.contains("not the major version of PostgreSQL that its data is of"),
            "{error}"
        );
        assert!(error.contains("Nothing was changed"), "{error}");
    }
    fs::remove_file(machine.path("pg/PG_VERSION")).unwrap();
    let mut declared = with_data_of(&machine, "", &json!(18));
    declared["postgres"]["versionFile"] = json!(machine.path("pg"));
    let (code, _, error) = prestart(&machine, declared);
    assert_eq!(code, 1);
    assert!(error.contains("pg cannot be read: "), "{error}");
}

#[test]
fn passwords_that_setup_needs_are_looked_at_before_the_start() {
    let machine = machine();
    let mut declared = with_data_of(&machine, "18\n", &json!(18));
    declared["postgres"]["roles"] =
        json!([{ "name": "app", "passwordSource": machine.path("gone"), "option": "o.users.app" }]);
    declared["qdrant"] =
        json!({ "port": "postgres", "apiKeySource": machine.path("gone"), "collections": [] });
    let (code, _, error) = prestart(&machine, declared.clone());
    assert_eq!(code, 1);
    assert!(
        error.contains("x can't start: password of app (o.users.app): "),
        "{error}"
    );
    assert!(
        error.contains("x can't start: API key (services.aiStack.x): "),
        "{error}"
    );
    assert_eq!(error.lines().count(), 2, "{error}");
    // A file that podman is to have as well is said once.
    declared["secrets"] = json!([secret("one", &machine.path("gone"), false)]);
    let (_, _, error) = prestart(&machine, declared.clone());
    assert_eq!(error.lines().count(), 1, "{error}");
    // One that is made here is not missed.
    declared["secrets"] = json!([secret("one", &machine.path("gone"), true)]);
    assert_eq!(prestart(&machine, declared).0, 0);
}

#[test]
fn a_database_that_looks_emptied_is_not_begun_anew() {
    let machine = machine();
    let path = machine.path("webui.db");
    let mut declared = service("x");
    declared["integrity"] = json!([
        { "kind": "sqlite", "path": path, "option": "services.aiStack.x.data.data" },
    ]);
    let mut page = vec![0; 4096];
    page[..16].copy_from_slice(b"SQLite format 3\0");
    page[100] = 0x0d;
    // The first start.
    assert_eq!(prestart(&machine, declared.clone()).0, 0);
    for (bytes, words) in [
        (
            Vec::new(),
            "webui.db is empty, so it holds no SQLite database any more",
        ),
        (
            page.clone(),
            "webui.db is an SQLite database without any table",
        ),
        (b"{}".to_vec(), "webui.db is not an SQLite database"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let (code, _, error) = prestart(&machine, declared.clone());
        assert_eq!(code, 1, "{words}");
        for words in [
            words,
            "nothing was changed: put a backup in its place, or move it away (`mv ",
            "to begin anew; or change services.aiStack.x.data.data",
        ] {
            assert!(error.contains(words), "{words:?} is not in:\n{error}");
        }
        assert_eq!(fs::read(&path).unwrap(), bytes);
        let file = machine.stack(&stack(&[("x", declared.clone())]));
        let (code, out, _) =
            outcome(machine.aistack(&["check", "--stack", file.to_str().unwrap()]));
        assert_eq!(code, 1, "{out}");
        assert!(
            out.contains(words) && out.contains("put a backup in its place"),
            "{out}"
        );
    }
    page[104] = 1;
    fs::write(&path, &page).unwrap();
    assert_eq!(prestart(&machine, declared.clone()).0, 0);
    let file = machine.stack(&stack(&[("x", declared)]));
    let (code, out, _) = outcome(machine.aistack(&["check", "--stack", file.to_str().unwrap()]));
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("webui.db: an SQLite database with tables"),
        "{out}"
    );
}

/// A service that needs another, whose unit is in the state that `needed` says.
fn with_need(machine: &Machine, needed: &str) -> Value {
    machine.write("units/local-ai-need.service", needed);
    let mut declared = service("x");
    declared["needs"] = json!(["need"]);
    stack(&[("x", declared), ("need", service("need"))])
}

fn unit_state(active: &str, sub: &str) -> String {
    format!("LoadState=loaded\nActiveState={active}\nSubState={sub}\nResult=exit-code\n")
}

#[test]
fn a_service_that_is_needed_and_stopped_keeps_from_starting_at_once() {
    let machine = machine();
    let declared = with_need(&machine, &unit_state("failed", "failed"));
    let begun = Instant::now();
    let (code, _, error) = prestart_in(&machine, &declared);
    assert_eq!(code, 1);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(
        error.contains(
            "x can't start: it needs need, and local-ai-need.service is failed (exit-code, status \
             unknown): `journalctl -u local-ai-need.service -n 50` says why; this service is \
             tried again (services.aiStack.x.needs)"
        ),
        "{error}"
    );
}

#[test]
fn a_service_that_is_needed_and_on_its_way_is_waited_for() {
    let machine = machine();
    let declared = with_need(&machine, &unit_state("activating", "auto-restart"));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(1500));
            machine.write(
                "units/local-ai-need.service",
                &unit_state("active", "running"),
            );
        });
        assert_eq!(
            prestart_in(&machine, &declared),
            (0, String::new(), String::new())
        );
    });
}
