//! Connections to the server, and statements with names in them.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use postgres::config::SslMode;
use postgres::error::SqlState;
use postgres::types::ToSql;
use postgres::{Client, Config, Error, NoTls};

use crate::{Server, SetupError, describe};

/// How long a connection may take, the first words of the protocol with it.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The database that every server has from its beginning; not an image's own, which
/// another declaration may name otherwise.
const MAINTENANCE: &str = "postgres";

/// Why there is no connection.
pub enum NoConnection {
    /// The client or the server said so.
    Said(Error),
    /// Nothing was said in time.
    TimedOut(Duration),
}

impl NoConnection {
    /// It in words.
    pub fn describe(&self) -> String {
        match self {
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
            Self::TimedOut(_) => true,
        }
    }

    /// The code of the server's error.
    pub fn code(&self) -> Option<&SqlState> {
        match self {
            Self::Said(error) => error.code(),
            Self::TimedOut(_) => None,
        }
    }
}

impl Server<'_> {
    /// A connection as some role to some database, within `limit`.
    pub(crate) fn connect(
        &self,
        user: &str,
        password: &[u8],
        database: &str,
        options: &str,
        limit: Duration,
    ) -> Result<Client, NoConnection> {
        let mut config = Config::new();
        config
            .host(&self.address.ip().to_string())
            .port(self.address.port())
            .ssl_mode(SslMode::Disable)
            .user(user)
            .password(password)
            .dbname(database)
            .application_name("aistack")
            .options(options)
            .connect_timeout(limit);
        // The library's limit is the TCP connection's alone; who accepts and is silent
        // must not hang this.
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || drop(sender.send(config.connect(NoTls))));
        match receiver.recv_timeout(limit) {
            Ok(result) => result.map_err(NoConnection::Said),
            Err(_) => Err(NoConnection::TimedOut(limit)),
        }
    }

    /// A connection as the superuser.
    pub(crate) fn superuser(&self, database: &str) -> Result<Client, NoConnection> {
        let (user, password) = (&self.declared.user, &self.passwords.superuser);
        self.connect(user, password, database, "", CONNECT_LIMIT)
    }

    /// A connection as one of the declared roles, and what came of it.
    pub(crate) fn login(&self, role: &str, password: &[u8]) -> Result<(), NoConnection> {
        let tried = self.connect(role, password, MAINTENANCE, "", CONNECT_LIMIT);
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
        .map(|place| format!(", ${place}::text"))
        .collect();
    // The template is this program's own text; what is declared goes as parameters.
    let query = format!("SELECT format($${template}$${})", places.concat());
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
