//! `aistack images`: against a real registry, and against fakes where it fails.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fakes::{Machine, have, outcome, service, skip, stack};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold("sha256:".to_owned(), |text, byte| {
            format!("{text}{byte:02x}")
        })
}

/// A tar archive of one file (POSIX ustar).
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend(content);
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

/// An OCI layout below `root` with one reference `t`: an index of an image for
/// each of the processors, or one image alone when `single`. Gives its digest.
fn layout(root: &Path, text: &str, architectures: &[&str], single: bool, run: &Value) -> String {
    let blobs = root.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |kind: &str, bytes: &[u8]| {
        let digest = sha256(bytes);
        fs::write(blobs.join(&digest[7..]), bytes).unwrap();
        json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": digest, "size": bytes.len(),
        })
    };
    let mut manifests = Vec::new();
    for architecture in architectures {
        let layer = tar("file", format!("{text} {architecture}").as_bytes());
        let config = json!({
            "architecture": architecture, "os": "linux", "config": run,
            "rootfs": { "type": "layers", "diff_ids": [sha256(&layer)] },
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob("config.v1+json", config.to_string().as_bytes()),
            "layers": [blob("layer.v1.tar", &layer)],
        });
        let mut entry = blob("manifest.v1+json", manifest.to_string().as_bytes());
        entry["platform"] = json!({ "architecture": architecture, "os": "linux" });
        manifests.push(entry);
    }
    let mut top = if single {
        manifests.remove(0)
    } else {
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        blob("index.v1+json", index.to_string().as_bytes())
    };
    top["annotations"] = json!({ "org.opencontainers.image.ref.name": "t" });
    let list = json!({ "schemaVersion": 2, "manifests": [top] });
    fs::write(root.join("index.json"), list.to_string()).unwrap();
    fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    top["digest"].as_str().unwrap().to_owned()
}

/// Debian's docker-registry on a port of its own, ended with this value.
struct Registry {
    child: Child,
    address: String,
    directory: tempfile::TempDir,
}

impl Registry {
    /// None, and said so, where the programs aren't installed.
    fn start() -> Option<Self> {
        for program in ["skopeo", "docker-registry"] {
            if !have(program) {
                skip(&format!(
                    "images with a real registry: {program} is not installed"
                ));
                return None;
            }
        }
        let directory = tempfile::tempdir().unwrap();
        // It was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let configuration = directory.path().join("registry.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: \
             {}/data\nhttp:\n  addr: {address}\n",
            directory.path().display()
        );
        fs::write(&configuration, text).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            child,
            address,
            directory,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        Some(registry)
    }

    /// Puts an image there; gives the digest of its tag.
    fn push(&self, name: &str, tag: &str, architectures: &[&str], single: bool) -> String {
        self.push_run(name, tag, architectures, single, &json!({}))
    }

    /// The same, of an image that says how it is run.
    fn push_run(
        &self,
        name: &str,
        tag: &str,
        architectures: &[&str],
        single: bool,
        run: &Value,
    ) -> String {
        let root = self.directory.path().join(format!("{name}-{tag}"));
        let text = format!("{name} {tag}");
        let digest = layout(&root, &text, architectures, single, run);
        let output = Command::new("skopeo")
            .args([
                "--insecure-policy",
                "copy",
                "--all",
                "--preserve-digests",
                "--dest-tls-verify=false",
            ])
            .arg(format!("oci:{}:t", root.display()))
            .arg(format!("docker://{}:{tag}", self.name(name)))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        digest
    }

    fn name(&self, name: &str) -> String {
        format!("{}/team/{name}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn entry(name: &str, tag: &str, digest: Option<&str>) -> String {
    json!({ "name": name, "tag": tag, "digest": digest }).to_string()
}

/// A lock, not in the order of the alphabet, as aistack writes it.
fn lock(machine: &Machine, entries: &[(&str, String)]) -> PathBuf {
    let entries: Vec<String> = entries
        .iter()
        .map(|(name, entry)| {
            let entry: Value = serde_json::from_str(entry).unwrap();
            format!(
                "  \"{name}\": {{\n    \"name\": {},\n    \"tag\": {},\n    \"digest\": {}\n  }}",
                entry["name"], entry["tag"], entry["digest"]
            )
        })
        .collect();
    machine.write("images.json", &format!("{{\n{}\n}}\n", entries.join(",\n")))
}

fn images(machine: &Machine, arguments: &[&str]) -> (i32, String, String) {
    let mut all = vec!["images"];
    all.extend(arguments);
    outcome(machine.aistack(&all))
}

/// A service whose image is pinned by a digest.
fn pinned(name: &str, image: &str, tag: &str, digest: Option<&str>) -> Value {
    let mut declared = service(name);
    let reference = match digest {
        Some(digest) => format!("{image}:{tag}@{digest}"),
        None => format!("{image}:{tag}"),
    };
    declared["image"] = json!({
        "reference": reference, "name": image, "tag": tag, "digest": digest, "archive": null,
    });
    declared
}

fn host() -> &'static str {
    aistack_provision::images::architecture()
}

#[test]
fn the_projects_own_lock_is_read_and_what_is_loose_is_named() {
    let machine = Machine::new();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pkgs/images.json");
    // Not there where only the crates were unpacked.
    if own.exists() {
        let text = fs::read_to_string(&own).unwrap();
        let copy = machine.write("own.json", &text);
        aistack_provision::images::Lock::read(&copy)
            .unwrap()
            .write(&copy)
            .unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), text);
    }

    let digest = sha256(b"x");
    let entries = [
        ("z", entry("r.example/z", "1", Some(&digest))),
        ("a", entry("r.example/a", "2", None)),
    ];
    let path = lock(&machine, &entries);
    let (code, out, error) = images(&machine, &["list", "--lock", path.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(
        out.contains(&format!("z     r.example/z  1    {digest}\n")),
        "{out}"
    );
    assert!(out.contains("a     r.example/a  2    tag only\n"), "{out}");
    assert!(error.contains("it may be another image: a;"), "{error}");

    let mut from_archive = pinned("b", "r.example/b", "1", None);
    from_archive["image"]["archive"] = json!("/srv/b.tar");
    let declared = [
        ("a", pinned("a", "r.example/a", "1", Some(&digest))),
        ("b", from_archive),
    ];
    let file = machine.stack(&stack(&declared));
    let (code, out, error) = images(
        &machine,
        &["list", "--json", "--stack", file.to_str().unwrap()],
    );
    assert_eq!((code, error.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["images"][0]["digest"], json!(digest));
    assert_eq!(report["images"][1]["archive"], "/srv/b.tar");
}

#[test]
fn without_a_file_the_stack_of_this_machine_is_meant() {
    if Path::new("/etc/aistack/stack.json").exists() {
        return skip("images of the user's stack alone: this machine has a stack of its own");
    }
    let machine = Machine::new();
    let (code, _, error) = images(&machine, &["list"]);
    assert_eq!(code, 2);
    assert!(
        error.contains("no stack here declares services.aiStack (/etc/aistack/stack.json and "),
        "{error}"
    );
    let own = stack(&[("mine", service("mine"))]);
    machine.write("home/.config/aistack/stack.json", &own.to_string());
    let (code, out, error) = images(&machine, &["list"]);
    assert_eq!(code, 1);
    assert!(out.contains("mine"), "{out}{error}");
}

#[test]
fn update_writes_the_digest_of_the_index_and_nothing_else() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let machine = Machine::new();
    let one = registry.push("app", "1", &["amd64", "arm64"], false);
    let two = registry.push("app", "2", &["amd64", "arm64"], false);
    let single = registry.push("single", "1", &["amd64"], true);
    assert_ne!(one, two);
    let gone = "127.0.0.1:1/team/gone";
    let old = sha256(b"old");
    let (app, only) = (registry.name("app"), registry.name("single"));
    let before = [
        ("z", entry(&app, "1", None)),
        ("gone", entry(gone, "1", Some(&old))),
        ("a", entry(&only, "1", Some(&old))),
    ];
    let path = lock(&machine, &before);
    let text = fs::read_to_string(&path).unwrap();
    let update = |more: &[&str]| {
        let mut all = vec!["update", "--lock", path.to_str().unwrap()];
        all.extend(["--insecure-registry", &registry.address]);
        all.extend(more);
        images(&machine, &all)
    };

    let (code, out, error) = update(&["--dry-run"]);
    assert_eq!(code, 1);
    assert!(out.contains("2 would change"), "{out}");
    assert!(error.contains("gone stays as it is: "), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let (code, out, _) = update(&[]);
    assert_eq!(code, 1);
    assert!(
        out.contains(&format!("z: 1 (tag only) → 1 {one}\n")),
        "{out}"
    );
    let after = [
        ("z", entry(&app, "1", Some(&one))),
        ("gone", entry(gone, "1", Some(&old))),
        ("a", entry(&only, "1", Some(&single))),
    ];
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(written, fs::read_to_string(lock(&machine, &after)).unwrap());

    let (code, out, error) = update(&["--tag", "z=2"]);
    assert_eq!(code, 0, "{error}");
    assert_eq!(out.matches(" → ").count(), 1);
    assert!(out.contains(&format!("z: 1 {one} → 2 {two}\n")), "{out}");
    assert!(update(&["z"]).1.contains("is up to date"));
    // A tag that isn't there leaves the entry as it is, its tag included.
    let written = fs::read_to_string(&path).unwrap();
    assert_eq!(update(&["--tag", "z=3"]).0, 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), written);

    let (code, _, error) = update(&["nobody"]);
    assert_eq!(code, 2);
    assert!(
        error.contains("has no image for nobody: known are z, gone, a"),
        "{error}"
    );
    // Without the option TLS is spoken, which this registry doesn't.
    let (code, _, error) = images(&machine, &["update", "z", "--lock", path.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(error.contains("HTTPS"), "{error}");
}

#[test]
fn verify_looks_for_digest_and_processor() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let machine = Machine::new();
    let both = registry.push("app", "1", &["amd64", "arm64"], false);
    let single = registry.push("single", "1", &["arm64"], true);
    let absent = sha256(b"absent");
    let path = lock(
        &machine,
        &[
            ("both", entry(&registry.name("app"), "1", Some(&both))),
            ("loose", entry(&registry.name("app"), "1", None)),
            (
                "single",
                entry(&registry.name("single"), "1", Some(&single)),
            ),
            ("absent", entry(&registry.name("app"), "1", Some(&absent))),
        ],
    );
    let verify = |more: &[&str]| {
        let mut all = vec!["verify", "--lock", path.to_str().unwrap()];
        all.extend(["--insecure-registry", &registry.address]);
        all.extend(more);
        images(&machine, &all)
    };
    let (code, out, error) = verify(&["both", "single", "loose", "--arch", "arm64"]);
    assert_eq!(code, 0, "{error}");
    assert!(
        out.contains("both: is there for linux/arm64, no contract to compare it with\n"),
        "{out}"
    );
    assert!(
        out.contains(&format!("pinned by its tag only (now {both})")),
        "{out}"
    );

    let (code, _, error) = verify(&["--arch", "amd64"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("2 of 4 can't be had for linux/amd64"),
        "{error}"
    );
    assert!(
        error.contains("is not there for linux/amd64, only for linux/arm64"),
        "{error}"
    );
    assert!(error.contains("\n  absent: "), "{error}");

    let (code, _, error) = verify(&["both", "--arch", "s390x"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("only for linux/amd64, linux/arm64"),
        "{error}"
    );
}

#[test]
fn verify_compares_an_image_with_its_contract() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let machine = Machine::new();
    let run = json!({
        "User": "1000:1000", "Entrypoint": ["/app"], "Env": ["HOME=/data"],
        "ExposedPorts": { "80/tcp": {} },
    });
    // In an index and alone: the configuration is read through both.
    let both = registry.push_run("app", "1", &["amd64", "arm64"], false, &run);
    registry.push_run("app", "2", &["amd64"], true, &run);
    let contract = json!({
        "schema": 1, "image": registry.name("app"), "version": "1",
        "source": [{ "repository": "https://example.org/app", "version": "1", "path": "Dockerfile" }],
        "base": null, "user": { "set": "1000:1000", "uid": 1000, "gid": 1000 },
        "entrypoint": ["/app"], "cmd": [], "workdir": null, "stopSignal": "SIGTERM",
        "exposed": ["80/tcp"], "listens": [80], "volumes": [], "environment": { "HOME": "/data" },
        "folders": {}, "programs": [], "sigterm": null, "unverified": [],
    });
    let write = |contract: &Value| machine.write("contracts/app.json", &contract.to_string());
    write(&contract);
    let path = lock(
        &machine,
        &[
            ("app", entry(&registry.name("app"), "1", Some(&both))),
            ("loose", entry(&registry.name("app"), "2", None)),
        ],
    );
    let contracts = machine.path("contracts");
    let verify = || {
        let all = [
            "verify",
            "--lock",
            path.to_str().unwrap(),
            "--insecure-registry",
            &registry.address,
            "--arch",
            "amd64",
            "--contracts",
            contracts.to_str().unwrap(),
        ];
        images(&machine, &all)
    };
    let (code, out, error) = verify();
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(
        out.contains("app: is there for linux/amd64, as its contract says\n"),
        "{out}"
    );

    let mut wrong = contract.clone();
    wrong["user"]["set"] = json!("");
    wrong["environment"]["HOME"] = json!("/root");
    write(&wrong);
    let (code, out, error) = verify();
    assert_eq!(code, 1);
    assert!(out.contains("not as its contract says"), "{out}");
    for line in [
        "app: User is \"1000:1000\" in the image, and \"\" in the contract app",
        "loose: Env HOME is \"/data\" in the image, and \"/root\" in the contract app",
    ] {
        assert!(error.contains(line), "{error}");
    }

    write(&json!({ "schema": 1 }));
    let (code, _, error) = verify();
    assert_eq!(code, 2);
    assert!(error.contains("is not an image contract"), "{error}");
}

#[test]
fn update_shows_how_a_new_image_is_run_otherwise() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let machine = Machine::new();
    let old = json!({ "User": "", "Cmd": ["serve"], "Env": ["A=1"] });
    let new = json!({ "User": "1000", "Cmd": ["serve"], "Env": ["A=1", "B=\u{1b}[31m"] });
    let both = ["amd64", "arm64"];
    let digest = registry.push_run("app", "1", &both, false, &old);
    registry.push_run("app", "2", &both, false, &new);
    let path = lock(
        &machine,
        &[("app", entry(&registry.name("app"), "1", Some(&digest)))],
    );
    let (code, out, error) = images(
        &machine,
        &[
            "update",
            "--lock",
            path.to_str().unwrap(),
            "--insecure-registry",
            &registry.address,
            "--tag",
            "app=2",
        ],
    );
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("\n  User: \"\" → \"1000\"\n"), "{out}");
    // What a registry says does not reach the terminal as it is.
    assert!(
        out.contains("\n  Env B: \"(not set)\" → \"\\u{1b}[31m\"\n"),
        "{out}"
    );
    assert!(!out.contains("Cmd"), "{out}");
}

#[test]
fn contracts_are_printed_for_people() {
    let machine = Machine::new();
    let (code, out, _) = images(&machine, &["contract"]);
    assert_eq!(code, 0);
    assert!(out.contains("docker.io/qdrant/qdrant"), "{out}");
    for name in ["redis", "docker.io/library/redis"] {
        let (code, out, error) = images(&machine, &["contract", name]);
        assert_eq!(code, 0, "{error}");
        for words in [
            "redis-cli",
            "docker-entrypoint.sh",
            "up to 30 s",
            "unverified",
        ] {
            assert!(out.contains(words), "{words}: {out}");
        }
    }
    let (code, out, _) = images(&machine, &["contract", "redis", "--json"]);
    assert_eq!(code, 0);
    let contract: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(contract["image"], "docker.io/library/redis");
    let (code, _, error) = images(&machine, &["contract", "mine"]);
    assert_eq!(code, 2);
    assert!(
        error.contains("there is no contract for mine: known are aider,")
            && error.contains("services.aiStack.<name>.contract"),
        "{error}"
    );
}

/// Runs the real podman with the storage of the test.
fn podman_vfs(machine: &Machine, arguments: &[&str]) -> std::io::Result<std::process::Output> {
    let path = std::env::var_os("PATH").unwrap();
    let directories = std::iter::once(machine.path("fake-bin")).chain(std::env::split_paths(&path));
    Command::new(machine.path("fake-bin/podman"))
        .args(arguments)
        .env("PATH", std::env::join_paths(directories).unwrap())
        .output()
}

#[test]
fn a_bundle_from_a_real_registry_loads_into_a_real_podman() {
    let Some(registry) = Registry::start() else {
        return;
    };
    let machine = Machine::new();
    machine.program("fake-bin/podman", "podman-vfs");
    let works = |arguments: &[&str]| {
        podman_vfs(&machine, arguments).is_ok_and(|output| output.status.success())
    };
    if !have("podman") || !works(&["images"]) {
        return skip("images with a real podman: it is not installed or can't run here");
    }
    let other = if host() == "amd64" { "arm64" } else { "amd64" };
    let app = registry.push("app", "1", &[other, host()], false);
    let single = registry.push("single", "1", &[host()], true);
    let declared = [
        ("app", pinned("app", &registry.name("app"), "1", Some(&app))),
        (
            "single",
            pinned("single", &registry.name("single"), "1", Some(&single)),
        ),
    ];
    let file = machine.stack(&stack(&declared));
    let folder = machine.path("a bundle");
    let bundle = || {
        let arguments = [
            "bundle",
            folder.to_str().unwrap(),
            "--stack",
            file.to_str().unwrap(),
        ];
        let mut all = arguments.to_vec();
        all.extend(["--insecure-registry", &registry.address]);
        images(&machine, &all)
    };
    let (code, out, error) = bundle();
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("app: app.tar is there now (1 MiB)"), "{out}");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["app.tar", "bundle.json", "single.tar"]);
    let list: Value =
        serde_json::from_slice(&fs::read(folder.join("bundle.json")).unwrap()).unwrap();
    assert_eq!(list["images"][0]["digest"], json!(app));
    assert_eq!(
        list["images"][0]["reference"],
        json!(format!("{}:1", registry.name("app")))
    );

    // One is damaged: that one is made again, the other is not.
    fs::write(folder.join("app.tar"), "damaged").unwrap();
    let (code, out, error) = bundle();
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("app: app.tar is there now"), "{out}");
    assert!(out.contains("single: single.tar is there\n"), "{out}");

    let load = || {
        let arguments = [
            "load",
            folder.to_str().unwrap(),
            "--stack",
            file.to_str().unwrap(),
        ];
        images(&machine, &arguments)
    };
    // The stack wants digests, which archives don't have.
    let (code, _, error) = load();
    assert_eq!(code, 1);
    assert!(
        error.contains("set services.aiStack.app.imageArchive = \""),
        "{error}"
    );
    assert!(works(&[
        "image",
        "exists",
        &format!("{}:1", registry.name("app"))
    ]));

    let of_archives = declared.map(|(name, service)| {
        let image = service["image"]["name"].as_str().unwrap();
        let mut loose = pinned(name, image, "1", None);
        loose["image"]["archive"] = json!(folder.join(format!("{name}.tar")));
        (name, loose)
    });
    machine.stack(&stack(&of_archives));
    let (code, out, error) = load();
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("podman has every image of"), "{out}");
    // And it is the image for this machine.
    let id = format!("{}:1", registry.name("app"));
    let inspect = ["image", "inspect", "--format", "{{.Architecture}}", &id];
    let podman = podman_vfs(&machine, &inspect).unwrap();
    assert_eq!(String::from_utf8(podman.stdout).unwrap().trim(), host());
}

/// A machine whose skopeo is the fake, with two services in its registry.
fn faked() -> (Machine, PathBuf, PathBuf) {
    let machine = Machine::new();
    machine.program("fake-bin/skopeo", "skopeo");
    let mut declared = Vec::new();
    for name in ["a", "b"] {
        let image = format!("r.example/{name}");
        let layers = json!([{ "digest": "sha256:1", "size": 1000 }]);
        let one = json!({ "config": { "digest": "sha256:0", "size": 10 }, "layers": layers });
        put(&machine, &format!("{image}@sha256:one"), &one);
        let index = json!({ "manifests": [{
            "digest": "sha256:one", "size": 10,
            "platform": { "os": "linux", "architecture": host() },
        }] });
        let digest = sha256(index.to_string().as_bytes());
        put(&machine, &format!("{image}@{digest}"), &index);
        declared.push((name, pinned(name, &image, "1", Some(&digest))));
    }
    let file = machine.stack(&stack(&declared));
    let folder = machine.path("bundle");
    (machine, file, folder)
}

fn put(machine: &Machine, reference: &str, manifest: &Value) {
    let name = reference.replace(['/', ':', '@'], "_");
    machine.write(&format!("registry/{name}"), &manifest.to_string());
}

fn run(what: &str, machine: &Machine, file: &Path, folder: &Path) -> (i32, String, String) {
    let (folder, file) = (folder.to_str().unwrap(), file.to_str().unwrap());
    images(machine, &[what, folder, "--stack", file])
}

#[test]
fn a_copy_that_fails_leaves_nothing_and_the_next_run_makes_only_what_is_missing() {
    let (machine, file, folder) = faked();
    machine.write("copy-fails", "");
    let (code, _, error) = run("bundle", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(error.contains("lacks 2 of 2"), "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);

    fs::remove_file(machine.path("copy-fails")).unwrap();
    // What an ended run left is in nobody's way.
    fs::create_dir(folder.join(".aistack-tmp")).unwrap();
    fs::write(folder.join(".a.tar.partial"), "x").unwrap();
    let (code, _, error) = run("bundle", &machine, &file, &folder);
    assert_eq!(code, 0, "{error}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);

    // Known by digest and hash: the registry isn't asked.
    machine.forget_calls();
    let (code, out, _) = run("bundle", &machine, &file, &folder);
    assert_eq!((code, machine.calls().as_str()), (0, ""));
    assert!(out.contains("a: a.tar is there\n"), "{out}");
    fs::remove_file(folder.join("b.tar")).unwrap();
    assert_eq!(run("bundle", &machine, &file, &folder).0, 0);
    assert_eq!(machine.calls().matches(" copy ").count(), 1);
}

#[test]
fn a_registry_that_answers_something_else_is_not_believed() {
    let (machine, file, folder) = faked();
    let declared: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    let digest = declared["services"]["a"]["image"]["digest"]
        .as_str()
        .unwrap();
    put(
        &machine,
        &format!("r.example/a@{digest}"),
        &json!({ "manifests": [] }),
    );
    let digest = declared["services"]["b"]["image"]["digest"]
        .as_str()
        .unwrap();
    put(&machine, &format!("r.example/b@{digest}"), &json!("<html>"));
    let (code, _, error) = run("bundle", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(error.contains("was answered with sha256:"), "{error}");
    assert!(error.contains("has no manifest of an image"), "{error}");
    assert!(!machine.calls().contains(" copy "));
}

#[test]
fn what_cannot_fit_is_not_begun() {
    let (machine, file, folder) = faked();
    let layers = json!([{ "digest": "sha256:1", "size": 1_u64 << 60 }]);
    let huge = json!({ "config": { "digest": "sha256:0" }, "layers": layers });
    put(&machine, "r.example/a@sha256:one", &huge);
    let (code, out, error) = run("bundle", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(
        error.contains("MiB free, and 2199023255553 MiB are needed"),
        "{error}"
    );
    assert!(out.contains("b: b.tar is there now"), "{out}");
}

#[test]
fn two_bundles_in_one_folder_do_not_mix() {
    let (machine, file, folder) = faked();
    fs::create_dir(&folder).unwrap();
    let held = fs::File::open(&folder).unwrap();
    held.lock().unwrap();
    let (code, _, error) = run("bundle", &machine, &file, &folder);
    assert_eq!(code, 2);
    assert!(error.contains("another process writes to"), "{error}");
    drop(held);
    assert_eq!(run("bundle", &machine, &file, &folder).0, 0);
}

#[test]
fn load_refuses_what_is_damaged_foreign_or_odd_and_says_what_is_missing() {
    let (machine, file, folder) = faked();
    assert_eq!(run("bundle", &machine, &file, &folder).0, 0);
    // As it is with imageArchive set; `c` is not in the bundle.
    let services =
        ["a", "b", "c"].map(|name| (name, pinned(name, &format!("r.example/{name}"), "1", None)));
    machine.stack(&stack(&services));
    fs::write(folder.join("b.tar"), "r.example/b:1\n# damaged\n").unwrap();
    machine.forget_calls();
    let (code, out, error) = run("load", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(out.contains("a: r.example/a:1 is there now\n"), "{out}");
    assert!(error.contains("b.tar has the SHA-256 "), "{error}");
    assert!(
        error.contains("b: r.example/b:1 is missing: b.tar brings"),
        "{error}"
    );
    assert!(
        error.contains("c: r.example/c:1 is missing, and not in the bundle"),
        "{error}"
    );
    assert_eq!(machine.calls().matches("podman load").count(), 1);

    let list = folder.join("bundle.json");
    let good = fs::read_to_string(&list).unwrap();
    fs::write(&list, good.replace(host(), "s390x")).unwrap();
    machine.forget_calls();
    let (code, _, error) = run("load", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(
        error.contains("a.tar is for linux/s390x, and this machine is"),
        "{error}"
    );
    assert!(!machine.calls().contains("podman load"));

    for (text, words) in [
        (
            good.replace("\"a.tar\"", "\"../a.tar\""),
            "can't be the name of a file",
        ),
        (
            good.replace("\"schema\": 1", "\"schema\": 2"),
            "it has schema 2",
        ),
        ("{".to_owned(), "does not follow schema 1"),
    ] {
        fs::write(&list, text).unwrap();
        let (code, _, error) = run("load", &machine, &file, &folder);
        assert_eq!(code, 2, "{words}");
        assert!(error.contains(words), "{words}: {error}");
    }
    fs::remove_file(&list).unwrap();
    let (code, _, error) = run("load", &machine, &file, &folder);
    assert_eq!(code, 2);
    assert!(
        error.contains("bundle.json is no list of a bundle: it cannot be read"),
        "{error}"
    );
}

#[test]
fn load_brings_what_is_declared_and_lets_no_archive_rename_images() {
    let (machine, file, folder) = faked();
    assert_eq!(run("bundle", &machine, &file, &folder).0, 0);
    // Only b is declared.
    machine.stack(&stack(&[("b", pinned("b", "r.example/b", "1", None))]));
    machine.forget_calls();
    let (code, out, error) = run("load", &machine, &file, &folder);
    assert_eq!(code, 0, "{error}");
    assert!(
        out.contains("a: r.example/a:1 is not an image of the stack"),
        "{out}"
    );
    assert_eq!(machine.calls().matches("podman load").count(), 1);

    // The archive for b brings another image, and the list has its hash.
    let evil = machine.archive("evil.tar", "r.example/a:1");
    let text = fs::read(&evil).unwrap();
    fs::write(folder.join("b.tar"), &text).unwrap();
    let list = folder.join("bundle.json");
    let mut bundle: Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    for image in bundle["images"].as_array_mut().unwrap() {
        if image["service"] == "b" {
            image["sha256"] = json!(sha256(&text).trim_start_matches("sha256:"));
        }
    }
    fs::write(&list, bundle.to_string()).unwrap();
    machine.forget_calls();
    let (code, _, error) = run("load", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(
        error.contains("b.tar brings r.example/a:1, and only r.example/b:1 is wanted"),
        "{error}"
    );
    assert!(!machine.calls().contains("podman load"));

    // The list agrees with an archive that is not the declared one.
    let mut hashed = pinned("b", "r.example/b", "1", None);
    hashed["image"]["archiveSha256"] = json!("0".repeat(64));
    machine.stack(&stack(&[("b", hashed)]));
    let (code, _, error) = run("load", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(error.contains("and the stack declares 000"), "{error}");
    assert!(!machine.calls().contains("podman load"));
}

#[test]
fn a_folder_that_skopeo_cannot_write_to_is_said_before_anything_is_fetched() {
    let (machine, file, _) = faked();
    let (code, _, error) = run("bundle", &machine, &file, &machine.path("a:b"));
    assert_eq!(code, 2);
    assert!(error.contains("has a colon in its path"), "{error}");
    machine.write("folder", "");
    let (code, _, error) = run("bundle", &machine, &file, &machine.path("folder"));
    assert_eq!(code, 2);
    assert!(error.contains("folder cannot be made: "), "{error}");
    assert_eq!(machine.calls(), "");
}

#[test]
fn a_service_whose_name_is_a_path_gets_no_archive() {
    let (machine, file, folder) = faked();
    let digest = sha256(b"x");
    let declared = [("../a", pinned("a", "r.example/a", "1", Some(&digest)))];
    machine.stack(&stack(&declared));
    let (code, _, error) = run("bundle", &machine, &file, &folder);
    assert_eq!(code, 1);
    assert!(error.contains("can't be the name of a file"), "{error}");
}
