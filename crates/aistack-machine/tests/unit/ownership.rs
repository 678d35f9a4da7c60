use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use super::*;

const TO: IdRange = IdRange {
    start: 1_879_048_192,
    size: 65_536,
};
const UP: Move = Move {
    from: None,
    to: Some(TO),
};

/// Only root can give files away: elsewhere these tests have nothing to look at.
fn as_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("SKIP taking data over needs root");
    }
    root
}

/// A folder below folders that only root can change; `/tmp` is sticky.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn owner(path: &Path) -> (u32, u32) {
    let seen = path.symlink_metadata().unwrap();
    (seen.uid(), seen.gid())
}

fn give(path: &Path, uid: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
}

#[test]
fn ids_move_once_and_back() {
    assert_eq!(UP.id(0), TO.start);
    assert_eq!(UP.id(1000), TO.start + 1000);
    assert_eq!(UP.id(UP.id(1000)), TO.start + 1000);
    // Neither the host's nor the range's.
    assert_eq!(UP.id(200_000), 200_000);
    let other = IdRange {
        start: 300_000,
        size: 65_536,
    };
    let across = Move {
        from: Some(TO),
        to: Some(other),
    };
    assert_eq!(across.id(TO.start + 7), 300_007);
    let back = Move {
        from: Some(TO),
        to: None,
    };
    assert_eq!(back.id(TO.start + 1000), 1000);
    assert_eq!(back.id(1000), 1000);
}

#[test]
fn a_tree_is_moved_and_a_second_time_nothing() {
    if !as_root() {
        return;
    }
    let dir = folder();
    let data = dir.path().join("data");
    fs::create_dir_all(data.join("base/1")).unwrap();
    fs::write(data.join("base/1/table"), "rows").unwrap();
    give(&data.join("base/1/table"), 1000);
    fs::hard_link(data.join("base/1/table"), data.join("again")).unwrap();
    assert!(differs(&data, UP).unwrap());
    // Two folders in it, the file once though it has two names, and the folder itself.
    assert_eq!(move_ids(&data, UP).unwrap(), 4);
    assert_eq!(owner(&data), (TO.start, TO.start));
    assert_eq!(
        owner(&data.join("base/1/table")),
        (TO.start + 1000, TO.start + 1000)
    );
    assert!(!differs(&data, UP).unwrap());
    assert_eq!(move_ids(&data, UP).unwrap(), 0);
}

#[test]
fn what_was_interrupted_is_brought_to_its_end() {
    if !as_root() {
        return;
    }
    let dir = folder();
    let data = dir.path().join("data");
    fs::create_dir_all(&data).unwrap();
    for (name, uid) in [("done", TO.start + 999), ("open", 999)] {
        fs::write(data.join(name), "").unwrap();
        give(&data.join(name), uid);
    }
    assert_eq!(move_ids(&data, UP).unwrap(), 2);
    for name in ["done", "open"] {
        assert_eq!(owner(&data.join(name)).0, TO.start + 999, "{name}");
    }
}

#[test]
fn a_link_is_not_followed() {
    if !as_root() {
        return;
    }
    let dir = folder();
    let (data, outside) = (dir.path().join("data"), dir.path().join("outside"));
    fs::create_dir_all(&data).unwrap();
    fs::create_dir_all(outside.join("folder")).unwrap();
    fs::write(outside.join("shadow"), "").unwrap();
    symlink(outside.join("shadow"), data.join("file")).unwrap();
    symlink(outside.join("folder"), data.join("folder")).unwrap();
    move_ids(&data, UP).unwrap();
    assert_eq!(owner(&data.join("file")).0, TO.start);
    for name in ["shadow", "folder"] {
        assert_eq!(owner(&outside.join(name)), (0, 0), "{name}");
    }
}

#[test]
fn a_file_with_a_name_outside_is_left() {
    if !as_root() {
        return;
    }
    let dir = folder();
    let (data, outside) = (dir.path().join("data"), dir.path().join("shadow"));
    fs::create_dir_all(&data).unwrap();
    fs::write(&outside, "").unwrap();
    fs::hard_link(&outside, data.join("mine")).unwrap();
    let error = move_ids(&data, UP).unwrap_err().to_string();
    assert!(error.contains("mine has 2 names, of which 1"), "{error}");
    assert_eq!(owner(&outside), (0, 0));
}

#[test]
fn a_folder_that_another_account_can_swap_is_refused() {
    if !as_root() {
        return;
    }
    let dir = folder();
    let (theirs, target) = (dir.path().join("theirs"), dir.path().join("target"));
    fs::create_dir_all(&theirs).unwrap();
    fs::create_dir_all(&target).unwrap();
    symlink(&target, theirs.join("data")).unwrap();
    give(&theirs, 1000);
    for path in [theirs.join("data"), theirs.join("data/inner")] {
        let error = move_ids(&path, UP).unwrap_err().to_string();
        assert!(error.contains("belongs to user id 1000"), "{error}");
    }
    assert_eq!(owner(&target), (0, 0));
    // The last step is no link, even where only root could have made it.
    symlink(&target, dir.path().join("link")).unwrap();
    move_ids(&dir.path().join("link"), UP).unwrap_err();
    assert_eq!(owner(&target), (0, 0));
    // One on the way is root's own.
    fs::create_dir(target.join("data")).unwrap();
    move_ids(&dir.path().join("link/data"), UP).unwrap();
    assert_eq!(owner(&target.join("data")).0, TO.start);
}

#[test]
fn folders_without_an_end_are_refused() {
    if !as_root() {
        return;
    }
    let dir = folder();
    let data = dir.path().join("data");
    let mut deep = data.clone();
    for _ in 0..=MAX_DEPTH {
        deep.push("d");
    }
    fs::create_dir_all(&deep).unwrap();
    let error = move_ids(&data, UP).unwrap_err().to_string();
    assert!(error.contains("folders deep"), "{error}");
}

#[test]
fn the_record_says_which_range_the_data_had() {
    if !as_root() {
        return;
    }
    let dir = folder();
    let record = Record::of(dir.path(), "local-ai-postgres");
    assert_eq!(record.read().unwrap(), None);
    record.write(Some(TO)).unwrap();
    assert_eq!(record.read().unwrap(), Some(TO));
    record.write(None).unwrap();
    assert_eq!(record.read().unwrap(), None);
    fs::write(dir.path().join(".ids/local-ai-postgres"), "something").unwrap();
    let error = record.read().unwrap_err().to_string();
    assert!(error.contains("remove it"), "{error}");
    // A record that leads elsewhere is not read, nor written to.
    fs::remove_file(dir.path().join(".ids/local-ai-postgres")).unwrap();
    fs::write(dir.path().join("elsewhere"), "5+5").unwrap();
    symlink(
        dir.path().join("elsewhere"),
        dir.path().join(".ids/local-ai-postgres"),
    )
    .unwrap();
    record.read().unwrap_err();
    record.write(Some(TO)).unwrap();
    assert_eq!(
        fs::read_to_string(dir.path().join("elsewhere")).unwrap(),
        "5+5"
    );
}
