//! Machines as fixture trees: sockets, processes, control groups, storage.
//!
//! The trees are laid by each test, so that what matters stands beside what is
//! expected of it. What is in the files is in the kernel's and podman's formats.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::format_collect,
    clippy::format_push_string,
    clippy::single_match_else
)]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use aistack_checks::ports::{Declared, Row, Survey, Verdict, survey};
use aistack_machine::cgroup::{Engine, Manager};
use aistack_machine::owner::{Seen, describe};
use aistack_schema::Stack;
use tempfile::TempDir;

const ID: &str = "5a1f8a8d7c7c0f3b1f2e3d4c5b6a79880123456789abcdef0123456789abcdef";
const OTHER: &str = "00000000000000000000000000000000000000000000000000000000000000aa";

struct Machine {
    directory: TempDir,
    tables: [String; 4],
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            directory: tempfile::tempdir().unwrap(),
            tables: Default::default(),
        };
        machine.write(
            "etc/passwd",
            b"root:x:0:0::/root:/bin/sh\nai:x:1000:100::/home/ai:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n",
        );
        machine.write("sys/fs/cgroup/cgroup.controllers", b"cpu memory\n");
        machine
    }

    fn root(&self) -> &Path {
        self.directory.path()
    }

    fn write(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// A socket that waits for peers, as the kernel prints it.
    fn socket(&mut self, protocol: &str, local: &str, uid: u32, inode: u64) {
        let local: SocketAddr = local.parse().unwrap();
        let words = |bytes: &[u8]| -> String {
            bytes
                .chunks(4)
                .map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().unwrap())))
                .collect()
        };
        let (address, nobody, six) = match local.ip() {
            IpAddr::V4(ip) => (words(&ip.octets()), "0".repeat(8), 0),
            IpAddr::V6(ip) => (words(&ip.octets()), "0".repeat(32), 1),
        };
        let (table, state) = match protocol {
            "tcp" => (six, "0A"),
            _ => (2 + six, "07"),
        };
        let port = local.port();
        self.tables[table].push_str(&format!(
            "   0: {address}:{port:04X} {nobody}:0000 {state} 00000000:00000000 00:00000000 \
             00000000 {uid:5}        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
        ));
    }

    fn process(&self, pid: u32, comm: &[u8], cgroup: &str, arguments: &[&str], sockets: &[u64]) {
        let at = |file: &str| format!("proc/{pid}/{file}");
        self.write(&at("comm"), &[comm, b"\n"].concat());
        self.write(&at("cgroup"), format!("0::{cgroup}\n").as_bytes());
        let user = cgroup.split_once("/user-").map(|(_, rest)| rest.split('.'));
        let uid = user.and_then(|mut rest| rest.next()).unwrap_or("0");
        let status = format!("Name:\tx\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n");
        self.write(&at("status"), status.as_bytes());
        let line: String = arguments
            .iter()
            .map(|argument| format!("{argument}\0"))
            .collect();
        self.write(&at("cmdline"), line.as_bytes());
        let descriptors = self.root().join(at("fd"));
        drop(fs::remove_dir_all(&descriptors));
        fs::create_dir_all(&descriptors).unwrap();
        symlink("/dev/null", descriptors.join("0")).unwrap();
        for (number, inode) in sockets.iter().enumerate() {
            symlink(
                format!("socket:[{inode}]"),
                descriptors.join((number + 3).to_string()),
            )
            .unwrap();
        }
    }

    /// A unit's control group, with or without processes, and one below it.
    fn group(&self, path: &str, populated: bool, payload: Option<&str>) {
        let events = format!("populated {}\nfrozen 0\n", u8::from(populated));
        self.write(
            &format!("sys/fs/cgroup/{path}/cgroup.events"),
            events.as_bytes(),
        );
        if let Some(id) = payload {
            self.write(
                &format!("sys/fs/cgroup/{path}/libpod-payload-{id}/cgroup.events"),
                events.as_bytes(),
            );
        }
    }

    fn survey(&self, stacks: &[Stack]) -> Survey {
        for (table, lines) in ["tcp", "tcp6", "udp", "udp6"].iter().zip(&self.tables) {
            self.write(
                &format!("proc/net/{table}"),
                format!("  sl  local_address …\n{lines}").as_bytes(),
            );
        }
        let declared = Declared::all(self.root(), &stacks.iter().collect::<Vec<_>>());
        survey(self.root(), &declared).unwrap()
    }
}

fn stack(scope: &str, services: &[(&str, &[(&str, u16)])]) -> Stack {
    let services: Vec<String> = services
        .iter()
        .map(|(name, ports)| {
            let ports: Vec<String> = ports
                .iter()
                .enumerate()
                .map(|(at, (address, port))| {
                    format!(
                        r#"{{"name": "p{at}", "protocol": "tcp", "address": "{address}",
                        "host": {port}, "container": 80,
                        "option": "services.aiStack.{name}.ports.p{at}"}}"#
                    )
                })
                .collect();
            format!(
                r#""{name}": {{"description": "", "option": "services.aiStack.{name}",
                "unit": "local-ai-{name}.service", "pullUnit": "local-ai-{name}-image.service",
                "container": "local-ai-{name}", "configHash": "x",
                "image": {{"reference": "r/{name}:1", "name": "r/{name}", "tag": "1",
                          "digest": null, "archive": null}},
                "ports": [{}], "health": null, "data": [], "secrets": [], "files": [],
                "setup": [], "needs": [], "wants": [], "gpu": null, "metrics": null}}"#,
                ports.join(",")
            )
        })
        .collect();
    let user = match scope {
        "user" => "\"ai\"",
        _ => "null",
    };
    let text = format!(
        r#"{{"schema": 1, "host": "box", "scope": "{scope}", "user": {user},
        "dataRoot": "/data", "target": "local-ai.target", "network": "local-ai",
        "services": {{{}}}}}"#,
        services.join(",")
    );
    Stack::parse(Path::new("stack.json"), text.as_bytes()).unwrap()
}

fn conmon<'a>(id: &'a str, name: &'a str, bundle: &'a str) -> Vec<&'a str> {
    vec![
        "/usr/bin/conmon",
        "--api-version",
        "1",
        "-c",
        id,
        "-u",
        id,
        "-r",
        "/usr/bin/crun",
        "-b",
        bundle,
        "-p",
        "/run/pidfile",
        "-n",
        name,
        "--exit-dir",
        "/run/libpod/exits",
        "--full-attach",
        "-s",
        "-l",
        "journald",
        "--log-level",
        "warning",
        "--exit-command",
        "/usr/bin/podman",
        "--exit-command-arg",
        "-n",
        "--exit-command-arg",
        "cleanup",
        "--exit-command-arg",
        id,
    ]
}

const USER: &str = "/user.slice/user-1000.slice/user@1000.service/app.slice";

fn only(survey: &Survey) -> &Row {
    assert_eq!(survey.rows.len(), 1, "{:#?}", survey.rows);
    &survey.rows[0]
}

fn verdicts(survey: &Survey) -> Vec<(u16, Option<Verdict>)> {
    survey
        .rows
        .iter()
        .map(|row| (row.port, row.verdict))
        .collect()
}

#[test]
fn a_rootful_container_of_ours() {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:6333", 0, 41);
    let bundle = format!("/var/lib/containers/storage/overlay-containers/{ID}/userdata");
    machine.process(
        900,
        b"conmon",
        "/system.slice/local-ai-qdrant.service/supervisor",
        &conmon(ID, "local-ai-qdrant", &bundle),
        &[40, 41],
    );
    machine.group("system.slice/local-ai-qdrant.service", true, Some(ID));
    let survey = machine.survey(&[stack("system", &[("qdrant", &[("127.0.0.1", 6333)])])]);
    let row = only(&survey);
    assert_eq!(row.verdict, Some(Verdict::Ours));
    assert!(survey.is_well());
    let owner = row.owner.as_ref().unwrap();
    assert_eq!(owner.unit.as_deref(), Some("local-ai-qdrant.service"));
    assert_eq!(owner.manager, Some(Manager::System));
    let container = owner.container.as_ref().unwrap();
    assert_eq!(container.name.as_deref(), Some("local-ai-qdrant"));
    assert_eq!(container.id.as_deref(), Some(ID));
    assert_eq!(container.known_by, "conmon's arguments");
    assert_eq!(
        describe(owner),
        "local-ai-qdrant.service (podman container local-ai-qdrant, conmon[900])"
    );
}

#[test]
fn a_rootful_container_that_podman_run_started_is_foreign() {
    let mut machine = Machine::new();
    machine.socket("tcp", "0.0.0.0:6333", 0, 41);
    // An old conmon: no name, so podman's list has it.
    let bundle = format!("/data/storage/vfs-containers/{ID}/userdata");
    let arguments = conmon(ID, "", &bundle);
    machine.process(
        900,
        b"conmon",
        &format!("/machine.slice/libpod-conmon-{ID}.scope"),
        &arguments,
        &[41],
    );
    machine.write(
        "data/storage/vfs-containers/containers.json",
        format!(r#"[{{"id": "{ID}", "names": ["vectors"], "image": "x"}}]"#).as_bytes(),
    );
    let survey = machine.survey(&[stack("system", &[("qdrant", &[("127.0.0.1", 6333)])])]);
    let row = only(&survey);
    assert_eq!(row.verdict, Some(Verdict::Foreign));
    assert!(!survey.is_well());
    let container = row.owner.as_ref().unwrap().container.as_ref().unwrap();
    assert_eq!(container.name.as_deref(), Some("vectors"));
    assert_eq!(
        container.known_by,
        "conmon's arguments, podman's containers.json"
    );
    let advice = &survey.advice[0];
    assert_eq!(advice.free_port, Some(6334));
    assert_eq!(
        advice.problem,
        "127.0.0.1:6333/tcp of services.aiStack.qdrant.ports.p0 is taken: podman container \
         vectors (conmon[900]) has 0.0.0.0:6333/tcp"
    );
    let steps: Vec<&str> = advice.steps.iter().map(|step| step.how.as_str()).collect();
    assert_eq!(
        steps,
        [
            "services.aiStack.qdrant.ports.p0 = 6334;",
            "podman stop vectors"
        ]
    );
}

#[test]
fn rootlessport_by_its_control_socket() {
    rootlessport_listens_in("/run/user/1000/libpod/tmp/rp");
    rootlessport_listens_in("/proc/self/fd/12");
}

fn rootlessport_listens_in(folder: &str) {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:8081", 1000, 51);
    // From a shell: neither unit nor control group tell the container.
    let session = "/user.slice/user-1000.slice/session-2.scope";
    machine.process(1200, b"rootlessport", session, &["rootlessport"], &[51, 52]);
    machine.process(
        1201,
        b"rootlessport-ch",
        session,
        &["rootlessport-child"],
        &[],
    );
    machine.write(
        "proc/net/unix",
        format!(
            "Num       RefCount Protocol Flags    Type St Inode Path\n\
             0000000000000000: 00000002 00000000 00010000 0001 01    49 /run/user/1000/bus\n\
             0000000000000000: 00000002 00000000 00010000 0001 01    52 \
             {folder}/{ID}\n\
             0000000000000000: 00000003 00000000 00000000 0001 03    53\n"
        )
        .as_bytes(),
    );
    machine.write(
        "home/ai/.local/share/containers/storage/overlay-containers/containers.json",
        format!(r#"[{{"id": "{OTHER}"}}, {{"id": "{ID}", "names": ["webui"]}}]"#).as_bytes(),
    );
    let survey = machine.survey(&[]);
    let owner = only(&survey).owner.as_ref().unwrap();
    let container = owner.container.as_ref().unwrap();
    assert_eq!(container.name.as_deref(), Some("webui"));
    assert_eq!(
        container.known_by,
        "rootlessport's control socket, podman's containers.json"
    );
    assert_eq!(
        describe(owner),
        "podman container webui (rootlessport[1200], user ai)"
    );
    assert!(owner.process.as_ref().unwrap().forwarder);
}

/// Eve (user id 1001) runs a program with conmon's name and arguments.
#[test]
fn another_account_is_never_taken_for_the_declared_service() {
    let ours = stack("system", &[("qdrant", &[("127.0.0.1", 6333)])]);
    let of_ai = stack("user", &[("qdrant", &[("127.0.0.1", 6333)])]);
    let session = "/user.slice/user-1001.slice/session-3.scope";
    let unit = "/user.slice/user-1001.slice/user@1001.service/app.slice/local-ai-qdrant.service";
    let fake = conmon(
        ID,
        "local-ai-qdrant",
        "/home/bob/overlay-containers/x/userdata",
    );
    for cgroup in [session, unit] {
        let mut machine = Machine::new();
        machine.socket("tcp", "127.0.0.1:6333", 1001, 41);
        machine.process(900, b"conmon", cgroup, &fake, &[41]);
        let survey = machine.survey(&[ours.clone(), of_ai.clone()]);
        assert!(
            survey
                .rows
                .iter()
                .all(|row| row.verdict == Some(Verdict::Foreign)),
            "{:#?}",
            survey.rows
        );
    }
    // The system's container has no name of its own: eve's conmon must not lend it one.
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:6333", 0, 41);
    machine.process(900, b"conmon", session, &fake, &[]);
    machine.process(
        901,
        b"conmon",
        &format!("/machine.slice/libpod-conmon-{ID}.scope"),
        &conmon(ID, "", "/x"),
        &[41],
    );
    let survey = machine.survey(&[ours]);
    assert_eq!(only(&survey).verdict, Some(Verdict::Foreign));
}

/// What a hostile account can lay where podman's list of containers is looked for.
#[test]
fn other_accounts_files_neither_hang_nor_fill_the_memory() {
    let store = "home/ai/.local/share/containers/storage/overlay-containers";
    let start = std::time::Instant::now();
    for trap in ["pipe", "zero", "folder"] {
        let mut machine = Machine::new();
        machine.socket("tcp", "127.0.0.1:6333", 1000, 41);
        let session = "/user.slice/user-1000.slice/session-3.scope";
        let bundle = format!("/{store}/{ID}/userdata");
        machine.process(900, b"conmon", session, &conmon(ID, "", &bundle), &[41]);
        let list = machine.root().join(store).join("containers.json");
        fs::create_dir_all(list.parent().unwrap()).unwrap();
        match trap {
            "pipe" => rustix::fs::mknodat(
                rustix::fs::CWD,
                &list,
                rustix::fs::FileType::Fifo,
                rustix::fs::Mode::RWXU,
                0,
            )
            .unwrap(),
            "zero" => symlink("/dev/zero", &list).unwrap(),
            _ => {
                // A link above the file leads to a list that podman did not write.
                machine.write(
                    "elsewhere/containers.json",
                    format!(r#"[{{"id": "{ID}", "names": ["led"]}}]"#).as_bytes(),
                );
                fs::remove_dir(list.parent().unwrap()).unwrap();
                symlink(machine.root().join("elsewhere"), list.parent().unwrap()).unwrap();
            }
        }
        let survey = machine.survey(&[]);
        let owner = only(&survey).owner.as_ref().unwrap();
        assert_eq!(owner.container.as_ref().unwrap().name, None, "{trap}");
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(20));
}

#[test]
fn rootlessport_of_our_unit() {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:8081", 1000, 51);
    let unit = format!("{USER}/local-ai-open-webui.service");
    // Older podman runs itself again, under the name `exe`.
    machine.process(1200, b"exe", &unit, &["rootlessport"], &[51]);
    let supervisor = format!("{unit}/supervisor");
    let arguments = conmon(ID, "local-ai-open-webui", "/x");
    machine.process(1202, b"conmon", &supervisor, &arguments, &[]);
    machine.process(
        1203,
        b"conmon",
        &format!("{USER}/other.service/supervisor"),
        &conmon(OTHER, "other", "/y"),
        &[],
    );
    machine.group(unit.trim_start_matches('/'), true, Some(ID));
    let survey = machine.survey(&[stack("user", &[("open-webui", &[("127.0.0.1", 8081)])])]);
    let row = only(&survey);
    assert_eq!(row.verdict, Some(Verdict::Ours));
    let owner = row.owner.as_ref().unwrap();
    assert_eq!(owner.manager, Some(Manager::User(1000)));
    let container = owner.container.as_ref().unwrap();
    assert_eq!(container.name.as_deref(), Some("local-ai-open-webui"));
    assert_eq!(container.known_by, "conmon in the same unit");
}

#[test]
fn the_same_unit_of_another_user_or_of_the_system_is_foreign() {
    for (uid, cgroup) in [
        (
            1001,
            "/user.slice/user-1001.slice/user@1001.service/app.slice/local-ai-a.service",
        ),
        (0, "/system.slice/local-ai-a.service"),
    ] {
        let mut machine = Machine::new();
        machine.socket("tcp", "127.0.0.1:8081", uid, 51);
        machine.process(7, b"rootlessport", cgroup, &["rootlessport"], &[51]);
        let survey = machine.survey(&[stack("user", &[("a", &[("127.0.0.1", 8081)])])]);
        assert_eq!(only(&survey).verdict, Some(Verdict::Foreign), "{cgroup}");
    }
}

#[test]
fn pasta_by_its_namespace() {
    let mut machine = Machine::new();
    machine.socket("tcp", "0.0.0.0:8090", 1000, 61);
    let session = "/user.slice/user-1000.slice/session-2.scope";
    let pasta = [
        "/usr/bin/pasta",
        "--config-net",
        "-t",
        "8090-8090:80-80",
        "--dns-forward",
        "169.254.1.1",
        "-u",
        "none",
        "--quiet",
        "--netns",
        "/run/user/1000/netns/netns-1",
    ];
    machine.process(1300, b"pasta.avx2", session, &pasta, &[61]);
    for (pid, id, name, namespace) in [
        (1301, OTHER, "other", "/run/user/1000/netns/netns-0"),
        (1302, ID, "web", "/run/user/1000/netns/netns-1"),
    ] {
        let bundle = format!("/home/ai/storage/overlay-containers/{id}/userdata");
        machine.process(
            pid,
            b"conmon",
            &format!(
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-{id}.scope"
            ),
            &conmon(id, name, &bundle),
            &[],
        );
        machine.write(
            &format!("{}/config.json", bundle.trim_start_matches('/')),
            format!(
                r#"{{"linux": {{"namespaces": [{{"type": "pid"}},
                {{"type": "network", "path": "{namespace}"}}]}}}}"#
            )
            .as_bytes(),
        );
    }
    let survey = machine.survey(&[]);
    let owner = only(&survey).owner.as_ref().unwrap();
    let container = owner.container.as_ref().unwrap();
    assert_eq!(container.name.as_deref(), Some("web"));
    assert!(container.known_by.starts_with("the network namespace"));

    // slirp4netns has it without an option.
    machine.process(
        1300,
        b"slirp4netns",
        session,
        &[
            "slirp4netns",
            "--netns-type=path",
            "/run/user/1000/netns/netns-0",
            "tap0",
        ],
        &[61],
    );
    let survey = machine.survey(&[]);
    let owner = only(&survey).owner.as_ref().unwrap();
    let container = owner.container.as_ref().unwrap();
    assert_eq!(container.name.as_deref(), Some("other"));
}

#[test]
fn a_container_on_the_hosts_network_and_dockers_proxy() {
    let mut machine = Machine::new();
    machine.socket("tcp", "0.0.0.0:9000", 0, 71);
    machine.socket("tcp", "0.0.0.0:9001", 0, 72);
    machine.socket("tcp", "0.0.0.0:9002", 0, 73);
    machine.process(
        10,
        b"server",
        &format!("/machine.slice/libpod-{ID}.scope/container"),
        &["server"],
        &[71],
    );
    machine.process(
        11,
        b"server",
        &format!("/system.slice/docker-{OTHER}.scope"),
        &["server"],
        &[72],
    );
    machine.process(
        12,
        b"docker-proxy",
        "/system.slice/docker.service",
        &[
            "/usr/bin/docker-proxy",
            "-proto",
            "tcp",
            "-container-ip",
            "172.17.0.2",
        ],
        &[73],
    );
    let survey = machine.survey(&[stack("system", &[("a", &[("127.0.0.1", 9002)])])]);
    let owner = |at: usize| survey.rows[at].owner.as_ref().unwrap();
    let container = |at: usize| owner(at).container.as_ref().unwrap();
    assert_eq!(container(0).engine, Engine::Podman);
    assert_eq!(container(0).label(), "5a1f8a8d7c7c");
    assert_eq!(container(1).engine, Engine::Docker);
    assert_eq!(container(1).label(), "000000000000");
    assert!(container(2).known_by.contains("172.17.0.2"));
    assert_eq!(survey.rows[2].verdict, Some(Verdict::Foreign));
    let how = &survey.advice[0].steps[1].how;
    assert_eq!(how, "docker stop $(docker ps -q --filter publish=9002)");
}

#[test]
fn services_of_the_system_and_of_a_user() {
    let mut machine = Machine::new();
    machine.socket("tcp", "0.0.0.0:11434", 61, 81);
    machine.socket("tcp", "[::1]:6379", 1001, 82);
    machine.socket("tcp", "127.0.0.1:7000", 1000, 83);
    machine.process(
        20,
        b"ollama",
        "/system.slice/ollama.service",
        &["ollama"],
        &[81],
    );
    machine.process(
        21,
        b"redis-server",
        "/user.slice/user-1001.slice/user@1001.service/app.slice/redis.service",
        &["redis-server"],
        &[82],
    );
    machine.process(
        22,
        b"python3",
        "/user.slice/user-1000.slice/session-1.scope",
        &["python3"],
        &[83],
    );
    let survey = machine.survey(&[stack(
        "system",
        &[
            ("ollama", &[("127.0.0.1", 11434)]),
            ("redis", &[("::1", 6379)]),
            ("x", &[("127.0.0.1", 7000)]),
        ],
    )]);
    assert_eq!(
        verdicts(&survey),
        [
            (6379, Some(Verdict::Foreign)),
            (7000, Some(Verdict::Foreign)),
            (11434, Some(Verdict::Foreign))
        ]
    );
    let told: Vec<Vec<(&str, &str)>> = survey
        .advice
        .iter()
        .map(|advice| {
            advice
                .steps
                .iter()
                .map(|step| (step.what.as_str(), step.how.as_str()))
                .collect()
        })
        .collect();
    assert_eq!(
        told[0],
        [
            (
                "move redis (system)",
                "services.aiStack.redis.ports.p0 = 6380;"
            ),
            (
                "stop redis.service (as bob)",
                "systemctl --user stop redis.service"
            ),
        ]
    );
    assert_eq!(told[1][1], ("stop the program python3 (as ai)", "kill 22"));
    assert_eq!(
        told[2],
        [
            (
                "move ollama (system)",
                "services.aiStack.ollama.ports.p0 = 11435;"
            ),
            (
                "move ollama.service, where NixOS declares it",
                "services.ollama.port = 11435;"
            ),
            (
                "stop ollama.service (as root)",
                "systemctl stop ollama.service"
            ),
        ]
    );
    assert_eq!(
        describe(survey.rows[1].owner.as_ref().unwrap()),
        "python3[22] (user ai)"
    );
}

#[test]
fn a_socket_without_a_process_is_the_kernels() {
    let mut machine = Machine::new();
    machine.socket("tcp", "0.0.0.0:2049", 0, 91);
    machine.process(2, b"kthreadd", "/", &[], &[]);
    let survey = machine.survey(&[stack("system", &[("a", &[("127.0.0.1", 2049)])])]);
    let owner = only(&survey).owner.as_ref().unwrap();
    assert_eq!(owner.seen, Seen::NoProcess);
    assert!(describe(owner).starts_with("no process (the kernel"));
    assert_eq!(only(&survey).verdict, Some(Verdict::Foreign));
    assert_eq!(survey.hidden_owners, 0);
}

#[test]
fn a_process_that_vanishes_while_it_is_read() {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:80", 0, 92);
    machine.socket("tcp", "127.0.0.1:81", 0, 93);
    machine.process(30, b"x", "/", &[], &[92]);
    for file in ["comm", "cgroup", "cmdline"] {
        fs::remove_file(machine.root().join("proc/30").join(file)).unwrap();
    }
    // Gone before its descriptors are read.
    fs::create_dir_all(machine.root().join("proc/31")).unwrap();
    // As if its number were a file by now.
    machine.write("proc/32/fd", b"");
    let survey = machine.survey(&[]);
    assert_eq!(survey.rows.len(), 2);
    let owner = survey.rows[0].owner.as_ref().unwrap();
    assert_eq!(owner.process.as_ref().unwrap().name, None);
    assert_eq!(describe(owner), "process 30, which has ended (user root)");
    let other = survey.rows[1].owner.as_ref().unwrap();
    assert_eq!(other.seen, Seen::NoProcess);
}

#[test]
fn names_that_are_not_utf8_or_move_the_cursor() {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:80", 0, 94);
    machine.process(40, b"a\xff\x1b[2Jb", "/", &[], &[94]);
    let survey = machine.survey(&[]);
    let owner = only(&survey).owner.as_ref().unwrap();
    assert_eq!(describe(owner), "a\u{fffd}\u{fffd}[2Jb[40] (user root)");
}

#[test]
fn the_service_owns_what_systemd_opened_for_it() {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:22", 0, 95);
    machine.process(1, b"systemd", "/init.scope", &[], &[95]);
    let survey = machine.survey(&[stack("system", &[("a", &[("127.0.0.1", 22)])])]);
    assert!(
        survey.advice[0].steps[1]
            .how
            .starts_with("systemctl list-sockets"),
        "{:?}",
        survey.advice
    );
    machine.process(50, b"sshd", "/system.slice/sshd.service", &[], &[95]);
    let survey = machine.survey(&[]);
    let owner = only(&survey).owner.as_ref().unwrap();
    assert_eq!(owner.unit.as_deref(), Some("sshd.service"));
}

#[test]
fn wildcards_and_specific_addresses() {
    let unit = "/system.slice/local-ai-a.service/supervisor";
    for (local, cgroup, declared, expected) in [
        ("[::]:80", unit, "0.0.0.0", Some(Verdict::Ours)),
        ("[::]:80", unit, "127.0.0.1", Some(Verdict::WrongAddress)),
        ("0.0.0.0:80", unit, "127.0.0.1", Some(Verdict::WrongAddress)),
        ("127.0.0.1:80", unit, "0.0.0.0", Some(Verdict::WrongAddress)),
        (
            "[::ffff:127.0.0.1]:80",
            unit,
            "127.0.0.1",
            Some(Verdict::Ours),
        ),
        ("[::1]:80", unit, "::1", Some(Verdict::Ours)),
        (
            "[::]:80",
            "/system.slice/b.service",
            "127.0.0.1",
            Some(Verdict::Foreign),
        ),
        (
            "127.0.0.1:80",
            "/system.slice/b.service",
            "0.0.0.0",
            Some(Verdict::Foreign),
        ),
        ("192.0.2.1:80", "/system.slice/b.service", "127.0.0.1", None),
        ("[::1]:80", "/system.slice/b.service", "127.0.0.1", None),
    ] {
        let mut machine = Machine::new();
        machine.socket("tcp", local, 0, 96);
        machine.process(60, b"x", cgroup, &[], &[96]);
        let survey = machine.survey(&[stack("system", &[("a", &[(declared, 80)])])]);
        let case = format!("{local} {cgroup} {declared}");
        match expected {
            Some(verdict) => assert_eq!(only(&survey).verdict, Some(verdict), "{case}"),
            None => {
                assert_eq!(survey.rows.len(), 2, "{case}");
                assert!(survey.is_well(), "{case}");
            }
        }
    }
}

#[test]
fn udp_is_not_in_the_way_of_tcp() {
    let mut machine = Machine::new();
    machine.socket("udp", "0.0.0.0:80", 0, 96);
    machine.process(60, b"x", "/system.slice/b.service", &[], &[96]);
    let survey = machine.survey(&[stack("system", &[("a", &[("127.0.0.1", 80)])])]);
    assert_eq!(verdicts(&survey), [(80, Some(Verdict::Free)), (80, None)]);
}

#[test]
fn missing_only_when_the_container_runs() {
    let declared = || [stack("system", &[("a", &[("127.0.0.1", 80)])])];
    let machine = Machine::new();
    assert_eq!(
        only(&machine.survey(&declared())).verdict,
        Some(Verdict::Free)
    );
    let group = "system.slice/system-local.slice/local-ai-a.service";
    machine.group(group, false, None);
    assert_eq!(
        only(&machine.survey(&declared())).verdict,
        Some(Verdict::Free)
    );
    // Its ExecStartPre runs: nothing can listen yet.
    machine.group(group, true, None);
    assert_eq!(
        only(&machine.survey(&declared())).verdict,
        Some(Verdict::Free)
    );
    machine.group(group, true, Some(ID));
    let survey = machine.survey(&declared());
    assert_eq!(only(&survey).verdict, Some(Verdict::Missing));
    assert!(!survey.is_well());
}

#[test]
fn one_service_may_declare_a_port_on_two_addresses() {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:80", 0, 96);
    machine.socket("tcp", "[::1]:80", 0, 97);
    machine.process(
        60,
        b"conmon",
        "/system.slice/local-ai-a.service",
        &[],
        &[96, 97],
    );
    let survey = machine.survey(&[stack("system", &[("a", &[("127.0.0.1", 80), ("::1", 80)])])]);
    assert_eq!(
        verdicts(&survey),
        [(80, Some(Verdict::Ours)), (80, Some(Verdict::Ours))]
    );
    assert!(survey.is_well());
}

#[test]
fn two_stacks_that_declare_one_port() {
    let both = [
        stack("system", &[("a", &[("127.0.0.1", 80)])]),
        stack("user", &[("b", &[("0.0.0.0", 80)])]),
    ];
    let mut machine = Machine::new();
    let survey = machine.survey(&both);
    assert!(!survey.is_well());
    assert_eq!(
        survey.advice[0].problem,
        "127.0.0.1:80/tcp is declared twice: services.aiStack.a.ports.p0 (system) and \
         services.aiStack.b.ports.p0 (user ai)"
    );
    assert_eq!(
        survey.advice[0].steps[0].how,
        "services.aiStack.b.ports.p0 = 1024;"
    );
    assert_eq!(
        survey.advice[0].steps[1].how,
        "services.aiStack.a.ports.p0 = 1025;"
    );

    // The one that runs is foreign to the other.
    machine.socket("tcp", "127.0.0.1:80", 0, 96);
    machine.process(
        60,
        b"conmon",
        "/system.slice/local-ai-a.service",
        &[],
        &[96],
    );
    let survey = machine.survey(&both);
    assert_eq!(
        verdicts(&survey),
        [(80, Some(Verdict::Ours)), (80, Some(Verdict::Foreign))]
    );
    let steps = &survey.advice[0].steps;
    assert_eq!(steps[1].what, "move a (system)");
}

#[test]
fn what_was_declared_before_still_runs() {
    let mut machine = Machine::new();
    machine.socket("tcp", "127.0.0.1:80", 0, 96);
    machine.process(
        60,
        b"conmon",
        "/system.slice/local-ai-b.service",
        &[],
        &[96],
    );
    // b has moved to 81, and a wants its old port.
    let survey = machine.survey(&[stack(
        "system",
        &[("a", &[("127.0.0.1", 80)]), ("b", &[("127.0.0.1", 81)])],
    )]);
    assert_eq!(survey.rows[0].verdict, Some(Verdict::Foreign));
    assert_eq!(
        survey.advice[0].steps[1].how,
        "systemctl restart local-ai-b.service"
    );
    assert_eq!(survey.advice[0].free_port, Some(1024));
}

#[test]
fn garbled_tables_are_an_error() {
    let machine = Machine::new();
    machine.write("proc/net/tcp", b"title\nnonsense\n");
    let error = survey(machine.root(), &[]).unwrap_err();
    assert_eq!(error.to_string(), "what listens can't be seen");
    let empty = tempfile::tempdir().unwrap();
    survey(empty.path(), &[]).unwrap_err();
}
