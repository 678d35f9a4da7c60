//! `aistack facts` as its users meet it.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;

fn machine(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../aistack-facts/tests/fixtures")
        .join(name)
}

/// What the command answered.
#[derive(Debug)]
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `aistack facts` in a directory.
fn facts(dir: &Path, args: &[&str]) -> Answer {
    let output = Command::cargo_bin("aistack")
        .unwrap()
        .arg("facts")
        .args(args)
        .current_dir(dir)
        .output()
        .unwrap();
    Answer {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `aistack facts --root <machine>` in a directory.
fn facts_of(name: &str, dir: &Path, args: &[&str]) -> Answer {
    let root = machine(name);
    let mut all = vec!["--root", root.to_str().unwrap()];
    all.extend(args);
    facts(dir, &all)
}

/// Cases as a terminal shows them, in `tests/facts/*.trycmd`.
#[test]
fn sessions() {
    trycmd::TestCases::new().case("tests/facts/*.trycmd");
}

#[test]
fn json_is_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = facts_of("h100-server", dir.path(), &[]);
    assert_eq!((first.code, first.stderr.as_str()), (0, ""));
    let value: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(value["primary"]["slot"], "0000:1b:00.0");
    assert_eq!(
        facts_of("h100-server", dir.path(), &[]).stdout,
        first.stdout
    );
}

#[test]
fn this_machine_has_facts_too() {
    let dir = tempfile::tempdir().unwrap();
    let here = facts(dir.path(), &[]);
    assert_eq!(here.code, 0, "{}", here.stderr);
    let value: Value = serde_json::from_str(&here.stdout).unwrap();
    assert_eq!(value["schema"], 1);
    assert!(value["cpu"]["threads"].as_u64().unwrap() > 0);
}

#[test]
fn output_is_written_replaced_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("facts.json");
    let out = ["-o", "facts.json"];

    let answer = facts_of("nvidia-desktop", dir.path(), &out);
    assert_eq!(
        (answer.code, answer.stdout.as_str()),
        (0, "wrote facts.json\n")
    );
    let first = fs::read_to_string(&file).unwrap();
    assert_eq!(first, facts_of("nvidia-desktop", dir.path(), &[]).stdout);

    let answer = facts_of("nvidia-desktop", dir.path(), &out);
    assert_eq!(answer.stdout, "facts.json is up to date\n");

    let answer = facts_of("kvm-vm", dir.path(), &out);
    assert_eq!(answer.code, 0);
    assert_ne!(fs::read_to_string(&file).unwrap(), first);

    let answer = facts_of("kvm-vm", dir.path(), &["--nix", "-o", "facts.json"]);
    assert_eq!(answer.code, 0);
    assert!(
        fs::read_to_string(&file)
            .unwrap()
            .starts_with("# Hardware facts")
    );

    fs::write(&file, "{ pkgs, ... }: { }\n").unwrap();
    let answer = facts_of("kvm-vm", dir.path(), &out);
    assert_eq!(answer.code, 2);
    assert_eq!(
        answer.stderr,
        "aistack: facts.json exists and holds no facts: it is left as it is; name another file, \
         or add --force to replace it\n"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "{ pkgs, ... }: { }\n");
    assert_eq!(
        facts_of("kvm-vm", dir.path(), &["-o", "facts.json", "--force"]).code,
        0
    );

    let answer = facts_of("kvm-vm", dir.path(), &["-o", "no/such/facts.json"]);
    assert_eq!(answer.code, 2);
    assert!(
        answer.stderr.contains("cannot make a file in no/such"),
        "{}",
        answer.stderr
    );
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing else was left"
    );
}

#[test]
fn check_tells_drift() {
    let dir = tempfile::tempdir().unwrap();
    facts_of("hybrid-intel-nvidia", dir.path(), &["-o", "facts.json"]);
    let check = ["--check", "facts.json"];

    let answer = facts_of("hybrid-intel-nvidia", dir.path(), &check);
    assert_eq!(
        (answer.code, answer.stdout.as_str()),
        (0, "facts.json: as declared\n")
    );

    // The card was taken out, the processor changed, and half a GiB of memory went to firmware.
    let file = dir.path().join("facts.json");
    let mut declared: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    declared["gpus"][1]["slot"] = "0000:02:00.0".into();
    declared["gpus"][1]["reason"] = "other words are no drift".into();
    declared["cpu"]["cores"] = 12.into();
    declared["memory"]["totalMiB"] = 32_256.into();
    fs::write(&file, declared.to_string()).unwrap();
    let answer = facts_of("hybrid-intel-nvidia", dir.path(), &check);
    assert_eq!(answer.code, 1);
    let root = machine("hybrid-intel-nvidia");
    assert_eq!(
        answer.stdout,
        format!(
            "facts.json: 3 facts are not as declared (declared → now)\n  \
               cpu.cores: 12 → 14\n  \
               gpus[0000:01:00.0]: absent → 10de:28a0 (nvidia)\n  \
               gpus[0000:02:00.0]: 10de:28a0 (nvidia) → absent\n\
             To declare the machine as it is now: aistack facts --root {} -o facts.json\n",
            root.display()
        )
    );
}

/// A report of nixos-facter for `nvidia-desktop`, as its version 1 writes them.
fn report(device: &str, driver: &str) -> String {
    format!(
        r#"{{
            "version": 1, "system": "x86_64-linux", "virtualisation": "none",
            "hardware": {{ "graphics_card": [ {{
                "index": 30, "attached_to": 12,
                "bus_type": {{ "hex": "0004", "name": "PCI", "value": 4 }},
                "slot": {{ "bus": 43, "number": 0 }},
                "base_class": {{ "hex": "0003", "name": "Display controller", "value": 3 }},
                "sub_class": {{ "hex": "0000", "name": "VGA compatible controller", "value": 0 }},
                "vendor": {{ "hex": "10de", "name": "nVidia Corporation", "value": 4318 }},
                "device": {{ "hex": "{device}", "name": "AD102", "value": 0 }},
                "model": "nVidia VGA compatible controller",
                "sysfs_id": "/devices/pci0000:00/0000:00:03.1/0000:2b:00.0",
                "sysfs_bus_id": "0000:2b:00.0",
                "driver": "{driver}", "driver_module": "{driver}"
            }} ] }}
        }}"#
    )
}

#[test]
fn a_report_of_facter_fills_and_is_overruled() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("facter.json");
    let with = ["--facter", "facter.json"];
    let alone = facts_of("nvidia-desktop", dir.path(), &[]);

    // The same card and driver: nothing to say.
    fs::write(&file, report("2684", "nvidia")).unwrap();
    let answer = facts_of("nvidia-desktop", dir.path(), &with);
    assert_eq!(
        (answer.stdout.as_str(), answer.stderr.as_str()),
        (alone.stdout.as_str(), "")
    );

    // Another driver, another card: the machine wins, and the difference is said.
    for (report, words) in [
        (
            report("2684", "nouveau"),
            "has the driver nouveau for the card in slot 0000:2b:00.0, now the driver nvidia is bound; the machine's own is used",
        ),
        (
            report("2204", "nvidia"),
            "has the card 10de:2204 in slot 0000:2b:00.0, where now 10de:2684 is; the machine's own is used",
        ),
    ] {
        fs::write(&file, report).unwrap();
        let answer = facts_of("nvidia-desktop", dir.path(), &with);
        assert_eq!(answer.code, 0);
        assert_eq!(answer.stdout, alone.stdout);
        assert_eq!(
            answer.stderr,
            format!("aistack: note: facter.json: {words}\n")
        );
    }

    // A card more, or less, than the machine has.
    let elsewhere = report("2684", "nvidia").replace("0000:2b:00.0", "0000:2c:00.0");
    fs::write(&file, elsewhere).unwrap();
    let answer = facts_of("nvidia-desktop", dir.path(), &with);
    assert_eq!(answer.stdout, alone.stdout);
    assert_eq!(
        answer.stderr,
        "aistack: note: facter.json: has the card 10de:2684 in slot 0000:2c:00.0, where now none \
         is; the card is left out\naistack: note: facter.json: has no card in slot 0000:2b:00.0, \
         where now 10de:2684 is; the machine's own is used\n"
    );
    // Another machine's report.
    let other = report("2684", "nvidia")
        .replace("x86_64-linux", "aarch64-linux")
        .replace("\"none\"", "\"microsoft\"");
    fs::write(&file, other).unwrap();
    let answer = facts_of("nvidia-desktop", dir.path(), &with);
    assert_eq!(answer.stdout, alone.stdout);
    assert!(
        answer.stderr.contains("has the system \"aarch64-linux\"")
            && answer.stderr.contains("has the virtualisation \"hyperv\""),
        "{}",
        answer.stderr
    );

    // Where no bus can be seen the card is the report's.
    fs::create_dir(dir.path().join("proc")).unwrap();
    for name in ["cpuinfo", "meminfo"] {
        fs::copy(
            machine("nvidia-desktop").join("proc").join(name),
            dir.path().join("proc").join(name),
        )
        .unwrap();
    }
    fs::write(&file, report("2684", "nvidia")).unwrap();
    let answer = facts(dir.path(), &["--root", ".", "--facter", "facter.json"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
    let value: Value = serde_json::from_str(&answer.stdout).unwrap();
    let gpu = &value["gpus"][0];
    assert_eq!(gpu["pciId"], "10de:2684");
    assert_eq!(gpu["name"], "AD102");
    assert_eq!(gpu["architecture"], "ada");
    assert_eq!(value["backend"], "cuda");

    for (content, words) in [
        (None, "cannot read the report facter.json"),
        (Some("{"), "is no report of nixos-facter"),
        (Some(r#"{"schema": 1}"#), "missing field `hardware`"),
    ] {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let answer = facts_of("nvidia-desktop", dir.path(), &with);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
        assert!(answer.stderr.contains(words), "{}", answer.stderr);
        assert!(answer.stderr.contains("nixos-facter"), "{}", answer.stderr);
    }
}

#[test]
fn check_refuses_what_it_cannot_compare() {
    let dir = tempfile::tempdir().unwrap();
    let check = |content: Option<&str>| {
        let file = dir.path().join("facts.json");
        match content {
            Some(content) => fs::write(file, content).unwrap(),
            None => drop(fs::remove_file(file)),
        }
        let answer = facts_of("kvm-vm", dir.path(), &["--check", "facts.json"]);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (2, ""),
            "{}",
            answer.stderr
        );
        answer.stderr
    };
    let nix = facts_of("kvm-vm", dir.path(), &["--nix"]).stdout;
    for (content, expected) in [
        (
            None,
            "cannot read the declared facts facts.json: No such file or directory; write them with `aistack facts -o facts.json`",
        ),
        (
            Some(""),
            "facts.json is not JSON (EOF while parsing a value at line 1 column 0): compare with the JSON form, as `aistack facts -o FILE` writes it",
        ),
        (
            Some(nix.as_str()),
            "facts.json is not JSON (it is Nix text): compare with the JSON form, as `aistack facts -o FILE` writes it",
        ),
        (
            Some("[]"),
            "facts.json holds no facts: it is no JSON object; write them with `aistack facts -o facts.json`",
        ),
        (
            Some(r#"{"cpu": {}}"#),
            "facts.json holds no facts: it has no `schema` number; write them with `aistack facts -o facts.json`",
        ),
        (
            Some(r#"{"schema": 1, "services": {}}"#),
            "facts.json holds no facts: it has none of `cpu`, `memory` and `gpus`; write them with `aistack facts -o facts.json`",
        ),
        (
            Some(r#"{"schema": 2, "cpu": {}}"#),
            "facts.json holds facts of schema 2, this aistack compares schema 1: write them anew with `aistack facts -o facts.json`, or use the aistack that wrote them",
        ),
    ] {
        assert_eq!(check(content), format!("aistack: {expected}\n"));
    }
    assert!(check(Some("\u{0}")).contains("is not JSON"));
}

#[test]
fn notes_go_to_stderr_and_facts_to_stdout() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("proc")).unwrap();
    fs::write(dir.path().join("proc/meminfo"), "MemTotal: 8130440 kB\n").unwrap();
    let answer = facts(dir.path(), &["--root", "."]);
    assert_eq!(answer.code, 0);
    assert!(
        answer
            .stderr
            .starts_with("aistack: note: ./proc/cpuinfo: No such file or directory; "),
        "{}",
        answer.stderr
    );
    assert!(
        answer
            .stderr
            .lines()
            .all(|line| line.starts_with("aistack: note: "))
    );
    let value: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(value["cpu"]["model"], Value::Null);
    assert_eq!(value["memory"]["totalMiB"], 7936);
}

#[test]
fn no_proc_is_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    let answer = facts(dir.path(), &["--root", "."]);
    assert_eq!((answer.code, answer.stdout.as_str()), (2, ""));
    assert_eq!(
        answer.stderr,
        "aistack: cannot read ./proc/cpuinfo (No such file or directory), nor ./proc/meminfo (No \
         such file or directory): mount /proc there, or give with --root the directory that \
         holds proc/ and sys/\n"
    );
    let answer = facts(dir.path(), &["--root", "missing"]);
    assert_eq!(answer.code, 2);
    assert_eq!(
        answer.stderr,
        "aistack: cannot open missing as the root directory to read from: No such file or \
         directory; give a directory that holds proc/ and sys/\n"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = std::process::Command::new(assert_cmd::cargo::cargo_bin("aistack"))
        .arg("facts")
        .arg("--root")
        .arg(machine("kvm-vm"))
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0));
}
