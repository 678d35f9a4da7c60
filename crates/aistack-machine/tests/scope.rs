//! What rootless containers need, in trees made for each case.
#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use aistack_machine::scope::{ScopeError, UserScope};
use tempfile::TempDir;

fn tree(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = root.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        if path.contains("bin/") || path.contains("libexec/") {
            fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
        }
    }
    root
}

fn scope(root: &TempDir) -> UserScope<'_> {
    UserScope {
        root: root.path(),
        user: "ai",
        uid: 1000,
        path: Some(OsStr::new("/opt/bin")),
        runtime_dir: None,
        home: Some(Path::new("/home/ai")),
    }
}

#[test]
fn lingering() {
    let with = tree(&[("var/lib/systemd/linger/ai", "")]);
    assert!(scope(&with).linger().is_ok());
    let without = tree(&[("var/lib/systemd/linger/other", "")]);
    let error = scope(&without).linger().unwrap_err();
    assert!(error.to_string().contains("/var/lib/systemd/linger/ai"));
}

#[test]
fn subordinate_ids() {
    for (text, count) in [
        ("ai:100000:65536\n", Ok(65_536)),
        ("1000:100000:65536", Ok(65_536)),
        ("other:1:65536\nai:100000:131072\n", Ok(131_072)),
        // Two ranges count together, broken lines not at all.
        (
            "ai:100000:40000\nai:200000:40000\nai:x:70000\nai\n\n",
            Ok(80_000),
        ),
        ("ai:100000:65535\n", Err(65_535)),
        ("aid:100000:65536\n", Err(0)),
        ("", Err(0)),
        // Adding up must not overflow.
        (
            "ai:1:18446744073709551615\nai:1:18446744073709551615\n",
            Ok(u64::MAX),
        ),
    ] {
        let root = tree(&[("etc/subuid", text)]);
        let seen = scope(&root)
            .subordinate_ids("subuid")
            .map_err(|error| match error {
                ScopeError::FewIds { count, .. } => count,
                other => unreachable!("{other}"),
            });
        assert_eq!(seen, count, "{text:?}");
    }
    let root = tree(&[]);
    let error = scope(&root).subordinate_ids("subgid").unwrap_err();
    assert!(error.to_string().starts_with("/etc/subgid gives ai 0"));
}

#[test]
fn a_table_of_ids_that_cannot_be_read_is_no_empty_one() {
    let root = tree(&[("etc/subuid/folder", "")]);
    let error = scope(&root).subordinate_ids("subuid").unwrap_err();
    assert!(matches!(error, ScopeError::Unreadable { .. }), "{error:?}");
}

#[test]
fn programs() {
    let found = |files: &[(&str, &str)], program| {
        let root = tree(files);
        let path = scope(&root).program(program).ok()?;
        Some(PathBuf::from("/").join(path.strip_prefix(root.path()).unwrap()))
    };
    let at = |path: &str| Some(PathBuf::from(path));
    assert_eq!(found(&[], "pasta"), None);
    assert_eq!(
        found(&[("run/wrappers/bin/newuidmap", "")], "newuidmap"),
        at("/run/wrappers/bin/newuidmap")
    );
    assert_eq!(
        found(
            &[("opt/bin/newuidmap", ""), ("usr/bin/newuidmap", "")],
            "newuidmap"
        ),
        at("/opt/bin/newuidmap")
    );
    assert_eq!(
        found(&[("home/ai/.nix-profile/bin/pasta", "")], "pasta"),
        at("/home/ai/.nix-profile/bin/pasta")
    );
    assert_eq!(
        found(&[("etc/profiles/per-user/ai/bin/pasta", "")], "pasta"),
        at("/etc/profiles/per-user/ai/bin/pasta")
    );
}

#[test]
fn pasta_among_the_helpers_of_a_podman_package() {
    let root = tree(&[
        ("nix/store/podman/bin/podman", ""),
        ("nix/store/podman/libexec/podman/pasta", ""),
    ]);
    assert!(scope(&root).program("pasta").is_err());
    let profile = root.path().join("run/current-system/sw/bin");
    fs::create_dir_all(&profile).unwrap();
    symlink(
        root.path().join("nix/store/podman/bin/podman"),
        profile.join("podman"),
    )
    .unwrap();
    let path = scope(&root).program("pasta").unwrap();
    assert!(path.ends_with("nix/store/podman/libexec/podman/pasta"));
}

#[test]
fn the_runtime_directory() {
    let root = tree(&[("run/user/1000/bus", ""), ("srv/run/bus", "")]);
    let ask = |variable: Option<&str>| {
        let mut scope = scope(&root);
        let path = variable.map(PathBuf::from);
        scope.runtime_dir = path.as_deref();
        scope.runtime_directory().ok()
    };
    assert_eq!(ask(None), Some("/run/user/1000".into()));
    assert_eq!(ask(Some("/srv/run")), Some("/srv/run".into()));
    assert_eq!(ask(Some("/gone")), None);
    assert_eq!(ask(Some("")), Some("/run/user/1000".into()));
}
