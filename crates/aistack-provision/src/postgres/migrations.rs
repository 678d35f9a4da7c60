//! Versioned migrations: files `V1__name.sql`, applied once each, in their order.
//!
//! Names, checksums and the table of what was applied are refinery's. The table,
//! `refinery_schema_history`, is in the schema `public` whatever the search path is: a
//! migration that makes a schema named as its owner would otherwise hide the table from
//! the next run. refinery's own runner is not used: it takes every row of the table for
//! one of its own and ends the program where it is not, and the table's owner can write
//! to it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aistack_machine::file::{self, ReadError};
use aistack_schema::PostgresDatabase;
use refinery_core::Migration;
use tokio_postgres::Error;

use crate::postgres::client::Client;
use crate::postgres::describe;

/// The table of what was applied.
const HISTORY: &str = "public.refinery_schema_history";
/// How many applied migrations are read, and how much of a name.
const MOST_APPLIED: usize = 100_000;
const LONGEST: usize = 255;
/// The largest migration that is read, in bytes.
const MOST: u64 = 16 * 1024 * 1024;

/// Why migrations can't be applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A file or the directory can't be read.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A file is far larger than a migration.
    #[error("{} is larger than {} MiB: load data by a client, not by a migration", path.display(), MOST / 1024 / 1024)]
    TooLarge {
        /// The path.
        path: PathBuf,
    },
    /// A file's name says no version.
    #[error(
        "{} is not named V1__name.sql: a V, a number up to 2147483647, two underscores, and a name \
         of letters, digits and underscores", path.display()
    )]
    Name {
        /// The path.
        path: PathBuf,
    },
    /// Two files of one version.
    #[error("{} and {} are of the same version: give one a number of its own", one.display(), other.display())]
    Repeated {
        /// The one.
        one: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// A file differs from what was applied.
    #[error(
        "{} is not what was applied as version {version} ({applied}): applied migrations are never \
         edited. Put it back as it was, and write the change as a new file of a higher version",
        path.display()
    )]
    Divergent {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i32,
        /// The name that it was applied by.
        applied: String,
    },
    /// A migration was applied whose file is gone.
    #[error(
        "{name}.sql was applied to this database and is not in {}: applied migrations are never \
         edited or removed. Put the file back as it was", directory.display()
    )]
    Missing {
        /// Where it should be.
        directory: PathBuf,
        /// Its name without the ending.
        name: String,
    },
    /// A file is of a version below one that was applied.
    #[error(
        "{} was never applied, but the higher version {last} was: give it a number above {last}",
        path.display()
    )]
    Late {
        /// The file.
        path: PathBuf,
        /// The highest version that was applied.
        last: i32,
    },
    /// The table of what was applied holds something else.
    #[error("the table {HISTORY} is not what refinery writes: {why}")]
    History {
        /// What was wrong with it.
        why: String,
    },
    /// The owner's password is not declared.
    #[error(
        "they are applied as {owner}, who owns the database, and no password of {owner} is \
         declared: add it to services.aiStack.postgres.users"
    )]
    NoPassword {
        /// The owner.
        owner: String,
    },
    /// A database that belongs to somebody else than declared.
    #[error(
        "the database belongs to {seen}, not to {owner}, and {owner} is a superuser: what {seen} \
         made in it would run with all rights. Nothing was applied: declare {seen} as its owner, \
         or change that by `ALTER DATABASE … OWNER TO …`"
    )]
    Owner {
        /// Who owns it.
        seen: String,
        /// Who is declared.
        owner: String,
    },
    /// The server refused a migration.
    #[error(
        "{} failed{}: {cause}. Nothing of it was kept; what came before it is applied",
        path.display(), at(*place)
    )]
    Failed {
        /// The file.
        path: PathBuf,
        /// Line and column of the place that the server names.
        place: Option<(usize, usize)>,
        /// What the server said.
        cause: String,
    },
    /// The server refused something around the migrations.
    #[error("{what}: {cause}")]
    Sql {
        /// What was being done.
        what: String,
        /// What the server said.
        cause: String,
    },
}

fn at(place: Option<(usize, usize)>) -> String {
    place.map_or_else(String::new, |(line, column)| {
        format!(" at line {line}, column {column}")
    })
}

/// A migration and where it came from.
pub struct Step {
    path: PathBuf,
    migration: Migration,
}

/// The files of a directory, in the order of their versions.
pub struct Steps {
    directory: PathBuf,
    steps: BTreeMap<i32, Step>,
}

/// What was applied: its name and checksum by its version.
pub type Applied = BTreeMap<i32, (String, u64)>;

/// Reads the files `*.sql` of a directory, not of those below it.
pub fn load(directory: &Path) -> Result<Steps, MigrationError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |cause| MigrationError::Unreadable { path, cause }
    };
    let mut steps: BTreeMap<i32, Step> = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(unreadable(directory))? {
        let path = entry.map_err(unreadable(directory))?.path();
        if path.extension().is_none_or(|ending| ending != "sql") {
            continue;
        }
        let bytes = match file::read(&path, MOST) {
            Ok(bytes) => bytes,
            Err(ReadError::TooLong(_)) => return Err(MigrationError::TooLarge { path }),
            Err(error) => return Err(unreadable(&path)(error.into())),
        };
        let text = String::from_utf8(bytes)
            .map_err(|_| unreadable(&path)(io::ErrorKind::InvalidData.into()))?;
        let name = path.file_stem().and_then(|name| name.to_str());
        let migration = name
            .filter(|name| is_name(name))
            .and_then(|name| Migration::unapplied(name, &text).ok())
            .ok_or_else(|| MigrationError::Name { path: path.clone() })?;
        let version = migration.version();
        if let Some(other) = steps.insert(version, Step { path, migration }) {
            let one = steps
                .remove(&version)
                .map_or_else(PathBuf::new, |step| step.path);
            let (one, other) = if one < other.path {
                (one, other.path)
            } else {
                (other.path, one)
            };
            return Err(MigrationError::Repeated { one, other });
        }
    }
    Ok(Steps {
        directory: directory.to_owned(),
        steps,
    })
}

/// refinery takes the beginning of a name for the whole of it.
fn is_name(name: &str) -> bool {
    name.strip_prefix('V')
        .and_then(|rest| rest.split_once("__"))
        .is_some_and(|(version, words)| {
            !version.is_empty()
                && version.bytes().all(|byte| byte.is_ascii_digit())
                && !words.is_empty()
                && words.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        })
}

impl Steps {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// How many of them were applied.
    ///
    /// # Errors
    /// When what was applied is not the beginning of what is there.
    pub fn applied(&self, applied: &Applied) -> Result<usize, MigrationError> {
        for (&version, (name, checksum)) in applied {
            let Some(step) = self.steps.get(&version) else {
                return Err(MigrationError::Missing {
                    directory: self.directory.clone(),
                    name: format!("V{version}__{name}"),
                });
            };
            if step.migration.name() != name || step.migration.checksum() != *checksum {
                return Err(MigrationError::Divergent {
                    path: step.path.clone(),
                    version,
                    applied: format!("V{version}__{name}"),
                });
            }
        }
        let Some((&last, _)) = applied.last_key_value() else {
            return Ok(0);
        };
        match self
            .steps
            .range(..last)
            .find(|(version, _)| !applied.contains_key(version))
        {
            Some((_, step)) => Err(MigrationError::Late {
                path: step.path.clone(),
                last,
            }),
            None => Ok(applied.len()),
        }
    }
}

/// What was applied to the database of a connection, whose role is `owner`. Nothing is
/// made. The connection must resolve names to the server's own objects alone.
///
/// Only a table of the owner's own is read: a view in its place would run whatever its
/// author put into it, and the connection may be the superuser's.
pub fn applied(client: &mut Client, owner: &str) -> Result<Applied, MigrationError> {
    let failed = |error: Error| MigrationError::Sql {
        what: "reading what was applied".to_owned(),
        cause: describe::sql(&error),
    };
    let found = client
        .query_opt(
            "SELECT c.relkind::pg_catalog.text, pg_catalog.pg_get_userbyid(c.relowner)::pg_catalog.text \
             FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relname = 'refinery_schema_history'",
            &[],
        )
        .map_err(failed)?;
    let Some(found) = found else {
        return Ok(Applied::new());
    };
    let kind: String = found.try_get(0).map_err(failed)?;
    let seen: String = found.try_get(1).map_err(failed)?;
    let history = |why: String| MigrationError::History { why };
    if kind != "r" {
        let name = match kind.as_str() {
            "v" => "a view",
            "m" => "a materialized view",
            "f" => "a foreign table",
            "p" => "a partitioned table",
            _ => "something else",
        };
        return Err(history(format!(
            "{HISTORY} is {name}, and was not read. Put the table back"
        )));
    }
    if seen != owner {
        return Err(history(format!(
            "it belongs to {}, and was not read: migrations are applied as {owner}. \
             `ALTER TABLE {HISTORY} OWNER TO …` changes it",
            describe::printable(&seen)
        )));
    }
    let rows = client
        .query(
            &format!(
                "SELECT version::pg_catalog.int4, \
                 pg_catalog.left(name::pg_catalog.text, {LONGEST}), \
                 pg_catalog.left(checksum::pg_catalog.text, {LONGEST}) \
                 FROM ONLY {HISTORY} LIMIT {}",
                MOST_APPLIED + 1
            ),
            &[],
        )
        .map_err(|error| history(describe::sql(&error)))?;
    if rows.len() > MOST_APPLIED {
        return Err(history(format!("it has more than {MOST_APPLIED} rows")));
    }
    rows.iter()
        .map(|row| {
            let read = || -> Option<(i32, (String, u64))> {
                let checksum: String = row.try_get(2).ok()?;
                Some((
                    row.try_get(0).ok()?,
                    (row.try_get(1).ok()?, checksum.parse().ok()?),
                ))
            };
            read()
                .ok_or_else(|| history("a row without a version, a name or a checksum".to_owned()))
        })
        .collect()
}

/// Applies the migrations that are not in `done`, each in a transaction. The connection is
/// the owner's: what they make is the owner's, and what the owner made and they touch
/// (triggers, functions) runs with no more rights than the owner has.
pub fn apply(
    client: &mut Client,
    database: &PostgresDatabase,
    steps: &Steps,
    done: &Applied,
    say: &mut dyn FnMut(&str),
) -> Result<(), MigrationError> {
    for (_, step) in steps
        .steps
        .iter()
        .filter(|(version, _)| !done.contains_key(version))
    {
        let applied = one(client, &step.migration);
        if let Err(error) = applied {
            // The connection may have ended; then there is nothing left to take back.
            drop(client.batch_execute("ROLLBACK"));
            return Err(failure(step, &error));
        }
        say(&format!(
            "applied {} to database {}",
            step.migration, database.name
        ));
    }
    Ok(())
}

/// Applies one migration and writes it down, both or none. The table, and what stands in
/// it, are those of refinery, so that its own tools read it.
fn one(client: &mut Client, migration: &Migration) -> Result<(), Error> {
    client.batch_execute(&format!(
        "BEGIN; CREATE TABLE IF NOT EXISTS {HISTORY} (version pg_catalog.int4 PRIMARY KEY, \
         name pg_catalog.varchar(255), applied_on pg_catalog.varchar(255), \
         checksum pg_catalog.varchar(255))"
    ))?;
    client.batch_execute(migration.sql().unwrap_or_default())?;
    client.execute(
        &format!(
            "INSERT INTO {HISTORY} (version, name, applied_on, checksum) VALUES \
             ($1, $2, pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.now()), \
             'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), $3)"
        ),
        &[
            &migration.version(),
            &migration.name(),
            &migration.checksum().to_string(),
        ],
    )?;
    client.batch_execute("COMMIT")
}

fn failure(step: &Step, error: &Error) -> MigrationError {
    MigrationError::Failed {
        path: step.path.clone(),
        place: error
            .as_db_error()
            .and_then(|said| describe::place(said, step.migration.sql().unwrap_or_default())),
        cause: describe::sql(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn problem(files: &[(&str, &str)]) -> String {
        load(folder(files).path())
            .map(|_| ())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn names_order_and_what_is_none_of_them() {
        let folder = folder(&[
            ("V10__ten.sql", ""),
            ("V9__nine.sql", ""),
            ("V01__one.sql", ""),
            ("README.md", ""),
            ("V2__two.sql.orig", ""),
        ]);
        let steps = load(folder.path()).unwrap();
        let versions: Vec<i32> = steps.steps.keys().copied().collect();
        assert_eq!(versions, [1, 9, 10]);
        for name in [
            "one.sql",
            "1__one.sql",
            "V__one.sql",
            "V1_one.sql",
            "V1__.sql",
            "V1__a b.sql",
            "V1__a'b.sql",
            "V1__ä.sql",
            "V1.5__a.sql",
            "U1__a.sql",
            "v1__a.sql",
            "V2147483648__a.sql",
        ] {
            let message = problem(&[(name, "")]);
            assert!(
                message.contains(name) && message.contains("is not named"),
                "{message}"
            );
        }
        let message = problem(&[("V1__a.sql", ""), ("V01__b.sql", "")]);
        assert!(
            message.contains("V01__b.sql and ") && message.contains("V1__a.sql are of the same"),
            "{message}"
        );
    }

    #[test]
    fn what_can_not_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        assert!(matches!(
            load(&absent),
            Err(MigrationError::Unreadable { .. })
        ));
        fs::write(folder.path().join("V1__a.sql"), [0xff]).unwrap();
        let message = load(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(message.contains("V1__a.sql cannot be read"), "{message}");
        let large = fs::File::create(folder.path().join("V1__a.sql")).unwrap();
        large.set_len(MOST + 1).unwrap();
        assert!(matches!(
            load(folder.path()),
            Err(MigrationError::TooLarge { .. })
        ));
    }

    #[test]
    fn what_was_applied_must_be_the_beginning_of_what_is_there() {
        let folder = folder(&[("V1__a.sql", "x"), ("V2__b.sql", "y"), ("V4__d.sql", "z")]);
        let steps = load(folder.path()).unwrap();
        let row = |version: i32| {
            let migration = &steps.steps[&version].migration;
            (version, (migration.name().to_owned(), migration.checksum()))
        };
        let said = |applied: Applied| {
            steps.applied(&applied).map_err(|error| {
                error
                    .to_string()
                    .replace(folder.path().to_str().unwrap(), "")
            })
        };
        assert_eq!(said(Applied::new()), Ok(0));
        assert_eq!(said([row(1), row(2)].into()), Ok(2));
        assert_eq!(said([row(1), row(2), row(4)].into()), Ok(3));
        let late = said([row(1), row(4)].into()).unwrap_err();
        assert!(
            late.starts_with("/V2__b.sql was never applied, but the higher version 4 was"),
            "{late}"
        );
        let gone = said([row(1), (3, ("c".to_owned(), 1))].into()).unwrap_err();
        assert!(
            gone.starts_with("V3__c.sql was applied to this database and is not in"),
            "{gone}"
        );
        for other in [("a".to_owned(), 1), ("other".to_owned(), row(1).1.1)] {
            let edited = said([(1, other)].into()).unwrap_err();
            assert!(
                edited.starts_with("/V1__a.sql is not what was applied as version 1"),
                "{edited}"
            );
            assert!(
                edited.contains("applied migrations are never edited"),
                "{edited}"
            );
        }
    }
}
