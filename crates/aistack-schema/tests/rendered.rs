//! What the Nix side renders is what the schema says and what this crate reads.
#![allow(missing_docs, clippy::tests_outside_test_module)]

use std::fs;
use std::path::{Path, PathBuf};

use aistack_schema::Stack;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_rendered_stack_fits_schema_and_model() {
    let schema = fs::read_to_string(repository().join("schemas/stack.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(repository().join("tests/rendered")).unwrap() {
        let path = entry.unwrap().path().join("stack.json");
        let text = fs::read_to_string(&path).unwrap();
        let value = serde_json::from_str(&text).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{}: {errors:#?}", path.display());
        let stack = Stack::load(&path).unwrap();
        assert!(!stack.services.is_empty(), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "{seen} snapshots");
}
