//! Connections to the server, and statements with names in them.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use aistack_schema::PostgresDatabase;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Error};

use crate::postgres::client::Client;
use crate::postgres::{Server, SetupError, describe};

/// How long a connection may take, the first words of the protocol with it.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The database that every server has from its beginning; not an image's own, which
/// another declaration may name otherwise.
const MAINTENANCE: &str = "postgres";

/// Settings of a session that has the superuser's rights, or that reads what a role may
/// have prepared. They stand in the first message to the server, and so override what the
/// owner of a database set for its sessions (`ALTER DATABASE … SET`).
///
/// Names resolve to the server's own objects and to nothing else: without this, a
/// function, an operator or a view of the owner's is taken for the server's and runs with
/// the rights of the session. The schema of temporary objects is named so that it comes
/// last (<https://www.postgresql.org/docs/current/runtime-config-client.html>,
/// `search_path`).
const CATALOG_ONLY: &str = "-c search_path=pg_catalog,pg_temp -c role=none \
                            -c local_preload_libraries=";

/// What a session resolves names to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// The server's own objects alone.
    Catalog,
    /// Whatever the database and the role say: for migrations, which are written so.
    Declared,
}

/// Why there is no connection.
pub enum NoConnection {
    /// The address is not known to be the container's: it was not connected to.
    Stranger(String),
    /// The socket could not be had, or the server is not who it should be.
    Socket(io::Error),
    /// The client or the server said so.
    Said(Error),
    /// Nothing was said in time.
    TimedOut(Duration),
}

impl NoConnection {
    /// It in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Stranger(why) => {
                format!("no password was sent: {}", describe::printable(why))
            }
            Self::Socket(error) => describe::printable(&format!("error connecting: {error}")),
            Self::Said(error) => describe::sql(error),
            Self::TimedOut(limit) => format!("no answer within {} s", limit.as_secs_f64()),
        }
    }

    /// Whether the password was refused.
    pub fn is_password(&self) -> bool {
        matches!(self, Self::Said(error) if describe::is_password(error))
    }

    /// Whether another attempt may go better.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Said(error) => describe::is_transient(error),
            Self::Socket(_) | Self::TimedOut(_) => true,
            Self::Stranger(_) => false,
        }
    }

    /// The code of the server's error.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Said(error) => error.code(),
            Self::Stranger(_) | Self::Socket(_) | Self::TimedOut(_) => None,
        }
    }
}

/// Why there is no connection as the owner of a database.
pub(crate) enum OwnerError {
    /// Its password is not declared.
    NoPassword(String),
    /// The server takes none.
    NoConnection(NoConnection),
}

impl Server<'_> {
    /// A connection as some role to some database, within `limit`.
    pub(crate) fn connect(
        &self,
        user: &str,
        password: &[u8],
        database: &str,
        names: Names,
        options: &str,
        limit: Duration,
    ) -> Result<Client, NoConnection> {
        (self.prove)().map_err(NoConnection::Stranger)?;
        let options = match names {
            Names::Catalog => format!("{CATALOG_ONLY} {options}"),
            Names::Declared => options.to_owned(),
        };
        let mut config = Config::new();
        config
            .ssl_mode(SslMode::Disable)
            .user(user)
            .password(password)
            .dbname(database)
            .application_name("aistack")
            .options(options);
        Client::connect(self.address, &config, limit)
    }

    /// A connection as the superuser.
    pub(crate) fn superuser(&self, database: &str) -> Result<Client, NoConnection> {
        let (user, password) = (&self.declared.user, &self.passwords.superuser);
        self.connect(user, password, database, Names::Catalog, "", CONNECT_LIMIT)
    }

    /// A connection as the declared owner of a database, under its own name: a session
    /// that the superuser opened and that then took the owner's role (`SET ROLE`) goes
    /// back to the superuser's rights whenever a function of the owner's says so
    /// (`RESET ROLE`).
    pub(crate) fn owner(
        &self,
        database: &PostgresDatabase,
        names: Names,
        options: &str,
        limit: Option<Duration>,
    ) -> Result<Client, OwnerError> {
        let PostgresDatabase { name, owner, .. } = database;
        let password = if *owner == self.declared.user {
            &self.passwords.superuser
        } else {
            self.passwords
                .roles
                .get(owner)
                .ok_or_else(|| OwnerError::NoPassword(owner.clone()))?
        };
        let limit = limit.unwrap_or(CONNECT_LIMIT);
        self.connect(owner, password, name, names, options, limit)
            .map_err(OwnerError::NoConnection)
    }

    /// A connection as one of the declared roles, and what came of it.
    pub(crate) fn login(&self, role: &str, password: &[u8]) -> Result<(), NoConnection> {
        let tried = self.connect(
            role,
            password,
            MAINTENANCE,
            Names::Catalog,
            "",
            CONNECT_LIMIT,
        );
        match tried {
            Ok(_) => Ok(()),
            // Both come after the password was found right.
            Err(error)
                if [
                    &SqlState::INVALID_CATALOG_NAME,
                    &SqlState::INSUFFICIENT_PRIVILEGE,
                ]
                .into_iter()
                .any(|code| error.code() == Some(code)) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The superuser's connection for what concerns the whole server, to the one
    /// database that no declaration renames.
    pub(crate) fn administration(&self) -> Result<Client, NoConnection> {
        match self.superuser(MAINTENANCE) {
            // Dropped by somebody.
            Err(error) if error.code() == Some(&SqlState::INVALID_CATALOG_NAME) => {
                self.superuser(&self.declared.database)
            }
            other => other,
        }
    }

    pub(crate) fn unreachable(&self, error: &NoConnection) -> SetupError {
        SetupError::Unreachable {
            address: self.address,
            user: self.declared.user.clone(),
            cause: error.describe(),
        }
    }
}

/// Runs a statement that takes no parameters, with names and values put in by the
/// server: `%I` a name, `%L` a value (`format()`).
pub fn run(client: &mut Client, template: &str, values: &[&str]) -> Result<(), Error> {
    let places: Vec<String> = (1..=values.len())
        .map(|place| format!(", ${place}::pg_catalog.text"))
        .collect();
    // The template is this program's own text; what is declared goes as parameters.
    let query = format!(
        "SELECT pg_catalog.format($${template}$${})",
        places.concat()
    );
    let values: Vec<&(dyn ToSql + Sync)> = values
        .iter()
        .map(|value| value as &(dyn ToSql + Sync))
        .collect();
    let statement: String = client.query_one(&query, &values)?.try_get(0)?;
    client.batch_execute(&statement)
}

/// Asks again and again until `limit` has passed; whether the answer was yes.
pub fn wait_for(
    limit: Duration,
    interval: Duration,
    mut ask: impl FnMut() -> Result<bool, Error>,
) -> Result<bool, Error> {
    let deadline = Instant::now() + limit;
    loop {
        if ask()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(interval);
    }
}
