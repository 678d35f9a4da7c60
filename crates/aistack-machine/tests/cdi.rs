//! Folders of specs: whole, broken, and in each other's way.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::fs;
use std::os::unix::fs::symlink;

use aistack_machine::cdi::{Devices, Format, SpecError, parse};
use tempfile::TempDir;

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn devices(&self) -> Vec<String> {
        Devices::read(self.0.path()).devices()
    }

    fn notes(&self) -> Vec<String> {
        let devices = Devices::read(self.0.path());
        devices.notes.iter().map(ToString::to_string).collect()
    }
}

fn json(kind: &str, names: &[&str]) -> String {
    let devices: Vec<String> = names
        .iter()
        .map(|name| format!(r#"{{"name":"{name}","containerEdits":{{"env":["A=B"]}}}}"#))
        .collect();
    format!(
        r#"{{"cdiVersion":"0.5.0","kind":"{kind}","devices":[{}],"containerEdits":{{}}}}"#,
        devices.join(",")
    )
}

const YAML: &str = "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ncontainerEdits:\n  deviceNodes:\n  - path: /dev/nvidiactl\ndevices:\n- name: \"0\"\n  containerEdits:\n    deviceNodes:\n    - path: /dev/nvidia0\n- containerEdits: {}\n  name: all\n";

#[test]
fn json_and_yaml_of_all_folders_are_merged() {
    let tree = Tree::new();
    assert_eq!(tree.devices(), [] as [&str; 0]);
    tree.file("etc/cdi/nvidia.yaml", YAML)
        .file("var/run/cdi/amd.json", json("amd.com/gpu", &["0", "all"]))
        .file("run/cdi/other.json", json("example.com/tpu", &["x"]))
        .file("etc/cdi/old.yml", "not looked at")
        .file("etc/cdi/json", "not looked at")
        .file("etc/cdi/readme.txt", "not looked at");
    assert_eq!(
        tree.devices(),
        [
            "amd.com/gpu=0",
            "amd.com/gpu=all",
            "example.com/tpu=x",
            "nvidia.com/gpu=0",
            "nvidia.com/gpu=all"
        ]
    );
    assert_eq!(tree.notes(), [] as [&str; 0]);
    let devices = Devices::read(tree.0.path());
    assert!(devices.has("nvidia.com/gpu=all"));
    for absent in [
        "nvidia.com/gpu=1",
        "nvidia.com/mig=0",
        "intel.com/gpu=0",
        "nvidia.com/gpu",
        "/dev/kfd",
        "",
    ] {
        assert!(!devices.has(absent), "{absent}");
    }
}

#[test]
fn a_broken_file_becomes_a_note_and_hides_no_other() {
    let tree = Tree::new();
    tree.file("etc/cdi/a-cut.yaml", &YAML[..YAML.len() / 2])
        .file("etc/cdi/b-good.json", json("nvidia.com/gpu", &["all"]))
        .file("etc/cdi/c-empty.json", "")
        .file("etc/cdi/d-bytes.yaml", b"\xff\xfe\x00")
        .file("etc/cdi/e-kind.json", json("nvidia", &["all"]))
        .file(
            "etc/cdi/f-version.json",
            r#"{"cdiVersion":"9","kind":"a.b/c"}"#,
        )
        .file(
            "etc/cdi/g-names.json",
            json("a.b/c", &["ok", "not ok", "-"]),
        )
        .file("etc/cdi/h-list.json", "[1, 2]")
        .file("etc/cdi/i-types.yaml", "cdiVersion: [0.5]\nkind: {}\n");
    fs::create_dir(tree.0.path().join("etc/cdi/j-folder.json")).unwrap();
    symlink("nowhere", tree.0.path().join("etc/cdi/k-gone.json")).unwrap();
    tree.file(
        "etc/cdi/l-long.json",
        vec![b' '; aistack_machine::cdi::MAX_FILE + 1],
    );
    // No folder at all.
    tree.file("run/cdi", "a file");

    assert_eq!(tree.devices(), ["a.b/c=ok", "nvidia.com/gpu=all"]);
    let notes = tree.notes();
    let starts = [
        "etc/cdi/a-cut.yaml: ",
        "etc/cdi/c-empty.json: is empty",
        "etc/cdi/d-bytes.yaml: is no CDI spec in YAML: ",
        "etc/cdi/e-kind.json: has the kind \"nvidia\"",
        "etc/cdi/f-version.json: has the version \"9\"",
        "etc/cdi/g-names.json: 2 devices have names that no container can ask for",
        "etc/cdi/h-list.json: is no CDI spec in JSON: ",
        "etc/cdi/i-types.yaml: is no CDI spec in YAML: ",
        "etc/cdi/j-folder.json: cannot be read: it is a directory, not a regular file",
        "etc/cdi/k-gone.json: cannot be read: No such file",
        "etc/cdi/l-long.json: cannot be read: it is longer than",
    ];
    assert_eq!(notes.len(), starts.len(), "{notes:#?}");
    for start in starts {
        assert!(
            notes.iter().any(|note| note.starts_with(start)),
            "{start}: {notes:#?}"
        );
    }
}

#[test]
fn later_folders_win_and_one_folder_must_agree_with_itself() {
    let tree = Tree::new();
    tree.file("etc/cdi/a.json", json("a.b/c", &["one", "two"]))
        .file("etc/cdi/b.json", json("a.b/c", &["two", "three"]));
    assert_eq!(tree.devices(), ["a.b/c=one", "a.b/c=three"]);
    assert_eq!(
        tree.notes(),
        ["etc/cdi/b.json: defines a.b/c=two, as does another file of the folder: neither counts"]
    );
    // What a more important folder says settles it.
    tree.file("run/cdi/c.json", json("a.b/c", &["two"]));
    assert_eq!(tree.devices(), ["a.b/c=one", "a.b/c=three", "a.b/c=two"]);
}

#[test]
fn hostile_specs_end_soon() {
    let yaml = |text: &str| parse(text.as_bytes(), Format::Yaml);
    // Aliases that double nine times.
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (this, last) in ["b", "c", "d", "e", "f", "g", "h", "i", "j"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f", "g", "h", "i"])
    {
        let many = vec![format!("*{last}"); 9].join(", ");
        bomb = format!("{bomb}{this}: &{this} [{many}]\n");
    }
    let spec = format!("cdiVersion: 0.5.0\nkind: a.b/c\n{bomb}");
    assert!(matches!(yaml(&spec), Err(SpecError::Yaml(_))));
    // Much, though flat. Each key is another one: a second of the same name is an
    // error of its own.
    let flat: Vec<String> = (0..60_000).map(|n| format!("x{n}: 1\n")).collect();
    let flat = format!("cdiVersion: 0.5.0\nkind: a.b/c\n{}", flat.concat());
    let error = yaml(&flat).unwrap_err().to_string();
    assert!(error.contains("budget"), "{error}");
    // Deep nesting, in both languages.
    assert!(matches!(
        yaml(&format!("cdiVersion: {}", "[".repeat(100_000))),
        Err(SpecError::Yaml(_))
    ));
    let deep = format!("{{\"x\":{}", "[".repeat(1_000_000));
    assert!(matches!(
        parse(deep.as_bytes(), Format::Json),
        Err(SpecError::Json(_))
    ));
    // More devices than there are.
    let names: Vec<String> = (0..5000).map(|n| format!("d{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert!(matches!(
        parse(json("a.b/c", &names).as_bytes(), Format::Json),
        Err(SpecError::TooMany(5000))
    ));
}

#[test]
fn names_may_be_numbers() {
    let spec = parse(
        b"cdiVersion: v1.0.0\nkind: nvidia.com/gpu\ndevices:\n- name: 0\n- name: 12\n",
        Format::Yaml,
    )
    .unwrap();
    assert_eq!(spec.devices, ["0", "12"]);
}
