//! Brings a `PostgreSQL` server to what is declared: roles and their passwords,
//! databases, extensions, versioned migrations. Nothing that is there is dropped,
//! and everything can be done again without harm.
//!
//! [`Server::setup`] changes, [`Server::examine`] only looks. Passwords reach the
//! server as SCRAM verifiers, so that its log never holds one, and no error holds a
//! password either. Names and values are quoted by the server itself (`format()`).
//!
//! The owner of a declared database is not trusted: it may make whatever it likes in its
//! database, and set what it likes for the sessions there. So a session of the superuser
//! resolves names to the server's own objects alone, from its first message on
//! ([`server`]), and evaluates nothing of the owner's; migrations and the table of what
//! was applied are read and written in sessions that the owner itself logs in to.

mod client;
mod describe;
mod examine;
mod extensions;
mod guard;
mod migrations;
mod server;
mod setup;
mod version;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use aistack_schema::Postgres;

pub use client::refusal;
pub use examine::{Examined, Seen};
pub use migrations::MigrationError;
pub use version::{VersionError, major};

/// Passwords by the role they are for; never shown.
pub struct Passwords {
    /// The superuser's.
    pub superuser: Vec<u8>,
    /// Those of the declared roles, by name.
    pub roles: BTreeMap<String, Vec<u8>>,
}

/// Runs a command with some bytes on its standard input where the server runs, in its
/// container; an error in words.
pub type Inside<'a> = &'a dyn Fn(&[&str], Vec<u8>) -> Result<(), String>;

/// Proves, before each connection, that the address is the declared container's; an error
/// in words.
pub type Prove<'a> = &'a (dyn Fn() -> Result<(), String> + Sync);

/// A server, and what it is to hold.
pub struct Server<'a> {
    /// What is declared.
    pub declared: &'a Postgres,
    /// Where it is reached from the host.
    pub address: SocketAddr,
    /// The passwords of the declared roles.
    pub passwords: &'a Passwords,
    /// The name of its container, for messages.
    pub container: &'a str,
    /// Whether the address is that container's now.
    pub prove: Prove<'a>,
}

/// Why a server could not be brought to what is declared.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// It takes no connection.
    #[error("PostgreSQL at {address} takes no connection as {user}: {cause}")]
    Unreachable {
        /// Where it was tried.
        address: SocketAddr,
        /// As whom.
        user: String,
        /// What was said.
        cause: String,
    },
    /// The superuser's password doesn't work, and could not be set.
    #[error(
        "PostgreSQL refuses the password of {user} from {}, and it could not be set to that from \
         inside the container: {cause}. If another user owns this data, change \
         services.aiStack.postgres.user back", file.display()
    )]
    Password {
        /// The superuser.
        user: String,
        /// The file with its password.
        file: PathBuf,
        /// What was said.
        cause: String,
    },
    /// A password that no server can take.
    #[error(
        "the password of {role} holds a zero byte, which PostgreSQL does not take: write another to its file"
    )]
    ZeroByte {
        /// Whose.
        role: String,
    },
    /// A role that is there for another purpose.
    #[error(
        "user {role} ({option}): a role of that name exists and may not log in, so it was left as \
         it is: choose another name, or run `ALTER ROLE … LOGIN` if it is meant"
    )]
    NoLogin {
        /// The role.
        role: String,
        /// Option path.
        option: String,
    },
    /// A role's password doesn't work, though it was just set.
    #[error("user {role} ({option}): its password was set, but does not work: {cause}")]
    RoleRefused {
        /// The role.
        role: String,
        /// Option path.
        option: String,
        /// What was said.
        cause: String,
    },
    /// Another setup is at work and doesn't end.
    #[error(
        "another `aistack setup` has been at work on this server for {} min: see pg_stat_activity",
        waited.as_secs() / 60
    )]
    Locked {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The server refused a statement, or the connection ended.
    #[error("{what} ({option}): {cause}")]
    Sql {
        /// What was being done.
        what: String,
        /// Option path.
        option: String,
        /// What the server said.
        cause: String,
        /// Whether the connection ended, so that it may go better at the next attempt.
        transient: bool,
    },
    /// The image has no such extension.
    #[error(
        "extension {extension} of database {database} ({option}): the image does not have it; \
         choose an image that has, or take it off the list"
    )]
    NoExtension {
        /// The extension.
        extension: String,
        /// The database.
        database: String,
        /// Option path.
        option: String,
    },
    /// An extension whose script would run among what others made.
    #[error(
        "extension {extension} of database {database} ({option}): it is not marked as trusted, so \
         its script may call what others made in its schema, with the superuser's rights: \
         {others}. Move that to another schema (`ALTER FUNCTION … SET SCHEMA …`), and back once \
         the extension is made"
    )]
    Untrusted {
        /// The extension.
        extension: String,
        /// The database.
        database: String,
        /// Option path.
        option: String,
        /// What others made, in words.
        others: String,
    },
    /// The migrations can't be read or don't go on from those that were applied.
    #[error("migrations of database {database} ({option}): {cause}")]
    Migrations {
        /// The database.
        database: String,
        /// Option path.
        option: String,
        /// Why.
        cause: MigrationError,
    },
}

impl SetupError {
    /// Whether another attempt may go better: the server is not there now.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Sql {
                    transient: true,
                    ..
                }
        )
    }
}
