//! Versioned migrations: files `V1__name.sql`, applied once each, in their order.
//!
//! refinery applies them and keeps its table `refinery_schema_history`, in the
//! schema `public` whatever the search path is: a migration that makes a schema named
//! as its owner would otherwise hide the table from the next run.

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aistack_stack::PostgresDatabase;
use postgres::{Client, Error};
use refinery::{Migration, Runner, Target};

use crate::describe;
use crate::server::run;

/// The table of what was applied.
const HISTORY: &str = "public.refinery_schema_history";
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
type Applied = BTreeMap<i32, (String, u64)>;

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
        let mut text = String::new();
        File::open(&path)
            .and_then(|file| file.take(MOST + 1).read_to_string(&mut text))
            .map_err(unreadable(&path))?;
        if text.len() as u64 > MOST {
            return Err(MigrationError::TooLarge { path });
        }
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

/// What was applied to the database of a connection. Nothing is made.
pub fn applied(client: &mut Client) -> Result<Applied, MigrationError> {
    let failed = |error: Error| MigrationError::Sql {
        what: "reading what was applied".to_owned(),
        cause: describe::sql(&error),
    };
    let there: bool = client
        .query_one("SELECT to_regclass($1::text) IS NOT NULL", &[&HISTORY])
        .and_then(|row| row.try_get(0))
        .map_err(failed)?;
    if !there {
        return Ok(Applied::new());
    }
    // Looked at before refinery does, which takes it for granted.
    let rows = client
        .query(
            &format!(
                "SELECT version::int4, name::text, checksum::text, applied_on::text FROM {HISTORY}"
            ),
            &[],
        )
        .map_err(|error| MigrationError::History {
            why: describe::sql(&error),
        })?;
    rows.iter()
        .map(|row| {
            let read = || -> Option<(i32, (String, u64))> {
                let checksum: String = row.try_get(2).ok()?;
                let _when: String = row.try_get(3).ok()?;
                Some((
                    row.try_get(0).ok()?,
                    (row.try_get(1).ok()?, checksum.parse().ok()?),
                ))
            };
            read().ok_or_else(|| MigrationError::History {
                why: "a row without a version, a name, a time or a checksum".to_owned(),
            })
        })
        .collect()
}

/// Applies what is pending, each in a transaction, as the owner of the database: what
/// they make is the owner's.
pub fn apply(
    client: &mut Client,
    database: &PostgresDatabase,
    steps: &Steps,
    say: &mut dyn FnMut(&str),
) -> Result<(), MigrationError> {
    let done = applied(client)?;
    steps.applied(&done)?;
    let pending: Vec<&Step> = steps
        .steps
        .iter()
        .filter(|(version, _)| !done.contains_key(version))
        .map(|(_, step)| step)
        .collect();
    if pending.is_empty() {
        return Ok(());
    }
    run(client, "SET ROLE %I", &[&database.owner]).map_err(|error| MigrationError::Sql {
        what: format!("becoming {}, who owns it", database.owner),
        cause: describe::sql(&error),
    })?;
    let all: Vec<Migration> = steps
        .steps
        .values()
        .map(|step| step.migration.clone())
        .collect();
    for step in pending {
        let mut runner = Runner::new(&all)
            .set_abort_divergent(true)
            .set_abort_missing(true)
            // One at a time, so that an error is known to be this one's; grouped, since
            // refinery otherwise writes it down in a transaction of its own, and one that
            // was applied and not written down would be applied again.
            .set_grouped(true)
            .set_target(Target::Version(step.migration.version()));
        runner.set_migration_table_name(HISTORY);
        runner.run(client).map_err(|error| failure(step, &error))?;
        say(&format!(
            "applied {} to database {}",
            step.migration, database.name
        ));
    }
    Ok(())
}

fn failure(step: &Step, error: &refinery::Error) -> MigrationError {
    let cause = error
        .source()
        .and_then(|cause| cause.downcast_ref::<Error>());
    MigrationError::Failed {
        path: step.path.clone(),
        place: cause
            .and_then(Error::as_db_error)
            .and_then(|said| describe::place(said, step.migration.sql().unwrap_or_default())),
        cause: cause.map_or_else(|| error.to_string(), describe::sql),
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
