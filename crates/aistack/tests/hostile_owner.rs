//! The owner of a declared database attacks the superuser: `aistack setup` and `aistack
//! check` run against what the owner prepared, on a real `PostgreSQL` server.
//!
//! Each test lays one trap that makes the owner a superuser when it is run with the
//! superuser's rights, and then asks whether the owner has become one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod fakes;

use fakes::place::{Place, database, place};
use serde_json::json;

/// A place with the database `NAME_app`, which the role `NAME_app` owns.
fn owned(name: &str, extensions: &[&str], migrations: &[(&str, &str)]) -> Option<Place> {
    let mut place = place(name)?;
    let app = format!("{name}_app");
    place.role(&app, "sesame");
    let mut folder = None;
    for (file, text) in migrations {
        folder = Some(place.migration(file, text));
    }
    let mut declared = database(&app, &app, folder.as_deref());
    declared["extensions"] = json!(extensions);
    place.database(declared);
    Some(place)
}

/// What the owner does in the database, through a connection of the owner's own.
fn as_owner(place: &Place, name: &str, statement: &str) {
    let app = format!("{name}_app");
    place
        .cluster
        .client(&app, "sesame", &app, statement)
        .unwrap();
}

/// A function that makes the owner a superuser if it is called with the right to do so:
/// as a superuser, or in a session that a superuser opened.
fn trap(name: &str) -> String {
    format!(
        "CREATE FUNCTION public.trap() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
           IF session_user OPERATOR(pg_catalog.=) '{name}'::name THEN \
             EXECUTE 'RESET ROLE'; EXECUTE 'ALTER ROLE {name}_app SUPERUSER'; \
           END IF; RETURN ''; EXCEPTION WHEN read_only_sql_transaction THEN \
           EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {TMP}/{name}'''; RETURN ''; END $$;",
        TMP = std::env::temp_dir().display(),
    )
}

/// Runs `aistack setup` and `aistack check`, whatever they say, and looks whether the
/// trap was run with the superuser's rights.
fn safe(place: &Place, name: &str) {
    let proof = std::env::temp_dir().join(name);
    drop(std::fs::remove_file(&proof));
    let (_, lines) = place.check();
    assert!(!proof.exists(), "`aistack check` ran the trap: {lines}");
    let said = place.setup();
    let (_, lines) = place.check();
    let superuser = place.psql(
        "postgres",
        &format!("SELECT rolsuper FROM pg_roles WHERE rolname = '{name}_app'"),
    );
    assert_eq!(superuser, "f", "the owner is a superuser: {said:?} {lines}");
    assert!(!proof.exists(), "`aistack check` ran the trap: {lines}");
}

const FIRST: (&str, &str) = ("V1__a.sql", "CREATE TABLE a (n int);");

#[test]
fn a_view_in_place_of_the_history_is_not_read_as_the_superuser() {
    let name = "evil_view";
    let Some(place) = owned(name, &[], &[FIRST]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    as_owner(
        &place,
        name,
        &format!(
            "ALTER TABLE public.refinery_schema_history RENAME TO h; {} \
             CREATE VIEW public.refinery_schema_history AS SELECT version, \
             name || public.trap() AS name, applied_on, checksum FROM h",
            trap(name)
        ),
    );
    safe(&place, name);
    let (code, _, error) = place.setup();
    assert_eq!(code, 1);
    assert!(
        error.contains("public.refinery_schema_history is a view"),
        "{error}"
    );
}

#[test]
fn a_function_that_matches_better_than_the_catalogs_is_not_called_for_extensions() {
    let name = "evil_paths";
    let Some(place) = owned(name, &["plpgsql", "citext"], &[]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    as_owner(
        &place,
        name,
        &format!(
            "{} CREATE FUNCTION public.pg_extension_update_paths(text) RETURNS TABLE (source text, \
             target text, path text) LANGUAGE sql AS $$ SELECT public.trap(), '', '' $$",
            trap(name)
        ),
    );
    safe(&place, name);
    assert_eq!(place.setup().0, 0);
}

#[test]
fn a_function_that_matches_better_than_the_catalogs_is_not_called_for_statements() {
    let name = "evil_format";
    let Some(place) = owned(name, &["citext"], &[FIRST]) else {
        return;
    };
    let (_, _, error) = place.setup();
    assert_eq!(error, "");
    as_owner(
        &place,
        name,
        &format!(
            "{} CREATE FUNCTION public.format(text, text) RETURNS text LANGUAGE sql AS \
             $$ SELECT 'SELECT 1' || public.trap() $$",
            trap(name)
        ),
    );
    // Both go through format(): an extension that is missing, a migration that is pending.
    place.psql(&format!("{name}_app"), "DROP EXTENSION citext");
    place.migration("V2__b.sql", "CREATE TABLE b (n int);");
    safe(&place, name);
    assert_eq!(place.setup().0, 0);
    assert_eq!(place.check().0, 0);
}

#[test]
fn a_search_path_of_the_databases_own_does_not_hide_the_catalog() {
    let name = "evil_path";
    let Some(place) = owned(name, &["citext"], &[FIRST]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    as_owner(
        &place,
        name,
        &format!(
            "{0} CREATE VIEW public.pg_extension AS SELECT extname, extversion || public.trap() AS \
             extversion FROM pg_catalog.pg_extension; \
             CREATE VIEW public.pg_available_extensions AS SELECT name, default_version || \
             public.trap() AS default_version, installed_version FROM pg_catalog.pg_available_extensions; \
             CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE sql AS \
             $$ SELECT pg_catalog.current_setting($1) || public.trap() $$; \
             CREATE FUNCTION public.eq(name, name) RETURNS bool LANGUAGE sql AS \
             $$ SELECT public.trap() = '' AND $1::text OPERATOR(pg_catalog.=) $2::text $$; \
             CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.eq); \
             ALTER DATABASE {name}_app SET search_path = public, pg_catalog",
            trap(name)
        ),
    );
    safe(&place, name);
}

#[test]
fn a_trigger_on_the_history_does_not_run_in_a_session_of_the_superuser() {
    let name = "evil_trigger";
    let Some(place) = owned(name, &[], &[FIRST]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    as_owner(
        &place,
        name,
        &format!(
            "{} CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM public.trap(); RETURN NULL; END $$; \
             CREATE TRIGGER t AFTER INSERT ON public.refinery_schema_history \
             EXECUTE FUNCTION public.fire();",
            trap(name)
        ),
    );
    place.migration("V2__b.sql", "CREATE TABLE b (n int);");
    safe(&place, name);
    // The trigger ran as the owner, who may have triggers.
    assert_eq!(place.setup(), (0, String::new(), String::new()));
}

#[test]
fn a_trigger_on_a_table_that_a_migration_fills_does_not_run_in_a_session_of_the_superuser() {
    let name = "evil_fill";
    let Some(place) = owned(name, &[], &[FIRST]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    as_owner(
        &place,
        name,
        &format!(
            "{} CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN PERFORM public.trap(); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER t AFTER INSERT ON public.a DEFERRABLE INITIALLY DEFERRED \
             FOR EACH ROW EXECUTE FUNCTION public.fire();",
            trap(name)
        ),
    );
    place.migration("V2__b.sql", "INSERT INTO a VALUES (1);");
    safe(&place, name);
    assert_eq!(place.psql(&format!("{name}_app"), "SELECT n FROM a"), "1");
}

#[test]
fn a_role_that_the_owner_sets_for_the_database_does_not_change_the_sessions() {
    let name = "evil_role";
    let Some(place) = owned(name, &["dblink"], &[FIRST]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    place.psql(&format!("{name}_app"), "DROP EXTENSION dblink");
    as_owner(
        &place,
        name,
        &format!("ALTER DATABASE {name}_app SET role = '{name}_app'"),
    );
    safe(&place, name);
    assert_eq!(place.check().0, 0);
}

#[test]
fn the_password_is_set_without_what_the_owner_of_the_first_database_made() {
    let name = "evil_first";
    let Some(place) = owned(name, &[], &[]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    place.psql(
        "postgres",
        &format!("ALTER DATABASE {name} OWNER TO {name}_app"),
    );
    place
        .cluster
        .client(
            &format!("{name}_app"),
            "sesame",
            name,
            &format!(
                "{} CREATE FUNCTION public.format(text, text, text) RETURNS text LANGUAGE sql AS \
                 $$ SELECT 'SELECT 1' || public.trap() $$",
                trap(name)
            ),
        )
        .unwrap();
    place.machine.write_private("password", "another");
    safe(&place, name);
    assert_eq!(place.setup(), (0, String::new(), String::new()));
}

#[test]
fn migrations_of_the_superuser_are_not_applied_to_a_database_of_another_owner() {
    let name = "evil_other";
    let Some(mut place) = owned(name, &[], &[FIRST]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    as_owner(
        &place,
        name,
        &format!(
            "{} CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE sql AS \
             $$ SELECT public.trap() $$; DROP TABLE public.refinery_schema_history; DROP TABLE a;",
            trap(name)
        ),
    );
    place.migration("V1__a.sql", "CREATE TABLE a AS SELECT lower('A'::varchar);");
    // Declared for the superuser, but it still belongs to the application.
    place.declared["postgres"]["databases"][0]["owner"] = json!(name);
    safe(&place, name);
    let (code, _, error) = place.setup();
    assert_eq!(code, 1);
    assert!(
        error.contains(&format!("belongs to {name}_app, not to {name}")),
        "{error}"
    );
}

#[test]
fn an_extension_that_is_not_trusted_is_not_made_among_functions_of_the_owner() {
    let name = "evil_extension";
    let Some(mut place) = owned(name, &[], &[]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    as_owner(&place, name, &trap(name));
    place.declared["postgres"]["databases"][0]["extensions"] = json!(["dblink", "citext"]);
    let (code, out, error) = place.setup();
    assert_eq!(code, 1);
    assert!(
        error.contains("extension dblink of database evil_extension_app")
            && error.contains("function public.trap"),
        "{error}"
    );
    // An owner may make a trusted one anyway.
    assert!(out.contains("made extension citext"), "{out}");
    as_owner(&place, name, "DROP FUNCTION public.trap()");
    let (code, out, error) = place.setup();
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("made extension dblink"), "{out}");
}

#[test]
fn rows_of_the_history_that_are_no_migrations_are_said() {
    let name = "evil_rows";
    let Some(place) = owned(name, &[], &[FIRST]) else {
        return;
    };
    assert_eq!(place.setup().0, 0);
    place.migration("V2__b.sql", "CREATE TABLE b (n int);");
    for (statement, words) in [
        (
            "UPDATE public.refinery_schema_history SET checksum = 'x'",
            "without a version",
        ),
        (
            "UPDATE public.refinery_schema_history SET checksum = '1', name = repeat('x', 255)",
            "is not what was applied as version 1",
        ),
        (
            "INSERT INTO public.refinery_schema_history SELECT n, 'n', 'n', '1' FROM \
             generate_series(2, 200000) n",
            "more than",
        ),
    ] {
        as_owner(&place, name, statement);
        let (code, _, error) = place.setup();
        assert_eq!(code, 1, "{statement}");
        assert!(error.contains(words), "{statement}: {error}");
        assert!(error.len() < 1000, "{error}");
        assert_eq!(place.check().0, 1);
    }
}
