//! The contracts of the project: each image of the lock has one, and all follow the schema.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aistack_provision::images::{Config, Contract, Contracts, Lock};
use serde_json::{Value, json};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path)
}

fn document(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn schema() -> jsonschema::Validator {
    jsonschema::options()
        .build(&document(&repository("schemas/image-contract.schema.json")))
        .unwrap()
}

fn contracts() -> BTreeMap<String, PathBuf> {
    fs::read_dir(repository("pkgs/contracts"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                path.clone(),
            )
        })
        .collect()
}

fn contract(name: &str) -> Contract {
    Contract::read(&contracts()[name]).unwrap()
}

#[test]
fn every_contract_follows_the_schema_and_is_read_and_written_unchanged() {
    let schema = schema();
    let all = contracts();
    assert!(all.len() > 15, "{}", all.len());
    for (name, path) in all {
        let text = fs::read_to_string(&path).unwrap();
        let errors: Vec<String> = schema
            .iter_errors(&document(&path))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let again = serde_json::to_string_pretty(&Contract::read(&path).unwrap()).unwrap();
        assert_eq!(again + "\n", text, "{name}");
    }
}

#[test]
fn the_contracts_that_are_compiled_in_are_those_of_the_folder() {
    assert_eq!(
        Contracts::compiled().unwrap(),
        Contracts::read(&repository("pkgs/contracts")).unwrap()
    );
}

#[test]
fn schema_and_types_refuse_the_same_mistakes() {
    let schema = schema();
    let good = document(&contracts()["redis"]);
    let wrong: [(&str, Value); 7] = [
        ("pid1", json!({ "pid1": "never", "exit": 0, "note": "x" })),
        ("sigterm", json!({ "pid1": "handled" })),
        ("programs", json!("bash")),
        ("folders", json!({ "/data": { "uid": 0, "gid": 0 } })),
        ("user", json!({ "set": "", "uid": -1, "gid": 0 })),
        ("stopSeconds", json!("long")),
        ("listens", json!([70000])),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.json");
    for (field, value) in wrong {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(!schema.is_valid(&bad), "the schema takes {field}");
        fs::write(&path, bad.to_string()).unwrap();
        assert!(Contract::read(&path).is_err(), "the types take {field}");
    }
}

#[test]
fn every_image_of_the_lock_has_a_contract_for_its_repository_and_version() {
    let lock = Lock::read(&repository("pkgs/images.json")).unwrap();
    for (name, entry) in lock.entries() {
        let key = entry.contract.as_deref().unwrap_or(name);
        assert!(
            contracts().contains_key(key),
            "{name}: no contract pkgs/contracts/{key}.json"
        );
        let contract = contract(key);
        assert_eq!(
            contract.image.as_deref(),
            Some(entry.name.as_str()),
            "{name}"
        );
        // `server-cuda-b11206` is of the version b11206.
        let version = contract.version.unwrap();
        if let Some(tag) = &entry.tag
            && key != "llama-cpp"
        {
            assert!(
                tag.starts_with(&version),
                "{name}: the contract {key} is for {version}, and the lock has {tag}: read the new version's sources"
            );
        }
    }
}

#[test]
fn the_registrys_configuration_is_compared_with_what_is_known() {
    let contract = contract("prometheus");
    let same = json!({
        "User": "nobody", "Entrypoint": ["/bin/prometheus"],
        "Cmd": ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
        "WorkingDir": "/prometheus", "ExposedPorts": { "9090/tcp": {} }, "Volumes": { "/prometheus": {} },
        "Env": ["PATH=/bin"],
    });
    let config = |value: &Value| serde_json::from_value::<Config>(value.clone()).unwrap();
    assert_eq!(contract.compare(&config(&same)), []);
    for (field, value, seen) in [
        ("User", json!("root"), "User"),
        ("Entrypoint", json!(["/prometheus"]), "Entrypoint"),
        ("Cmd", Value::Null, "Cmd"),
        ("WorkingDir", json!(""), "WorkingDir"),
        ("ExposedPorts", json!({}), "ExposedPorts"),
        ("Volumes", Value::Null, "Volumes"),
        ("StopSignal", json!("SIGINT"), "StopSignal"),
    ] {
        let mut other = same.clone();
        other[field] = value;
        let differences = contract.compare(&config(&other));
        assert_eq!(differences.len(), 1, "{field}: {differences:?}");
        assert_eq!(differences[0].field, seen);
    }
    // What the contract does not know is not compared.
    let loose = self::contract("vllm-rocm");
    assert!(
        loose
            .compare(&config(
                &json!({ "Cmd": ["bash"], "WorkingDir": "/x", "ExposedPorts": { "1/tcp": {} } })
            ))
            .is_empty()
    );
}
