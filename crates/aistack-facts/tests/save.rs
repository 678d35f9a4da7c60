//! Writing facts: all or nothing, and never over something else.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use aistack_facts::{SaveError, Saved, nix, save};

const OLD: &str = r#"{"schema": 0, "cpu": {}}"#;
const NEW: &str = "{\n  \"schema\": 1,\n  \"cpu\": {}\n}\n";

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_new_file_is_written_once() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("facts.json");
    assert_eq!(save(&file, NEW, false).unwrap(), Saved::Written);
    assert_eq!(fs::read_to_string(&file).unwrap(), NEW);
    let made = fs::metadata(&file).unwrap();
    assert_eq!(made.permissions().mode() & 0o600, 0o600);

    assert_eq!(save(&file, NEW, false).unwrap(), Saved::Unchanged);
    assert_eq!(
        fs::metadata(&file).unwrap().modified().unwrap(),
        made.modified().unwrap()
    );
    assert_eq!(names(dir.path()), ["facts.json"], "no temporary file stays");
}

#[test]
fn facts_are_replaced_and_keep_their_mode() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("facts.json");
    for old in [OLD, "", " \n", &format!("{}\n{{ }}\n", nix::HEADER)] {
        fs::write(&file, old).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(save(&file, NEW, false).unwrap(), Saved::Written, "{old:?}");
        assert_eq!(fs::read_to_string(&file).unwrap(), NEW);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }
}

#[test]
fn anything_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("precious");
    for precious in [
        "hello",
        "{}",
        "[1]",
        r#"{"schema": 1}"#,
        "{ pkgs, ... }: { }",
        "\u{0}",
    ] {
        fs::write(&file, precious).unwrap();
        let error = save(&file, NEW, false).unwrap_err();
        assert!(matches!(error, SaveError::NotFacts { .. }), "{precious:?}");
        assert!(error.to_string().contains("--force"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), precious);
    }
    assert_eq!(save(&file, NEW, true).unwrap(), Saved::Written);
    assert_eq!(fs::read_to_string(&file).unwrap(), NEW);
    assert_eq!(names(dir.path()), ["precious"]);
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("target");
    let link = dir.path().join("link");
    symlink("target", &link).unwrap();
    let error = save(&link, NEW, true).unwrap_err();
    assert!(error.to_string().contains("leads nowhere"), "{error}");

    fs::write(&target, OLD).unwrap();
    assert_eq!(save(&link, NEW, false).unwrap(), Saved::Written);
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), NEW);
}

#[test]
fn what_is_no_file_is_refused_even_by_force() {
    let dir = tempfile::tempdir().unwrap();
    let error = save(dir.path(), NEW, true).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
    let error = save(Path::new("/dev/null"), NEW, true).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
    assert!(!Path::new("/dev/null").is_file());
}

#[test]
fn a_missing_directory_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = save(&dir.path().join("no/facts.json"), NEW, false)
        .unwrap_err()
        .to_string();
    let parent = dir.path().join("no");
    assert_eq!(
        error,
        format!(
            "cannot make a file in {}: No such file or directory; nothing was written",
            parent.display()
        )
    );
    assert_eq!(names(dir.path()), [] as [&str; 0]);
}
