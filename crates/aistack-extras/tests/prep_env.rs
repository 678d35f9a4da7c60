//! The `.env`: what is there stays as it is, byte for byte.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use aistack_extras::prep::Plan;
use aistack_extras::prep::env::{Merge, plan as merge};
use aistack_extras::prep::plan::{Environment, Gpu};
use aistack_schema::Scope;
use proptest::prelude::*;
use tempfile::TempDir;

fn plan(home: &Path) -> Plan {
    let environment = Environment {
        home: Some(home.to_owned()),
        ..Environment::default()
    };
    Plan::usual(Scope::User, &environment).unwrap()
}

fn card() -> Vec<Gpu> {
    vec![Gpu {
        slot: "0000:01:00.0".to_owned(),
        vendor: "nvidia".to_owned(),
        vram_mib: Some(24_564),
    }]
}

/// A home with an `.env`, and what a merge into it does.
fn with(text: &str) -> (TempDir, PathBuf, Result<Merge, String>) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(".env");
    fs::write(&path, text).unwrap();
    let merged = merge(&plan(home.path()), &card(), &path).map_err(|error| error.to_string());
    (home, path, merged)
}

#[test]
fn comments_order_unknown_keys_and_the_users_values_stay() {
    let text = "# mine\nZ=1\n\nVLLM_MODEL=mine/model # why\nexport A='x # y'\nREDIS_DATA_DIR=\n#POSTGRES_DATA_DIR=/x";
    let (home, path, merged) = with(text);
    let merged = merged.unwrap();
    merged.write().unwrap();
    let after = fs::read_to_string(&path).unwrap();
    assert!(
        after.starts_with(&format!("{text}\n\n# Added by")),
        "{after}"
    );
    assert_eq!(
        merged.added,
        [
            "POSTGRES_DATA_DIR",
            "QDRANT_DATA_DIR",
            "VLLM_MODELS_DIR",
            "VLLM_GPU_MEM",
            "VLLM_MAX_LEN"
        ]
    );
    assert_eq!(merged.kept, ["REDIS_DATA_DIR", "VLLM_MODEL"]);
    let again = merge(&plan(home.path()), &card(), &path).unwrap();
    assert!(!again.changes() && again.diff().is_empty());
}

#[test]
fn a_value_over_several_lines_hides_no_keys_and_invents_none() {
    let (_home, _, merged) = with("A=\"one\nVLLM_MODEL=x\nthree\"\nVLLM_MAX_LEN=1\n");
    let merged = merged.unwrap();
    assert!(merged.added.contains(&"VLLM_MODEL"));
    assert_eq!(merged.kept, ["VLLM_MAX_LEN"]);
}

#[test]
fn what_is_odd_is_refused_and_nothing_changes() {
    for (text, words) in [
        ("A=1\r\nB=2\r\n", &["CRLF", "line 1"][..]),
        ("A=1\nB=2\nexport A=3\n", &["A in line 1", "line 3"]),
        ("A=1\nwhat is this\n", &["line 2"]),
        ("A=1\nB='open\nC=2\n", &["line 2", "never closed"]),
        ("=1\n", &["line 1"]),
    ] {
        let (_home, path, merged) = with(text);
        let error = merged.unwrap_err();
        for word in words {
            assert!(error.contains(word), "{text:?}: {error}");
        }
        assert!(error.contains("nothing was changed"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    let (home, path, _) = with("");
    fs::write(&path, b"A=\xff\n").unwrap();
    let error = merge(&plan(home.path()), &card(), &path).unwrap_err();
    assert!(error.to_string().contains("UTF-8"));
}

#[test]
fn odd_folders_are_quoted_or_refused() {
    for (name, written) in [
        ("a b", Some("'a b/")),
        ("a#$b", Some("'a#$b/")),
        ("ä", Some("'ä/")),
        ("plain-1.2", Some("plain-1.2/")),
        ("it's", None),
        ("back\\slash", None),
        ("new\nline", None),
    ] {
        let home = tempfile::tempdir().unwrap();
        let mut plan = plan(home.path());
        plan.data_root = PathBuf::from("/").join(name);
        let merged = merge(&plan, &[], &home.path().join(".env"));
        match written {
            Some(text) => {
                let wanted = text.replacen(name, &format!("/{name}"), 1);
                let after = merged.unwrap().after;
                assert!(
                    after.contains(&format!("POSTGRES_DATA_DIR={wanted}")),
                    "{after}"
                );
            }
            None => assert!(
                merged
                    .unwrap_err()
                    .to_string()
                    .contains("POSTGRES_DATA_DIR"),
                "{name:?}"
            ),
        }
    }
}

#[test]
fn a_link_is_followed_within_what_is_declared_only() {
    let home = tempfile::tempdir().unwrap();
    let plan = plan(home.path());
    fs::create_dir_all(&plan.config_root).unwrap();
    fs::create_dir_all(&plan.expected_location).unwrap();
    let path = plan.config_root.join(".env");
    let inside = plan.expected_location.join(".env");
    fs::write(&inside, "A=1\n").unwrap();
    std::os::unix::fs::symlink(&inside, &path).unwrap();
    merge(&plan, &[], &path).unwrap().write().unwrap();
    assert!(path.is_symlink());
    assert!(fs::read_to_string(&inside).unwrap().contains("QDRANT"));

    let outside = home.path().join("other");
    fs::write(&outside, "A=1\n").unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    let error = merge(&plan, &[], &path).unwrap_err().to_string();
    assert!(error.contains("link"), "{error}");
    assert_eq!(fs::read_to_string(&outside).unwrap(), "A=1\n");
}

#[test]
fn the_difference_is_what_patch_understands() {
    for text in [
        "",
        "A=1\n",
        "A=1\nB=2\nC=3\nD=4\nE=5",
        "A=1\nB=2\nC=3\nD=4\n",
    ] {
        let (home, path, merged) = with(text);
        let merged = merged.unwrap();
        let diff = home.path().join("diff");
        fs::write(&diff, merged.diff()).unwrap();
        let Ok(done) = std::process::Command::new("patch")
            .arg(&path)
            .arg(&diff)
            .output()
        else {
            eprintln!("\nSKIP no patch(1) here");
            return;
        };
        assert!(done.status.success(), "{done:?}\n{}", merged.diff());
        assert_eq!(fs::read_to_string(&path).unwrap(), merged.after);
    }
}

proptest! {
    #[test]
    fn whatever_is_there_is_a_prefix_of_what_comes(text in "([A-Z]{0,3}=?[ a-z'\"#\\\\$=]{0,6}\n?){0,8}") {
        let (_home, _, merged) = with(&text);
        if let Ok(merged) = merged {
            prop_assert!(merged.after.starts_with(&text));
            prop_assert_eq!(merged.after.matches("\nVLLM_MODEL=").count(), 1);
        }
    }
}
