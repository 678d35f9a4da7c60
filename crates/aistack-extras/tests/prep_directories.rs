//! Folders, and what is left of what is there.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use aistack_extras::prep::directories::{FOLDERS, Share, prepare};
use aistack_extras::prep::plan::Environment;
use aistack_extras::prep::{Finding, Plan};
use aistack_schema::Scope;

fn plan(home: &Path) -> Plan {
    let environment = Environment {
        home: Some(home.to_owned()),
        ..Environment::default()
    };
    Plan::usual(Scope::User, &environment).unwrap()
}

/// A root with a machine's id.
fn machine(id: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir_all(root.path().join("etc")).unwrap();
    fs::create_dir_all(root.path().join("proc/sys/kernel")).unwrap();
    fs::write(root.path().join("etc/machine-id"), id).unwrap();
    fs::write(
        root.path().join("proc/sys/kernel/hostname"),
        format!("host-{id}\n"),
    )
    .unwrap();
    root
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

#[test]
fn everything_is_made_for_the_owner_alone_and_a_second_run_changes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let (plan, one) = (plan(home.path()), machine("one"));
    prepare(&plan, one.path(), Share::Write, "now").unwrap();
    for folder in FOLDERS {
        assert_eq!(mode(&plan.data_root.join(folder)), 0o700, "{folder}");
    }
    for file in ["config.yaml", "settings.json"] {
        assert_eq!(mode(&plan.config_root.join(file)), 0o600, "{file}");
    }
    assert_eq!(mode(&plan.data_root), 0o700);
    assert_eq!(mode(&plan.config_root), 0o700);
    let marker = fs::read_to_string(plan.data_root.join("README.txt")).unwrap();
    assert!(marker.contains("layout 1"));

    fs::write(plan.config_root.join("config.yaml"), "mine: 1\n").unwrap();
    fs::write(plan.data_root.join("postgres/PG_VERSION"), "18").unwrap();
    assert_eq!(
        prepare(&plan, one.path(), Share::Write, "later").unwrap(),
        []
    );
    assert_eq!(
        fs::read_to_string(plan.config_root.join("config.yaml")).unwrap(),
        "mine: 1\n"
    );
    assert!(plan.data_root.join("postgres/PG_VERSION").exists());
}

#[test]
fn what_is_open_to_others_is_closed_and_said() {
    let home = tempfile::tempdir().unwrap();
    let (plan, one) = (plan(home.path()), machine("one"));
    prepare(&plan, one.path(), Share::Write, "now").unwrap();
    let (folder, file) = (
        plan.data_root.join("imports"),
        plan.config_root.join("settings.json"),
    );
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let said = prepare(&plan, one.path(), Share::Write, "now").unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
}

#[test]
fn a_folder_of_a_container_is_left_and_said() {
    if aistack_machine::users::effective_uid() != 0 {
        eprintln!("\nSKIP only root can give folders away");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let (plan, one) = (plan(home.path()), machine("one"));
    prepare(&plan, one.path(), Share::Write, "now").unwrap();
    let folder = plan.data_root.join("postgres");
    std::os::unix::fs::chown(&folder, Some(100_069), Some(100_069)).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o750)).unwrap();
    let said = prepare(&plan, one.path(), Share::Write, "now").unwrap();
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].finding, Finding::Info);
    assert!(said[0].message.contains("100069"), "{said:?}");
    assert_eq!(folder.metadata().unwrap().uid(), 100_069);
    assert_eq!(mode(&folder), 0o750);
}

#[test]
fn another_installation_is_refused_by_name_and_may_read() {
    let home = tempfile::tempdir().unwrap();
    let (plan, one, two) = (plan(home.path()), machine("one"), machine("two"));
    let error = prepare(&plan, two.path(), Share::ReadOnly, "now").unwrap_err();
    assert!(error.to_string().contains("nothing to share"), "{error}");
    prepare(&plan, one.path(), Share::Write, "2026-01-01T00:00:00Z").unwrap();
    fs::remove_dir(plan.data_root.join("exports")).unwrap();

    let error = prepare(&plan, two.path(), Share::Write, "now").unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("host-one") && said.contains("2026-01-01"),
        "{said}"
    );
    let shared = prepare(&plan, two.path(), Share::ReadOnly, "now").unwrap();
    assert!(shared[0].message.contains("host-one"), "{shared:?}");
    // Neither has made what was missing.
    assert!(!plan.data_root.join("exports").exists());

    prepare(&plan, two.path(), Share::TakeOver, "now").unwrap();
    assert!(plan.data_root.join("exports").exists());
    assert!(prepare(&plan, one.path(), Share::Write, "now").is_err());
}

#[test]
fn something_else_in_the_way_is_named_with_its_option() {
    let home = tempfile::tempdir().unwrap();
    let (plan, one) = (plan(home.path()), machine("one"));
    fs::create_dir_all(plan.data_root.parent().unwrap()).unwrap();
    fs::write(&plan.data_root, "").unwrap();
    let error = prepare(&plan, one.path(), Share::Write, "now").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("services.aiOptimizerPrep.dataRoot"),
        "{error}"
    );
    fs::remove_file(&plan.data_root).unwrap();
    // A disk that is not mounted.
    std::os::unix::fs::symlink("/nowhere/at/all", &plan.data_root).unwrap();
    prepare(&plan, one.path(), Share::Write, "now").unwrap_err();
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (plan, one) = (plan(home.path()), machine("one"));
    prepare(&plan, one.path(), Share::Write, "now").unwrap();
    let held = fs::File::open(&plan.data_root).unwrap();
    held.lock().unwrap();
    let error = prepare(&plan, one.path(), Share::Write, "now").unwrap_err();
    assert!(
        error.to_string().contains("another `aistack prep`"),
        "{error}"
    );
}

/// The data folder lies in a folder of eve's (user id 2001), who leads root to /victim.
#[test]
fn root_follows_no_path_that_another_account_can_change() {
    if aistack_machine::users::effective_uid() != 0 {
        eprintln!("\nSKIP only root can give folders away");
        return;
    }
    let top = tempfile::tempdir().unwrap();
    let one = machine("one");
    let victim = top.path().join("victim");
    let eve = top.path().join("eve");
    for folder in [&victim, &eve] {
        fs::create_dir(folder).unwrap();
        fs::set_permissions(folder, Permissions::from_mode(0o755)).unwrap();
    }
    let give = |path: &Path| std::os::unix::fs::lchown(path, Some(2001), Some(2001)).unwrap();
    give(&eve);
    let mut plan = plan(top.path());
    let attempts = [
        // A link in the place of a folder of the data.
        ("data", Some("data/postgres")),
        // A link in the place of the data folder's parent.
        ("link/data", None),
        // A folder of eve's own, without any link yet.
        ("own", None),
    ];
    for (data, link) in attempts {
        plan.data_root = eve.join(data);
        plan.config_root = top.path().join("config");
        let link = eve.join(link.unwrap_or("link"));
        let parent = link.parent().unwrap();
        fs::create_dir_all(parent).unwrap();
        give(parent);
        drop(fs::remove_file(&link));
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        give(&link);
        let error = prepare(&plan, one.path(), Share::Write, "now").unwrap_err();
        let said = error.to_string();
        assert!(said.contains("belongs to user id 2001"), "{data}: {said}");
        assert_eq!(mode(&victim), 0o755, "{data}");
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 0, "{data}");
    }
    // The same for the configuration, which root would write into.
    plan.data_root = top.path().join("data");
    plan.config_root = eve.join("link/config");
    prepare(&plan, one.path(), Share::Write, "now").unwrap_err();
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 0);
    assert!(!plan.data_root.exists(), "a refusal leaves no trace");
}
