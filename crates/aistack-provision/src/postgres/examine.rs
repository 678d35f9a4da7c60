//! What `aistack check` looks at on a server.

use std::time::Duration;

use aistack_schema::PostgresDatabase;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::postgres::client::Client;
use crate::postgres::server::{Names, OwnerError};
use crate::postgres::{Server, describe, migrations};

/// What was seen of a declared database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Its name.
    pub database: String,
    /// What was seen.
    pub seen: Seen,
}

/// Whether a database is as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is: versions and numbers, in words.
    AsDeclared(String),
    /// It is not: everything that differs, in words.
    Differs(String),
}

impl Server<'_> {
    /// Looks at each declared database, and changes nothing: the sessions are
    /// read-only. Each connection and each statement may take `limit`.
    #[must_use]
    pub fn examine(&self, limit: Duration) -> Vec<Examined> {
        self.declared
            .databases
            .iter()
            .map(|database| Examined {
                database: database.name.clone(),
                seen: match self.look(database, limit) {
                    Ok(seen) => seen,
                    Err(cause) => Seen::Differs(cause),
                },
            })
            .collect()
    }

    fn look(&self, database: &PostgresDatabase, limit: Duration) -> Result<Seen, String> {
        let options = format!(
            "-c default_transaction_read_only=on -c statement_timeout={}",
            limit.as_millis().max(1)
        );
        let (user, password) = (&self.declared.user, &self.passwords.superuser);
        let mut client = self
            .connect(
                user,
                password,
                &database.name,
                Names::Catalog,
                &options,
                limit,
            )
            .map_err(|error| {
                if error.is_password() {
                    format!("the password of {user} from its file is refused")
                } else if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) {
                    "does not exist".to_owned()
                } else {
                    error.describe()
                }
            })?;
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        let said = |error: &Error| describe::sql(error);

        let version: String = client
            .query_one("SELECT pg_catalog.current_setting('server_version')", &[])
            .and_then(|row| row.try_get(0))
            .map_err(|error| said(&error))?;
        let major: i32 = client
            .query_one(
                "SELECT pg_catalog.current_setting('server_version_num')::pg_catalog.int4 / 10000",
                &[],
            )
            .and_then(|row| row.try_get(0))
            .map_err(|error| said(&error))?;
        match self.declared.major {
            Some(declared) if i32::from(declared.get()) != major => bad.push(format!(
                "PostgreSQL {version} runs, but {declared} is declared"
            )),
            _ => good.push(format!("PostgreSQL {version}")),
        }
        for extension in &database.extensions {
            match installed(&mut client, extension).map_err(|error| said(&error))? {
                Some(version) => good.push(format!("{extension} {version}")),
                None => bad.push(format!("extension {extension} is missing")),
            }
        }
        if let Some(directory) = &database.migrations {
            let counted = migrations::load(directory).and_then(|files| {
                let mut owner = self
                    .owner(database, Names::Catalog, &options, Some(limit))
                    .map_err(|error| migrations_unseen(&database.owner, error))?;
                let done = files.applied(&migrations::applied(&mut owner, &database.owner)?)?;
                Ok((done, files.len()))
            });
            match counted {
                Ok((done, all)) if done == all => {
                    good.push(format!("migrations {done} of {all}"));
                }
                Ok((done, all)) => bad.push(format!("migrations {done} of {all}")),
                Err(error) => bad.push(error.to_string()),
            }
        }
        Ok(if bad.is_empty() {
            Seen::AsDeclared(good.join(", "))
        } else {
            Seen::Differs(bad.join("; "))
        })
    }
}

/// Why the owner could not be asked what was applied.
pub(crate) fn migrations_unseen(owner: &str, error: OwnerError) -> migrations::MigrationError {
    match error {
        OwnerError::NoPassword(owner) => migrations::MigrationError::NoPassword { owner },
        OwnerError::NoConnection(error) => migrations::MigrationError::Sql {
            what: format!("connecting as {owner}, who owns the database"),
            cause: error.describe(),
        },
    }
}

fn installed(client: &mut Client, extension: &str) -> Result<Option<String>, Error> {
    client
        .query_opt(
            "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = $1",
            &[&extension],
        )?
        .map(|row| row.try_get(0))
        .transpose()
}
