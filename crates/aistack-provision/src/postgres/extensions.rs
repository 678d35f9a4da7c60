//! Extensions of a database.
//!
//! An extension's script runs with the superuser's rights, in a schema where others may
//! have made objects. One that its author marked as trusted is written for that, and the
//! owner of the database may make it anyway. For any other, a function or an operator of
//! somebody else in that schema could be taken for the script's own
//! (<https://www.postgresql.org/docs/current/extend-extensions.html>, "Security
//! Considerations for Extension Scripts"), so that such an extension is not made there.

use aistack_schema::PostgresDatabase;
use tokio_postgres::Error;

use crate::postgres::client::Client;
use crate::postgres::server::run;
use crate::postgres::setup::refused;
use crate::postgres::{Server, SetupError};

/// How long other transactions may hold up the look at what is in a schema.
const LOCK_LIMIT: &str = "SET LOCAL lock_timeout = '30s'";

/// Makes an extension that is missing; says where one is older than the image's.
pub fn bring(
    server: &Server<'_>,
    client: &mut Client,
    database: &PostgresDatabase,
    extension: &str,
    say: &mut dyn FnMut(&str),
) -> Result<(), SetupError> {
    let PostgresDatabase { name, option, .. } = database;
    let failed = |error: &Error| {
        refused(
            format!("extension {extension} of database {name}"),
            option,
            error,
        )
    };
    let found = client
        .query_opt(
            "SELECT default_version, installed_version FROM pg_catalog.pg_available_extensions \
             WHERE name = $1",
            &[&extension],
        )
        .map_err(|error| failed(&error))?;
    let Some(found) = found else {
        return Err(SetupError::NoExtension {
            extension: extension.to_owned(),
            database: name.clone(),
            option: option.clone(),
        });
    };
    let version = |column| found.try_get::<_, Option<String>>(column);
    let offered = version(0).map_err(|error| failed(&error))?;
    let Some(installed) = version(1).map_err(|error| failed(&error))? else {
        if let Some(others) = make(client, extension).map_err(|error| failed(&error))? {
            return Err(SetupError::Untrusted {
                extension: extension.to_owned(),
                database: name.clone(),
                option: option.clone(),
                others,
            });
        }
        say(&format!("made extension {extension} in database {name}"));
        return Ok(());
    };
    // Versions have no order of their own: older is what an update leads from.
    let older: bool = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension_update_paths($1) \
             WHERE source = $2 AND target = $3 AND path IS NOT NULL)",
            &[&extension, &installed, &offered],
        )
        .and_then(|row| row.try_get(0))
        .map_err(|error| failed(&error))?;
    if older && offered.as_ref() != Some(&installed) {
        say(&format!(
            "extension {extension} of database {name} ({option}) is of version {installed}, \
             the image has {}; it was left so. After a backup: `podman exec -it {} psql -X -U \
             {} -d {name} -c 'ALTER EXTENSION \"{extension}\" UPDATE'`",
            offered.unwrap_or_default(),
            server.container,
            server.declared.user,
        ));
    }
    Ok(())
}

/// Makes an extension; some: what others made in its schema, for which it was not made.
fn make(client: &mut Client, extension: &str) -> Result<Option<String>, Error> {
    client.batch_execute("BEGIN")?;
    let made = within(client, extension);
    client.batch_execute(match made {
        Ok(None) => "COMMIT",
        _ => "ROLLBACK",
    })?;
    made
}

fn within(client: &mut Client, extension: &str) -> Result<Option<String>, Error> {
    let described = client.query_one(
        "SELECT v.schema::pg_catalog.text, v.trusted \
         FROM pg_catalog.pg_available_extensions e \
         JOIN pg_catalog.pg_available_extension_versions v \
         ON v.name = e.name AND v.version = e.default_version WHERE e.name = $1",
        &[&extension],
    )?;
    // Those that have to be in a schema of their own say so; the others are where
    // clients look for them.
    let schema: Option<String> = described.try_get(0)?;
    let schema = schema.as_deref().unwrap_or("public");
    if !described.try_get::<_, bool>(1)? {
        client.batch_execute(LOCK_LIMIT)?;
        // Nobody makes another one until the extension is made.
        client.batch_execute(
            "LOCK TABLE pg_catalog.pg_proc, pg_catalog.pg_operator, pg_catalog.pg_cast \
             IN SHARE ROW EXCLUSIVE MODE",
        )?;
        let others: Option<String> = client
            .query_one(
                "SELECT pg_catalog.string_agg(o.what, ', ') FROM ( \
                   SELECT pg_catalog.format('function %I.%I', n.nspname, p.proname) AS what \
                   FROM pg_catalog.pg_proc p \
                   JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
                   JOIN pg_catalog.pg_roles r ON r.oid = p.proowner \
                   WHERE NOT r.rolsuper AND (n.nspname = $1 \
                     OR EXISTS (SELECT FROM pg_catalog.pg_cast c WHERE c.castfunc = p.oid)) \
                   UNION ALL SELECT pg_catalog.format('operator %I.%s', n.nspname, p.oprname) \
                   FROM pg_catalog.pg_operator p \
                   JOIN pg_catalog.pg_namespace n ON n.oid = p.oprnamespace \
                   JOIN pg_catalog.pg_roles r ON r.oid = p.oprowner \
                   WHERE NOT r.rolsuper AND n.nspname = $1 LIMIT 4) AS o",
                &[&schema],
            )?
            .try_get(0)?;
        if let Some(others) = others {
            return Ok(Some(aistack_machine::text::line(
                &others,
                aistack_machine::text::QUOTE,
            )));
        }
    }
    run(
        client,
        "CREATE EXTENSION IF NOT EXISTS %I SCHEMA %I",
        &[extension, schema],
    )?;
    Ok(None)
}
