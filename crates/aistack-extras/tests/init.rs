//! The plan of every fixture machine: files that parse, services that fit.
// Helpers of tests may fail as tests do.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};

use aistack_extras::init::{HostName, Kind, Machine, Plan, Request, SourceUrl, UserName, plan};
use aistack_facts::Facts;
use proptest::prelude::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../aistack-facts/tests/fixtures")
}

fn facts(fixture: &str) -> Facts {
    aistack_facts::read(&fixtures().join(fixture))
        .unwrap()
        .facts
}

fn request(kind: Kind) -> Request {
    Request {
        kind,
        host: HostName::new("box").unwrap(),
        user: UserName::new("ann").unwrap(),
        source: SourceUrl::new("github:x/y").unwrap(),
    }
}

fn planned(kind: Kind, facts: &Facts, taken: &dyn Fn(u16) -> bool, model: Option<&str>) -> Plan {
    let machine = Machine {
        facts,
        port_taken: taken,
        hardware_configuration: None,
        model,
    };
    plan(&request(kind), &machine).unwrap()
}

fn free(_: u16) -> bool {
    false
}

fn assert_parses(plan: &Plan) {
    for (path, text) in &plan.files {
        if path.extension().is_some_and(|e| e == "nix") {
            let parsed = rnix::Root::parse(text);
            assert!(
                parsed.errors().is_empty(),
                "{}: {:?}\n{text}",
                path.display(),
                parsed.errors()
            );
        }
    }
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.services.iter().map(|s| s.name.as_str()).collect()
}

fn file<'a>(plan: &'a Plan, name: &str) -> &'a str {
    &plan.files[Path::new(name)]
}

#[test]
fn every_fixture_machine_gets_files_that_parse() {
    let mut seen = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let entry = entry.unwrap();
        if !entry.file_type().unwrap().is_dir() {
            continue;
        }
        let name = entry.file_name().into_string().unwrap();
        let facts = facts(&name);
        for kind in [Kind::Workstation, Kind::Home] {
            assert_parses(&planned(kind, &facts, &free, Some("m.gguf")));
            seen += 1;
        }
    }
    assert!(seen >= 12, "{seen} plans");
}

#[test]
fn the_memory_decides_what_is_on() {
    let mut machine = facts("nvidia-desktop");
    machine.memory.total_mib = Some(4096);
    let small = planned(Kind::Workstation, &machine, &free, None);
    assert_eq!(names(&small), ["ollama", "open-webui"]);
    assert!(file(&small, "stack.nix").contains("maxLoadedModels = 1;"));
    assert!(file(&small, "stack.nix").contains("# qdrant.enable = true;"));

    machine.memory.total_mib = Some(65536);
    let large = planned(Kind::Workstation, &machine, &free, None);
    assert_eq!(
        names(&large),
        ["ollama", "open-webui", "qdrant", "postgres", "redis"]
    );
}

#[test]
fn a_model_that_is_there_turns_llama_cpp_on() {
    let machine = facts("nvidia-desktop");
    let plan = planned(Kind::Workstation, &machine, &free, Some("my $model\".gguf"));
    assert!(names(&plan).contains(&"llama-cpp"));
    assert!(file(&plan, "stack.nix").contains(r#"model = "my \$model\".gguf";"#));
    assert_parses(&plan);
}

#[test]
fn a_taken_port_is_moved_past_those_of_other_services() {
    let machine = facts("nvidia-desktop");
    // Qdrant's two ports are 6333 and 6334; 6335 is taken as well.
    let taken = |p| [6333, 6335].contains(&p);
    let plan = planned(Kind::Workstation, &machine, &taken, None);
    let qdrant = plan.services.iter().find(|s| s.name == "qdrant").unwrap();
    assert_eq!(
        qdrant.ports,
        [("grpc".to_owned(), 6334), ("http".to_owned(), 6336)]
    );
    assert!(file(&plan, "stack.nix").contains("ports.http = 6336; # 6333 was in use"));
    assert!(
        plan.notes
            .iter()
            .any(|n| n.contains("6333") && n.contains("services.aiStack.qdrant.ports.http"))
    );
}

#[test]
fn the_machines_own_values_are_in_the_files() {
    let arm = facts("arm-board");
    let plan = planned(Kind::Workstation, &arm, &free, None);
    assert!(file(&plan, "flake.nix").contains("nixosConfigurations.box"));
    assert!(file(&plan, "flake.nix").contains("url = \"github:x/y\";"));
    assert!(file(&plan, "configuration.nix").contains("users.users.ann"));
    assert!(file(&plan, "configuration.nix").contains("generic-extlinux-compatible"));
    assert!(file(&plan, "hardware-configuration.nix").contains("aarch64-linux"));
    assert!(
        plan.notes
            .iter()
            .any(|n| n.contains("hardware-configuration.nix"))
    );

    let home = planned(Kind::Home, &arm, &free, None);
    assert!(file(&home, "flake.nix").contains("homeConfigurations.ann"));
    assert!(file(&home, "flake.nix").contains("system = \"aarch64-linux\";"));
    assert!(file(&home, "home.nix").contains("homeDirectory = \"/home/ann\";"));
}

#[test]
fn an_nvidia_card_needs_its_drivers_licence_accepted() {
    let with = planned(Kind::Workstation, &facts("nvidia-desktop"), &free, None);
    assert!(file(&with, "configuration.nix").contains("nixpkgs.config.allowUnfree = true;"));
    let without = planned(Kind::Workstation, &facts("amd-desktop"), &free, None);
    assert!(!file(&without, "configuration.nix").contains("allowUnfree"));
}

#[test]
fn the_machines_own_hardware_configuration_is_kept() {
    let facts = facts("nvidia-desktop");
    let machine = Machine {
        facts: &facts,
        port_taken: &free,
        hardware_configuration: Some("{ its = \"own\"; }"),
        model: None,
    };
    let plan = plan(&request(Kind::Workstation), &machine).unwrap();
    assert_eq!(
        file(&plan, "hardware-configuration.nix"),
        "{ its = \"own\"; }"
    );
    assert!(plan.notes.is_empty(), "{:?}", plan.notes);
}

proptest! {
    /// Whatever the processor calls itself, the text is Nix.
    #[test]
    fn any_processor_and_model_name_is_written_safely(cpu in ".*", model in "[^/\0]+") {
        let mut machine = facts("nvidia-desktop");
        machine.cpu.model = Some(cpu);
        assert_parses(&planned(Kind::Workstation, &machine, &free, Some(&model)));
    }

    /// Whatever is taken, no port is given out twice.
    #[test]
    fn no_port_twice(taken in proptest::collection::btree_set(5000u16..12000, 0..200)) {
        let machine = facts("nvidia-desktop");
        let plan = planned(Kind::Workstation, &machine, &|p| taken.contains(&p), None);
        let mut ports: Vec<u16> = plan.services.iter().flat_map(|s| s.ports.iter().map(|(_, p)| *p)).collect();
        prop_assert!(ports.iter().all(|p| !taken.contains(p)));
        let all = ports.len();
        ports.sort_unstable();
        ports.dedup();
        prop_assert_eq!(ports.len(), all);
    }
}
