//! Facts of whole machines, from the trees in `tests/fixtures`.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use aistack_facts::{Facts, drift, read};
use serde_json::Value;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn machines() -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(fixtures())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn facts_of(machine: &str) -> Facts {
    let reading = read(&fixtures().join(machine)).unwrap();
    assert_eq!(reading.notes, [], "{machine} reads without a note");
    reading.facts
}

macro_rules! snapshots {
    ($($test:ident = $machine:literal;)*) => {
        $(
            #[test]
            fn $test() {
                insta::assert_snapshot!($machine, facts_of($machine).to_json());
            }
        )*

        #[test]
        fn every_fixture_has_its_snapshot() {
            assert_eq!(machines(), [$($machine),*]);
        }
    };
}

snapshots! {
    amd_desktop = "amd-desktop";
    arm_board = "arm-board";
    firecracker_vm = "firecracker-vm";
    h100_server = "h100-server";
    hybrid_amd_nvidia = "hybrid-amd-nvidia";
    hybrid_intel_nvidia = "hybrid-intel-nvidia";
    hyperv_vm = "hyperv-vm";
    instinct_server = "instinct-server";
    intel_arc = "intel-arc";
    intel_arc_i915 = "intel-arc-i915";
    kvm_vm = "kvm-vm";
    matrox_server = "matrox-server";
    nvidia_desktop = "nvidia-desktop";
    pascal_desktop = "pascal-desktop";
    qxl_vm = "qxl-vm";
    rdna2_desktop = "rdna2-desktop";
    vmware_vm = "vmware-vm";
}

#[test]
fn the_facts_of_the_example_hosts_are_those_of_the_fixtures() {
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hosts");
    let from = [
        ("gpu-amd", "amd-desktop"),
        ("gpu-intel", "intel-arc"),
        ("gpu-nvidia", "nvidia-desktop"),
        ("workstation", "firecracker-vm"),
    ];
    for (host, machine) in from {
        let file = hosts.join(host).join("facts.json");
        assert_eq!(
            fs::read_to_string(file).unwrap(),
            facts_of(machine).to_json(),
            "hosts/{host}/facts.json is what the tool prints for {machine}"
        );
    }
    // None that this doesn't know.
    let with_facts: BTreeSet<String> = fs::read_dir(hosts)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("facts.json").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(with_facts, from.map(|(host, _)| host.to_owned()).into());
}

fn schema() -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/facts.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn facts_keep_their_schema() {
    let schema = schema();
    for machine in machines() {
        let value = serde_json::to_value(facts_of(&machine)).unwrap();
        let errors: Vec<String> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
        assert_eq!(errors, [] as [&str; 0], "{machine}");
    }
    let here = read(Path::new("/")).unwrap().facts;
    let value = serde_json::to_value(here).unwrap();
    let errors: Vec<String> = schema.iter_errors(&value).map(|e| e.to_string()).collect();
    assert_eq!(errors, [] as [&str; 0], "this machine");
}

#[test]
fn the_schema_refuses_what_facts_are_not() {
    let schema = schema();
    let good = serde_json::to_value(facts_of("nvidia-desktop")).unwrap();
    assert!(schema.is_valid(&good));
    let refused = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        assert!(!schema.is_valid(&bad), "{pointer}");
    };
    refused("/schema", 2.into());
    refused("/system", "riscv64-linux".into());
    refused("/memory/totalMiB", 32_001.into());
    refused("/gpus/0/slot", "01:00.0".into());
    refused("/gpus/0/class", "0604".into());
    refused("/gpus/0/backend", "metal".into());
    refused("/primary", 0.into());
    refused("/primary/slot", "gpu0".into());
    refused("/gpus/0/openKernelModule", Value::Null);
    refused("/gpus/0/driverBranch", "legacy_1".into());
    refused("/gpus/0/vramMiB", 24.into());
    refused("/gpus/0/vendor", "amd".into());
    refused("/virtualisation", "container-".into());
    refused("/cgroupVersion", 3.into());
    for key in good.as_object().unwrap().keys() {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(key);
        assert!(!schema.is_valid(&bad), "without {key}");
    }
}

#[test]
fn facts_are_read_back_as_they_were() {
    for machine in machines() {
        let facts = facts_of(&machine);
        let again: Facts = serde_json::from_str(&facts.to_json()).unwrap();
        assert_eq!(again, facts, "{machine}");
    }
}

#[test]
fn no_machine_drifts_from_itself_and_each_from_every_other() {
    for one in machines() {
        let declared = serde_json::to_value(facts_of(&one)).unwrap();
        for other in machines() {
            let differences = drift(&declared, &facts_of(&other));
            assert_eq!(differences.is_empty(), one == other, "{one}, {other}");
        }
    }
}

/// The facts that the examples lie beside are those of a fixture, so that they
/// are always what this version writes.
#[test]
fn committed_facts_are_what_their_machine_prints() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (file, machine) in [
        ("hosts/workstation", "firecracker-vm"),
        ("templates/workstation", "firecracker-vm"),
        ("templates/home", "firecracker-vm"),
        ("hosts/gpu-nvidia", "nvidia-desktop"),
        ("hosts/gpu-amd", "amd-desktop"),
        ("hosts/gpu-intel", "intel-arc"),
    ] {
        let path = root.join(file).join("facts.json");
        let committed = fs::read_to_string(&path).unwrap();
        assert_eq!(
            committed,
            facts_of(machine).to_json(),
            "{file}/facts.json: write it anew with `aistack facts --root \
             crates/aistack-facts/tests/fixtures/{machine} -o {file}/facts.json`"
        );
    }
}

#[test]
fn processors_are_counted_the_same_without_sysfs() {
    for machine in [
        "nvidia-desktop",
        "hybrid-intel-nvidia",
        "h100-server",
        "firecracker-vm",
    ] {
        let with = facts_of(machine).cpu;
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        let cpuinfo = fixtures().join(machine).join("proc/cpuinfo");
        fs::copy(cpuinfo, root.path().join("proc/cpuinfo")).unwrap();
        let without = read(root.path()).unwrap().facts.cpu;
        assert_eq!(
            (without.sockets, without.cores, without.threads),
            (with.sockets, with.cores, with.threads),
            "{machine}"
        );
        assert!(with.threads >= with.cores && with.cores >= with.sockets);
    }
}

#[test]
fn no_fixture_holds_what_identifies_a_machine() {
    fn files(dir: &Path, out: &mut BTreeSet<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                files(&path, out);
            } else {
                out.insert(path);
            }
        }
    }
    let mut all = BTreeSet::new();
    files(&fixtures(), &mut all);
    assert!(all.len() > 100);
    for path in all {
        let name = path.file_name().unwrap().to_string_lossy();
        for word in [
            "serial",
            "uuid",
            "address",
            "machine-id",
            "boot_id",
            "hostname",
        ] {
            assert!(!name.contains(word), "{}", path.display());
        }
    }
}
