//! What is declared of a service's databases and files, and how to reach it.

use std::net::SocketAddr;
use std::path::Path;

use aistack_machine::command::below;
use aistack_machine::contained;
use aistack_machine::secret::{self, SecretError};
use aistack_machine::sqlite::SqliteError;
use aistack_machine::systemd::Systemctl;
use aistack_schema::{Integrity, Postgres, Service};

use crate::postgres::Passwords;

/// Where a program of the host reaches the port of that name. `Stack::problems` has
/// seen that there is one.
#[must_use]
pub fn address(service: &Service, port: &str) -> Option<SocketAddr> {
    service.port(port).map(aistack_schema::Port::reachable)
}

/// Whether `address` is a service's container now. Every command of this program asks here
/// before it sends a password or a key there.
///
/// # Errors
/// Why not, in words.
pub fn prove(
    root: &Path,
    systemctl: Result<&Systemctl, &str>,
    service: &Service,
    address: SocketAddr,
) -> Result<(), String> {
    let systemctl = systemctl.map_err(str::to_owned)?;
    contained::prove(root, systemctl, &service.unit, address)
        .map_err(|error| aistack_machine::text::chain(&error))
}

/// The passwords of what is declared, from their files below `root`.
///
/// # Errors
/// When one can't be read: whose, with its option, and why.
pub fn passwords(
    root: &Path,
    service: &Service,
    postgres: &Postgres,
) -> Result<Passwords, (String, SecretError)> {
    let read =
        |path: &Path, what: String| secret::read(&below(root, path)).map_err(|error| (what, error));
    Ok(Passwords {
        superuser: superuser_password(root, service, postgres)?,
        roles: postgres
            .roles
            .iter()
            .map(|role| {
                let what = format!("password of {} ({})", role.name, role.option);
                Ok((role.name.clone(), read(&role.password_source, what)?))
            })
            .collect::<Result<_, _>>()?,
    })
}

/// The superuser's password from its file below `root`.
///
/// # Errors
/// As [`passwords`].
pub fn superuser_password(
    root: &Path,
    service: &Service,
    postgres: &Postgres,
) -> Result<Vec<u8>, (String, SecretError)> {
    secret::read(&below(root, &postgres.password_source)).map_err(|error| {
        let what = format!("password of {} ({})", postgres.user, service.option);
        (what, error)
    })
}

/// What to do about a database file that looks emptied.
#[must_use]
pub fn emptied_hint(entry: &Integrity, error: &SqliteError) -> Option<String> {
    match error {
        SqliteError::Empty { path }
        | SqliteError::NoTable { path }
        | SqliteError::Other { path, .. } => Some(format!(
            "nothing was changed: put a backup in its place, or move it away (`mv {0} {0}.bad`) to \
             begin anew; or change {1}",
            path.display(),
            entry.option
        )),
        SqliteError::Hidden { .. } | SqliteError::Unreadable { .. } => None,
    }
}
