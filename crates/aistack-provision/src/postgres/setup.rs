//! What `aistack setup` does on a server.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aistack_schema::{PostgresDatabase, PostgresRole};
use postgres_protocol::password::scram_sha_256;
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::postgres::client::Client;
use crate::postgres::examine::migrations_unseen;
use crate::postgres::migrations::MigrationError;
use crate::postgres::server::{Names, NoConnection, run, wait_for};
use crate::postgres::{Inside, Server, SetupError, describe, extensions, migrations};

/// How long a server may be away: it restarts once at the end of its first
/// initialisation, and its container is healthy by then.
const PATIENCE: Duration = Duration::from_secs(30);
const INTERVAL: Duration = Duration::from_millis(500);

/// How long another setup may take.
const LOCK_PATIENCE: Duration = Duration::from_mins(10);
const LOCK_INTERVAL: Duration = Duration::from_millis(250);
/// The advisory lock: `aistack` in ASCII.
const LOCK: i64 = 0x61_6973_7461_636b;

impl Server<'_> {
    /// Does what is missing; what was done and what is worth knowing goes to `say`.
    /// Empty: all is as declared.
    ///
    /// Where the server refuses the superuser's password, it is set through its
    /// socket, which `inside` reaches. A server that is not there is waited for, for
    /// half a minute. An error in one role or database does not stop the others.
    pub fn setup(&self, inside: Inside<'_>, say: &mut dyn FnMut(&str)) -> Vec<SetupError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let problems = self.attempt(inside, say);
            if Instant::now() >= deadline || !problems.iter().any(SetupError::is_transient) {
                return problems;
            }
            thread::sleep(INTERVAL);
        }
    }

    fn attempt(&self, inside: Inside<'_>, say: &mut dyn FnMut(&str)) -> Vec<SetupError> {
        let mut client = match self.open(inside, say) {
            Ok(client) => client,
            Err(error) => return vec![error],
        };
        if let Err(error) = lock(&mut client, say) {
            return vec![error];
        }
        let mut problems = Vec::new();
        for role in &self.declared.roles {
            problems.extend(self.role(&mut client, role, say).err());
        }
        for database in &self.declared.databases {
            match make(&mut client, database, say) {
                Ok(()) => self.contents(database, say, &mut problems),
                Err(error) => problems.push(error),
            }
        }
        problems
    }

    /// The superuser's connection, with its password set anew where it is refused.
    fn open(&self, inside: Inside<'_>, say: &mut dyn FnMut(&str)) -> Result<Client, SetupError> {
        let user = &self.declared.user;
        without_zero(user, &self.passwords.superuser)?;
        let refused = match self.administration() {
            Ok(client) => return Ok(client),
            Err(error) if error.is_password() => error,
            Err(error) => return Err(self.failed(&error)),
        };
        let failed = |cause: String| SetupError::Password {
            user: user.clone(),
            file: self.declared.password_source.clone(),
            cause,
        };
        let command = [
            "psql",
            "-qAtX",
            "-v",
            "ON_ERROR_STOP=1",
            // No line of the statement in an error.
            "-v",
            "VERBOSITY=terse",
            "-U",
            user,
            "-d",
            &self.declared.database,
        ];
        inside(&command, self.new_password().into_bytes())
            .map_err(|cause| failed(format!("{cause} ({})", refused.describe())))?;
        say(&format!("set the password of {user} to that of its file"));
        self.administration().map_err(|error| {
            if error.is_password() {
                failed(format!("it is refused still: {}", error.describe()))
            } else {
                self.failed(&error)
            }
        })
    }

    /// What psql reads. Hexadecimal digits need no quotes, and the server does the
    /// rest: psql has no parameters.
    fn new_password(&self) -> String {
        let hex = |text: &str| aistack_machine::text::hex(text.as_bytes());
        let text = |value: &str| {
            format!(
                "pg_catalog.convert_from(pg_catalog.decode('{}', 'hex'), 'UTF8')",
                hex(value)
            )
        };
        // First of all, as in every session of the superuser: names are those of the
        // server's own objects.
        format!(
            "SET search_path = pg_catalog, pg_temp;\n\
             SELECT pg_catalog.format('ALTER ROLE %I PASSWORD %L', {}, {}) \\gexec\n",
            text(&self.declared.user),
            text(&scram_sha_256(&self.passwords.superuser))
        )
    }

    fn failed(&self, error: &NoConnection) -> SetupError {
        if error.is_transient() {
            self.unreachable(error)
        } else {
            SetupError::Sql {
                what: format!("connecting as {}", self.declared.user),
                option: "services.aiStack.postgres".to_owned(),
                cause: error.describe(),
                transient: false,
            }
        }
    }

    fn role(
        &self,
        client: &mut Client,
        role: &PostgresRole,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), SetupError> {
        let PostgresRole { name, option, .. } = role;
        let Some(password) = self.passwords.roles.get(name) else {
            return Ok(());
        };
        without_zero(name, password)?;
        let failed = |error: &Error| refused(format!("user {name}"), option, error);
        let may_login: Option<bool> = client
            .query_opt(
                "SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1",
                &[name],
            )
            .and_then(|row| row.map(|row| row.try_get(0)).transpose())
            .map_err(|error| failed(&error))?;
        match may_login {
            Some(false) => {
                return Err(SetupError::NoLogin {
                    role: name.clone(),
                    option: option.clone(),
                });
            }
            Some(true) => match self.login(name, password) {
                Ok(()) => return Ok(()),
                Err(error) if error.is_password() => {}
                Err(error) => {
                    return Err(SetupError::Sql {
                        what: format!("user {name}"),
                        option: option.clone(),
                        cause: error.describe(),
                        transient: error.is_transient(),
                    });
                }
            },
            None => {}
        }
        let (statement, words) = if may_login.is_some() {
            (
                "ALTER ROLE %I PASSWORD %L",
                "set the password of user {} to that of its file",
            )
        } else {
            ("CREATE ROLE %I LOGIN PASSWORD %L", "made user {}")
        };
        run(client, statement, &[name, &scram_sha_256(password)])
            .map_err(|error| failed(&error))?;
        say(&words.replace("{}", name));
        // Expired, or kept out by pg_hba.conf: better said here than by a client.
        self.login(name, password)
            .map_err(|error| SetupError::RoleRefused {
                role: name.clone(),
                option: option.clone(),
                cause: error.describe(),
            })
    }

    /// Extensions and migrations of a database.
    fn contents(
        &self,
        database: &PostgresDatabase,
        say: &mut dyn FnMut(&str),
        problems: &mut Vec<SetupError>,
    ) {
        if database.extensions.is_empty() && database.migrations.is_none() {
            return;
        }
        let mut client = match self.superuser(&database.name) {
            Ok(client) => client,
            Err(error) => {
                problems.push(SetupError::Sql {
                    what: format!("database {}", database.name),
                    option: database.option.clone(),
                    cause: error.describe(),
                    transient: error.is_transient(),
                });
                return;
            }
        };
        let before = problems.len();
        for extension in &database.extensions {
            problems.extend(extensions::bring(self, &mut client, database, extension, say).err());
        }
        // Migrations may use what is missing; half of them would be no help.
        if problems.len() > before {
            return;
        }
        if let Some(directory) = &database.migrations {
            let done = self.migrate(&mut client, database, directory, say);
            if let Err(cause) = done {
                problems.push(SetupError::Migrations {
                    database: database.name.clone(),
                    option: database.option.clone(),
                    cause,
                });
            }
        }
    }

    /// Applies the migrations that are pending, as the owner of the database.
    fn migrate(
        &self,
        superuser: &mut Client,
        database: &PostgresDatabase,
        directory: &Path,
        say: &mut dyn FnMut(&str),
    ) -> Result<(), MigrationError> {
        let files = migrations::load(directory)?;
        let owner = &database.owner;
        if let Some(seen) = stranger(superuser, database)? {
            return Err(MigrationError::Owner {
                seen,
                owner: owner.clone(),
            });
        }
        let connect = |names| {
            self.owner(database, names, "", None)
                .map_err(|error| migrations_unseen(owner, error))
        };
        let applied = migrations::applied(&mut connect(Names::Catalog)?, owner)?;
        if files.applied(&applied)? == files.len() {
            return Ok(());
        }
        migrations::apply(
            &mut connect(Names::Declared)?,
            database,
            &files,
            &applied,
            say,
        )
    }
}

/// Who owns the database, where that is somebody else than a declared owner who is a
/// superuser.
fn stranger(
    client: &mut Client,
    database: &PostgresDatabase,
) -> Result<Option<String>, MigrationError> {
    client
        .query_opt(
            "SELECT pg_catalog.pg_get_userbyid(d.datdba)::pg_catalog.text \
             FROM pg_catalog.pg_database d, pg_catalog.pg_roles r \
             WHERE d.datname = $1 AND r.rolname = $2 AND r.rolsuper AND d.datdba <> r.oid",
            &[&database.name, &database.owner],
        )
        .and_then(|row| row.map(|row| row.try_get(0)).transpose())
        .map_err(|error| MigrationError::Sql {
            what: "asking who owns the database".to_owned(),
            cause: describe::sql(&error),
        })
}

/// Makes a database that is not there.
fn make(
    client: &mut Client,
    database: &PostgresDatabase,
    say: &mut dyn FnMut(&str),
) -> Result<(), SetupError> {
    let PostgresDatabase {
        name,
        owner,
        option,
        ..
    } = database;
    let failed = |error: &Error| refused(format!("database {name}"), option, error);
    let seen: Option<String> = client
        .query_opt(
            "SELECT pg_catalog.pg_get_userbyid(datdba)::pg_catalog.text \
             FROM pg_catalog.pg_database WHERE datname = $1",
            &[name],
        )
        .and_then(|row| row.map(|row| row.try_get(0)).transpose())
        .map_err(|error| failed(&error))?;
    match seen {
        Some(seen) if seen != *owner => say(&format!(
            "database {name} ({option}) belongs to {seen}, not to {owner}; it was left so: \
                 `ALTER DATABASE … OWNER TO …` changes it"
        )),
        Some(_) => {}
        None => {
            run(client, "CREATE DATABASE %I OWNER %I", &[name, owner])
                .map_err(|error| failed(&error))?;
            say(&format!("made database {name} for {owner}"));
        }
    }
    Ok(())
}

pub(crate) fn refused(what: String, option: &str, error: &Error) -> SetupError {
    let hint = if error.code() == Some(&SqlState::UNDEFINED_OBJECT) {
        "; a user that is declared nowhere is not made"
    } else {
        ""
    };
    SetupError::Sql {
        what,
        option: option.to_owned(),
        cause: format!("{}{hint}", describe::sql(error)),
        transient: describe::is_transient(error),
    }
}

/// The protocol ends a password with a zero byte.
fn without_zero(role: &str, password: &[u8]) -> Result<(), SetupError> {
    if password.contains(&0) {
        return Err(SetupError::ZeroByte {
            role: role.to_owned(),
        });
    }
    Ok(())
}

/// Keeps other setups out until the connection ends.
fn lock(client: &mut Client, say: &mut dyn FnMut(&str)) -> Result<(), SetupError> {
    let mut said = false;
    let taken = wait_for(LOCK_PATIENCE, LOCK_INTERVAL, || {
        let free: bool = client
            .query_one("SELECT pg_catalog.pg_try_advisory_lock($1)", &[&LOCK])?
            .try_get(0)?;
        if !free && !said {
            said = true;
            say("another setup is at work on this server; it is waited for");
        }
        Ok(free)
    });
    match taken {
        Ok(true) => Ok(()),
        Ok(false) => Err(SetupError::Locked {
            waited: LOCK_PATIENCE,
        }),
        Err(error) => Err(refused(
            "keeping other setups out".to_owned(),
            "services.aiStack.postgres",
            &error,
        )),
    }
}
