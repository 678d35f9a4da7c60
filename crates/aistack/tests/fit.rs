//! `aistack fit` as its users meet it.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::fs::{self, File};
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

/// What the command answered.
#[derive(Debug)]
struct Answer {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs `aistack fit` in a directory.
fn fit(dir: &Path, args: &[&str]) -> Answer {
    let output = Command::cargo_bin("aistack")
        .unwrap()
        .arg("fit")
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

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A model of 8 layers, 1024 wide, 16 heads over 4 of `head` values; its weights are a
/// hole of 10 GiB in the file.
fn model(dir: &Path, name: &str, head: u32) {
    let numbers = [
        ("block_count", 8),
        ("context_length", 32_768),
        ("embedding_length", 1024),
        ("feed_forward_length", 2816),
        ("vocab_size", 32_000),
        ("attention.head_count", 16),
        ("attention.head_count_kv", 4),
        ("attention.key_length", head),
        ("attention.value_length", head),
    ];
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend((numbers.len() as u64 + 1).to_le_bytes());
    text(&mut bytes, "general.architecture");
    bytes.extend(8_u32.to_le_bytes());
    text(&mut bytes, "llama");
    for (key, number) in numbers {
        text(&mut bytes, &format!("llama.{key}"));
        bytes.extend(4_u32.to_le_bytes());
        bytes.extend(number.to_le_bytes());
    }
    text(&mut bytes, "blk.0.ffn_up.weight");
    bytes.extend(2_u32.to_le_bytes());
    bytes.extend(1024_u64.to_le_bytes());
    bytes.extend((10_u64 << 20).to_le_bytes());
    bytes.extend(24_u32.to_le_bytes()); // i8
    bytes.extend(0_u64.to_le_bytes());
    let length = (bytes.len() as u64).next_multiple_of(32) + (10 << 30);
    fs::write(dir.join(name), bytes).unwrap();
    let file = File::options().write(true).open(dir.join(name)).unwrap();
    file.set_len(length).unwrap();
}

/// Facts of a machine with so much memory, and a GPU.
fn facts(dir: &Path, name: &str, total: Option<u64>, gpu: Option<&Value>) {
    let other = json!({ "slot": "0000:00:02.0", "pciId": "8086:a780", "vramMiB": 1 });
    let facts = json!({
        "schema": 1,
        "memory": { "totalMiB": total },
        "gpus": gpu.map_or(vec![], |gpu| vec![&other, gpu]),
        "primaryGpu": gpu.map(|_| "0000:01:00.0"),
    });
    fs::write(dir.join(name), facts.to_string()).unwrap();
}

fn card(vram: Option<u64>, integrated: bool) -> Value {
    json!({
        "slot": "0000:01:00.0",
        "pciId": "10de:2684",
        "name": "GeForce RTX 4090",
        "integrated": integrated,
        "vramMiB": vram,
    })
}

/// A folder with models and facts.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path());
    dir
}

fn fill(dir: &Path) {
    model(dir, "model.gguf", 64);
    model(dir, "odd.gguf", 80);
    facts(dir, "server.json", Some(65_536), None);
    facts(dir, "laptop.json", Some(8192), None);
    facts(dir, "nothing.json", None, None);
    for (name, total, vram, integrated) in [
        ("card.json", 8192, Some(24_564), false),
        ("small-card.json", 65_536, Some(10_900), false),
        ("unknown-card.json", 8192, None, false),
        ("shared.json", 32_768, Some(512), true),
    ] {
        facts(dir, name, Some(total), Some(&card(vram, integrated)));
    }
}

/// Cases as a terminal shows them, in `tests/fit/fit.trycmd`: run in `fit.in` beside
/// a copy, since models of gigabytes are made, not kept.
#[test]
fn sessions() {
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("fit.trycmd");
    fs::copy("tests/fit/fit.trycmd", &cases).unwrap();
    fs::create_dir(dir.path().join("fit.in")).unwrap();
    fill(&dir.path().join("fit.in"));
    trycmd::TestCases::new().case(cases).run();
    if std::env::var_os("TRYCMD").is_some() {
        fs::copy(dir.path().join("fit.trycmd"), "tests/fit/fit.trycmd").unwrap();
    }
}

#[test]
fn the_json_is_the_shape_as_its_schema_says_and_the_answer() {
    let dir = folder();
    let answer = fit(
        dir.path(),
        &["model.gguf", "--json", "--facts", "laptop.json"],
    );
    assert_eq!((answer.code, answer.stderr.as_str()), (1, ""));
    let value: Value = serde_json::from_str(&answer.stdout).unwrap();
    let schema = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/model-shape.schema.json"
    );
    let schema = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(value["weightsMiB"], 10_240);
    assert_eq!(value["kvElementsPerTokenK"], 2048);
    assert_eq!(value["fit"]["fits"], false);
    assert_eq!(value["fit"]["largestContext"], Value::Null);
    assert_eq!(value["fit"]["machine"]["availableMiB"], 8192 - 1024);
    let needs = &value["fit"]["needs"];
    assert_eq!(needs["totalMiB"], 10_240 + 18 + 8 + 40);
}

#[test]
fn without_facts_it_is_this_machine() {
    let dir = folder();
    let answer = fit(dir.path(), &["model.gguf", "--json"]);
    assert!(answer.code < 2, "{}", answer.stderr);
    let value: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert!(value["fit"]["machine"]["memoryMiB"].as_u64().unwrap() > 0);
}

#[test]
fn hostile_headers_are_one_line_and_exit_code_2() {
    let dir = folder();
    let mut huge = b"GGUF\x03\0\0\0".to_vec();
    huge.extend(u64::MAX.to_le_bytes());
    huge.extend(u64::MAX.to_le_bytes());
    for (name, bytes, seen) in [
        ("empty.gguf", &b""[..], "ends within its header, at byte 0"),
        ("zip.gguf", b"PK\x03\x04", "not a GGUF file: it begins with"),
        (
            "huge.gguf",
            &huge,
            "18446744073709551615, more than the 1048576 that are read",
        ),
        ("cut.gguf", &huge[..12], "ends within its header, at byte 8"),
    ] {
        fs::write(dir.path().join(name), bytes).unwrap();
        let answer = fit(dir.path(), &[name, "--facts", "server.json"]);
        assert_eq!((answer.code, answer.stdout.as_str()), (2, ""), "{name}");
        assert!(answer.stderr.contains(seen), "{name}: {}", answer.stderr);
        assert!(answer.stderr.contains(name), "{}", answer.stderr);
        assert_eq!(answer.stderr.lines().count(), 1, "{}", answer.stderr);
    }
}
