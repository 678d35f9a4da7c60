//! `aistack setup` and `aistack check` on a real `PostgreSQL` server, through a fake podman.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use fakes::place::{Place, WAITED, database, place};
use fakes::{Machine, closed_port, outcome, port, service, stack};
use serde_json::json;

/// The calls of the fakes, without those that only ask.
fn changes(place: &Place) -> String {
    let calls = place.machine.calls();
    let mut changes: Vec<&str> = calls
        .lines()
        .filter(|call| !call.starts_with("systemctl --no-pager show "))
        .collect();
    if !changes.is_empty() {
        changes.push("");
    }
    changes.join("\n")
}

#[test]
fn a_new_server_comes_to_what_is_declared_and_stays_so() {
    let Some(mut place) = place("fresh") else {
        return;
    };
    place.role("fresh_app", "sesame-of-the-app");
    let migrations = place.migration("V1__notes.sql", "CREATE TABLE notes (text text);\n");
    place.migration(
        "V2__more.sql",
        "INSERT INTO notes VALUES ('one'); ALTER TABLE notes ADD n int;\n",
    );
    place.database(database("fresh", "fresh", None));
    let mut notes = database("fresh_notes", "fresh_app", Some(&migrations));
    notes["extensions"] = json!(["plpgsql", "citext"]);
    place.database(notes);

    let (code, out, error) = place.setup();
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert_eq!(
        out,
        "x: set the password of fresh to that of its file\n\
         x: made user fresh_app\n\
         x: made database fresh_notes for fresh_app\n\
         x: made extension citext in database fresh_notes\n\
         x: applied V1__notes to database fresh_notes\n\
         x: applied V2__more to database fresh_notes\n"
    );
    assert_eq!(
        changes(&place),
        "podman exec --interactive local-ai-x psql -qAtX -v ON_ERROR_STOP=1 -v VERBOSITY=terse -U \
         fresh -d fresh\n"
    );
    // Not even on the standard input, nor in the server's log, which has every statement.
    let input = fs::read_to_string(place.machine.path("exec-input")).unwrap();
    for text in [input, place.cluster.log()] {
        assert!(!text.contains("sesame-of-the-superuser") && !text.contains("sesame-of-the-app"));
    }
    // What the migrations made is the owner's.
    let seen = place.cluster.client(
        "fresh_app",
        "sesame-of-the-app",
        "fresh_notes",
        "SELECT text FROM notes",
    );
    assert_eq!(seen.unwrap(), "one");
    assert!(
        place
            .cluster
            .client("fresh_app", "x", "fresh_notes", "SELECT 1")
            .is_err()
    );
    let (code, lines) = place.check();
    assert_eq!(code, 0, "{lines}");
    let lines: Vec<&str> = lines.lines().collect();
    assert!(
        lines[0].starts_with("ok system x database fresh: PostgreSQL 1"),
        "{lines:?}"
    );
    assert!(lines[1].contains(", plpgsql 1.0, citext 1."), "{lines:?}");
    assert!(lines[1].ends_with(", migrations 2 of 2"), "{lines:?}");

    place.machine.forget_calls();
    assert_eq!(place.setup(), (0, String::new(), String::new()));
    assert_eq!(changes(&place), "");
    assert_eq!(place.psql("fresh_notes", "SELECT count(*) FROM notes"), "1");
}

#[test]
fn passwords_follow_their_files() {
    let Some(mut place) = place("rotated") else {
        return;
    };
    place.role("rotated_app", "first");
    assert_eq!(place.setup().0, 0);
    // Nothing of it is a word of SQL, of psql, or of a shell.
    let odd = r#"it's "odd" \gexec $$ %I %L ä;--"#;
    place.machine.write_private("password", &format!("{odd}\n"));
    place
        .machine
        .write_private("password-rotated_app", &format!("{odd}2"));
    place.machine.forget_calls();
    let (code, out, error) = place.setup();
    assert_eq!(
        (code, out.as_str(), error.as_str()),
        (
            0,
            "x: set the password of rotated to that of its file\n\
             x: set the password of user rotated_app to that of its file\n",
            ""
        )
    );
    assert!(!place.machine.calls().contains("odd"));
    let client = |user: &str, password: &str| {
        place
            .cluster
            .client(user, password, "postgres", "SELECT 1")
            .is_ok()
    };
    assert!(client("rotated", odd));
    assert!(client("rotated_app", &format!("{odd}2")));
    assert!(!client("rotated", "sesame-of-the-superuser"));
    assert!(!client("rotated_app", "first"));
}

#[test]
fn a_password_that_can_not_be_set_is_said_with_why() {
    let Some(mut place) = place("locked") else {
        return;
    };
    place.machine.write("exec-fails", "");
    let (code, out, error) = place.setup();
    assert_eq!((code, out.as_str()), (1, ""));
    for words in [
        "aistack: x: setup failed: PostgreSQL refuses the password of locked from",
        "no container with name or ID",
        "28P01",
    ] {
        assert!(error.contains(words), "{words:?} is not in:\n{error}");
    }
    fs::remove_file(place.machine.path("exec-fails")).unwrap();
    // Another superuser is declared than the data is of.
    place.declared["postgres"]["user"] = json!("locked_other");
    let (code, _, error) = place.setup();
    assert_eq!(code, 1);
    assert!(
        error.contains("role \"locked_other\" does not exist"),
        "{error}"
    );
    assert!(
        error.contains("change services.aiStack.postgres.user back"),
        "{error}"
    );
    assert!(!error.contains("SCRAM"), "{error}");

    place.declared["postgres"]["user"] = json!("locked");
    place.machine.write_private("password", "a\0b");
    let (code, _, error) = place.setup();
    assert_eq!(code, 1);
    assert!(
        error.contains("the password of locked holds a zero byte"),
        "{error}"
    );
    place.machine.write_private("password", "\n");
    let (code, _, error) = place.setup();
    assert_eq!(code, 1);
    assert!(
        error.contains("password of locked (services.aiStack.x)"),
        "{error}"
    );
    assert!(error.contains("is empty"), "{error}");
}

#[test]
fn a_migration_that_fails_leaves_those_before_it() {
    let Some(mut place) = place("failing") else {
        return;
    };
    let migrations = place.migration("V1__a.sql", "CREATE TABLE a (n int);");
    place.migration(
        "V2__b.sql",
        "CREATE TABLE b (n int);\n\nCREATE TABLE ä (n int); CREATE TABEL c ();\n",
    );
    place.migration("V3__c.sql", "CREATE TABLE c (n int);");
    place.database(database("failing", "failing", Some(&migrations)));
    place.database(database("failing_other", "failing", None));
    let (code, out, error) = place.setup();
    assert_eq!(code, 1);
    assert!(out.contains("applied V1__a to database failing\n"), "{out}");
    // Other databases don't wait for it.
    assert!(out.contains("made database failing_other"), "{out}");
    for words in [
        "setup failed: migrations of database failing (services.aiStack.x.databases.failing)",
        "V2__b.sql failed at line 3, column 32: ERROR 42601: syntax error at or near \"TABEL\"",
        "Nothing of it was kept; what came before it is applied",
    ] {
        assert!(error.contains(words), "{words:?} is not in:\n{error}");
    }
    let tables = || {
        place.psql("failing", "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'")
    };
    assert_eq!(tables(), "a refinery_schema_history");
    place.psql("failing", "INSERT INTO a VALUES (1)");
    let (code, lines) = place.check();
    assert_eq!(code, 1);
    assert!(
        lines.starts_with("NOT OK system x database failing: migrations 1 of 3"),
        "{lines}"
    );

    // One that can't be written down is not kept either: it would be applied again.
    let table = "public.refinery_schema_history";
    place.migration(
        "V2__b.sql",
        &format!("CREATE TABLE b (n int); ALTER TABLE {table} RENAME TO gone;"),
    );
    assert_eq!(place.setup().0, 1);
    assert_eq!(tables(), "a refinery_schema_history");

    place.migration("V2__b.sql", "CREATE TABLE b (n int);");
    let (code, _, error) = place.setup();
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(tables(), "a b c refinery_schema_history");
    assert_eq!(place.psql("failing", "SELECT count(*) FROM a"), "1");
    assert_eq!(place.check().0, 0);
}

#[test]
fn what_was_applied_is_never_edited() {
    let Some(mut place) = place("edited") else {
        return;
    };
    let migrations = place.migration("V1__a.sql", "CREATE TABLE a ();");
    place.migration("V3__c.sql", "CREATE TABLE c ();");
    place.database(database("edited", "edited", Some(&migrations)));
    assert_eq!(place.setup().0, 0);
    let refused = |words: &str| {
        let (code, out, error) = place.setup();
        assert_eq!((code, out.as_str()), (1, ""));
        assert!(error.contains(words), "{words:?} is not in:\n{error}");
        let (code, lines) = place.check();
        assert_eq!(code, 1);
        assert!(
            lines.starts_with("NOT OK") && lines.contains(words),
            "{lines}"
        );
    };
    place.migration("V1__a.sql", "CREATE TABLE a (n int);");
    refused(
        "V1__a.sql is not what was applied as version 1 (V1__a): applied migrations are never edited",
    );
    place.migration("V1__a.sql", "CREATE TABLE a ();");
    place.migration("V2__b.sql", "CREATE TABLE b ();");
    refused("V2__b.sql was never applied, but the higher version 3 was");
    fs::remove_file(migrations.join("V2__b.sql")).unwrap();
    fs::remove_file(migrations.join("V3__c.sql")).unwrap();
    refused("V3__c.sql was applied to this database and is not in");
    place.migration("V3__c.sql", "CREATE TABLE c ();");
    assert_eq!(place.setup(), (0, String::new(), String::new()));
    place.migration("4__d.sql", "");
    refused("4__d.sql is not named V1__name.sql");
    fs::remove_file(migrations.join("4__d.sql")).unwrap();
    place.psql(
        "edited",
        "UPDATE refinery_schema_history SET checksum = 'x'",
    );
    refused("the table public.refinery_schema_history is not what refinery writes");
}

#[test]
fn a_schema_named_as_the_owner_does_not_hide_what_was_applied() {
    let Some(mut place) = place("schema") else {
        return;
    };
    let migrations = place.migration(
        "V1__a.sql",
        "CREATE SCHEMA schema; CREATE TABLE schema.a ();",
    );
    place.migration("V2__b.sql", "SELECT set_config('search_path', '', false);");
    place.migration("V3__c.sql", "CREATE TABLE schema.c ();");
    place.database(database("schema", "schema", Some(&migrations)));
    let (code, _, error) = place.setup();
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(place.setup(), (0, String::new(), String::new()));
    assert_eq!(place.check().0, 0);
}

#[test]
fn two_setups_at_once_do_everything_once() {
    let Some(mut place) = place("twice") else {
        return;
    };
    place.role("twice_app", "one");
    let migrations = place.migration("V1__a.sql", "CREATE TABLE a (n int); SELECT pg_sleep(1.5);");
    place.migration("V2__b.sql", "INSERT INTO a VALUES (1);");
    let mut made = database("twice_made", "twice_app", Some(&migrations));
    made["extensions"] = json!(["citext"]);
    place.database(made);
    // Only the second one has to wait, not for a password.
    place.psql(
        "postgres",
        "ALTER ROLE twice PASSWORD 'sesame-of-the-superuser'",
    );
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| outcome(place.command("setup")));
        let other = scope.spawn(|| outcome(place.command("setup")));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!((one.0, other.0), (0, 0), "{one:?} {other:?}");
    let both = format!("{}{}", one.1, other.1);
    for words in [
        "made user",
        "made database",
        "made extension",
        "applied V1",
        "applied V2",
    ] {
        assert_eq!(both.matches(words).count(), 1, "{both}");
    }
    assert!(both.contains(WAITED), "{both}");
    assert_eq!(place.psql("twice_made", "SELECT count(*) FROM a"), "1");
}

#[test]
fn names_and_values_are_quoted() {
    // psql's command line takes no white space here (`Stack::problems`).
    let Some(mut place) = place("it's\"quoted\"$$%s%I\\x") else {
        return;
    };
    let role = "a'b\"c; DROP ROLE admin; --";
    place.role(role, "sesame");
    let mut strange = database("d'\"; $$ %I", role, None);
    strange["extensions"] = json!(["uuid-ossp"]);
    place.database(strange);
    let (code, out, error) = place.setup();
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    let seen = place
        .cluster
        .client(role, "sesame", "d'\"; $$ %I", "SELECT current_user");
    assert_eq!(seen.unwrap(), role);
    assert_eq!(place.check().0, 0);
}

#[test]
fn what_is_there_is_kept() {
    let Some(mut place) = place("kept") else {
        return;
    };
    place.psql("postgres", "CREATE ROLE kept_other LOGIN");
    place.psql("postgres", "CREATE DATABASE kept_data OWNER kept_other");
    place.psql("kept_data", "CREATE TABLE t AS SELECT 42 AS n");
    place.psql("postgres", "CREATE ROLE kept_group NOLOGIN");
    place.role("kept_group", "sesame");
    place.role("kept_app", "sesame");
    place.database(database("kept_data", "kept_app", None));
    place.database(database("kept_orphan", "kept_nobody", None));
    let (code, out, error) = place.setup();
    assert_eq!(code, 1);
    assert!(out.contains("database kept_data (services.aiStack.x.databases.kept_data) belongs to kept_other, not to kept_app; it was left so"), "{out}");
    assert!(error.contains("user kept_group (services.aiStack.x.users.kept_group): a role of that name exists and may not log in"), "{error}");
    assert!(
        error.contains(
            "role \"kept_nobody\" does not exist; a user that is declared nowhere is not made"
        ),
        "{error}"
    );
    assert_eq!(place.psql("kept_data", "SELECT n FROM t"), "42");
    assert_eq!(
        place.psql(
            "postgres",
            "SELECT rolcanlogin FROM pg_roles WHERE rolname = 'kept_group'"
        ),
        "f"
    );
    // The last one could not be made, the one before is as declared.
    let (code, lines) = place.check();
    assert_eq!(code, 1);
    assert!(
        lines.contains("NOT OK system x database kept_orphan: does not exist"),
        "{lines}"
    );
    assert!(lines.contains("ok system x database kept_data"), "{lines}");
}

#[test]
fn extensions_that_are_missing_or_old_are_said() {
    let Some(mut place) = place("extended") else {
        return;
    };
    let versions = place.psql("postgres", "SELECT count(*) FROM pg_available_extension_versions WHERE name = 'hstore' AND version = '1.4'");
    if versions != "1" {
        eprintln!("SKIP: no hstore 1.4 (postgresql-contrib) here");
        return;
    }
    let mut declared = database("extended", "extended", None);
    declared["extensions"] = json!(["hstore", "no_such"]);
    place.database(declared);
    place.psql("extended", "CREATE EXTENSION hstore VERSION '1.4'");
    let (code, out, error) = place.setup();
    assert_eq!(code, 1);
    assert!(error.contains("extension no_such of database extended (services.aiStack.x.databases.extended): the image does not have it"), "{error}");
    assert!(out.contains("extension hstore of database extended (services.aiStack.x.databases.extended) is of version 1.4, the image has 1."), "{out}");
    assert!(
        out.contains("-c 'ALTER EXTENSION \"hstore\" UPDATE'`"),
        "{out}"
    );
    assert_eq!(
        place.psql(
            "extended",
            "SELECT extversion FROM pg_extension WHERE extname = 'hstore'"
        ),
        "1.4"
    );
    let (code, lines) = place.check();
    assert_eq!(code, 1);
    assert!(lines.contains("extension no_such is missing"), "{lines}");
}

/// Forwards connections of a port to the server, from some time on.
fn late(to: u16, delay: Duration) -> u16 {
    let from = closed_port();
    thread::spawn(move || {
        thread::sleep(delay);
        for stream in TcpListener::bind(("127.0.0.1", from)).unwrap().incoming() {
            let (mut client, mut server) = (
                stream.unwrap(),
                TcpStream::connect(("127.0.0.1", to)).unwrap(),
            );
            let (mut back, mut forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || {
                drop(io::copy(&mut client, &mut server));
                drop(server.shutdown(Shutdown::Both));
            });
            thread::spawn(move || {
                drop(io::copy(&mut forth, &mut back));
                drop(back.shutdown(Shutdown::Both));
            });
        }
    });
    from
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let Some(mut place) = place("late") else {
        return;
    };
    let at = late(place.cluster.port, Duration::from_secs(2));
    place.declared["ports"] = json!([port("postgres", "0.0.0.0", at)]);
    let start = Instant::now();
    let (code, out, error) = place.setup();
    assert_eq!((code, error.as_str()), (0, ""), "{out}");
    assert!(start.elapsed() >= Duration::from_millis(1500));
    assert!(out.contains("set the password of late"), "{out}");
}

#[test]
fn a_server_that_says_nothing_does_not_hang_the_check() {
    let machine = Machine::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut declared = service("x");
    declared["ports"] = json!([port(
        "postgres",
        "127.0.0.1",
        silent.local_addr().unwrap().port()
    )]);
    declared["postgres"] = json!({
        "port": "postgres", "user": "mcp", "database": "mcp",
        "passwordSource": machine.write_private("password", "sesame"),
        "major": null, "versionFile": "/absent", "roles": [], "databases": [database("mcp", "mcp", None)],
    });
    let file = machine.stack(&stack(&[("x", declared.clone())]));
    let file = file.to_str().unwrap().to_owned();
    let check = || outcome(machine.aistack(&["check", "--stack", &file, "--timeout", "1"]));
    let start = Instant::now();
    let (code, out, _) = check();
    assert_eq!(code, 1);
    assert!(out.contains("mcp: no answer within 1 s"), "{out}");
    assert!(start.elapsed() < Duration::from_secs(6));
    drop(silent);
    assert!(check().1.contains("Connection refused"));
    // Who may not read the password does not look.
    fs::remove_file(machine.path("password")).unwrap();
    let (code, out, _) = check();
    assert_eq!(code, 1, "the port is not listened on");
    assert!(
        out.contains("skipped  system  x  database  mcp: was not looked at"),
        "{out}"
    );
}

#[test]
fn another_major_version_than_the_declared_is_not_ok() {
    let Some(mut place) = place("major") else {
        return;
    };
    place.database(database("major", "major", None));
    assert_eq!(place.setup().0, 0);
    place.declared["postgres"]["major"] = json!(9);
    let (code, lines) = place.check();
    assert_eq!(code, 1);
    assert!(lines.contains("runs, but 9 is declared"), "{lines}");
    // A rotated password is seen, too.
    place.machine.write_private("password", "other");
    assert!(
        place
            .check()
            .1
            .contains("the password of major from its file is refused")
    );
    fs::set_permissions(
        place.machine.path("password"),
        PermissionsExt::from_mode(0o644),
    )
    .unwrap();
    let (_, lines) = place.check();
    assert!(
        lines.contains("skipped system x database major: was not looked at"),
        "{lines}"
    );
    assert!(lines.contains("every user may read it"), "{lines}");
}
