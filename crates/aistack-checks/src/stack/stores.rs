//! What a service's databases hold, and whether its files look emptied.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aistack_machine::command::below;
use aistack_machine::secret::{self, SecretError};
use aistack_machine::sqlite::{self, SqliteError};
use aistack_machine::systemd::Systemctl;
use aistack_provision::postgres::{Passwords, Seen, Server};
use aistack_provision::qdrant::{Found as Held, declared};
use aistack_provision::{setup, stores};
use aistack_schema::{Integrity, IntegrityKind, Postgres, PostgresDatabase, Qdrant, Service};

use crate::finding::{Found, Kind};

/// Proves that an address is the service's container now.
type Prove<'a> = &'a (dyn Fn(SocketAddr) -> Result<(), String> + Sync);

/// One line: its kind, what was looked at, what was found.
pub(super) type Line = (Kind, String, Found);

/// The lines of a service; each connection and request may take `limit`.
pub(super) fn examine(
    root: &Path,
    systemctl: Result<&Systemctl, &str>,
    name: &str,
    service: &Service,
    limit: Duration,
) -> Vec<Line> {
    let prove = |address| stores::prove(root, systemctl, service, address);
    let mut lines = Vec::new();
    if let Some(postgres) = &service.postgres {
        lines.extend(of_postgres(root, &prove, name, service, postgres, limit));
    }
    if let Some(qdrant) = &service.qdrant {
        lines.extend(of_qdrant(root, &prove, name, service, qdrant, limit));
    }
    lines.extend(service.integrity.iter().map(|entry| of_file(root, entry)));
    lines
}

fn not_looked(error: &SecretError) -> Found {
    Found::Unseen(format!("was not looked at: {error}"))
}

fn of_postgres(
    root: &Path,
    prove: Prove<'_>,
    name: &str,
    service: &Service,
    postgres: &Postgres,
    limit: Duration,
) -> Vec<Line> {
    let Some(address) = stores::address(service, &postgres.port) else {
        return Vec::new();
    };
    let superuser = match stores::superuser_password(root, service, postgres) {
        Ok(password) => password,
        Err((_, error)) => {
            return postgres
                .databases
                .iter()
                .map(|database| (Kind::Database, database.name.clone(), not_looked(&error)))
                .collect();
        }
    };
    // What was applied is read as the owner.
    let mut unread: BTreeMap<&str, SecretError> = BTreeMap::new();
    let mut passwords = Passwords {
        superuser,
        roles: BTreeMap::new(),
    };
    for role in &postgres.roles {
        let owns = |database: &PostgresDatabase| {
            database.owner == role.name && database.migrations.is_some()
        };
        if postgres.databases.iter().any(owns) {
            match secret::read(&below(root, &role.password_source)) {
                Ok(password) => drop(passwords.roles.insert(role.name.clone(), password)),
                Err(error) => drop(unread.insert(&role.name, error)),
            }
        }
    }
    let unread_of = |name: &str| {
        postgres
            .databases
            .iter()
            .find(|database| database.name == name && database.migrations.is_some())
            .and_then(|database| unread.get(database.owner.as_str()))
    };
    let prove = || prove(address);
    let server = Server {
        declared: postgres,
        address,
        passwords: &passwords,
        container: &service.container,
        prove: &prove,
    };
    server
        .examine(limit)
        .into_iter()
        .map(|examined| {
            if let Some(error) = unread_of(&examined.database) {
                return (Kind::Database, examined.database, not_looked(error));
            }
            let found = match examined.seen {
                Seen::AsDeclared(words) => Found::Well(words),
                Seen::Differs(words) => Found::Bad(words, Some(again(name, service))),
            };
            (Kind::Database, examined.database, found)
        })
        .collect()
}

/// What brings a service's databases to what is declared.
fn again(name: &str, service: &Service) -> String {
    format!(
        "a restart of {} does what is missing, or says why it can't: `aistack setup {name} --stack \
         …` does so without one",
        service.unit
    )
}

fn of_qdrant(
    root: &Path,
    prove: Prove<'_>,
    name: &str,
    service: &Service,
    qdrant: &Qdrant,
    limit: Duration,
) -> Vec<Line> {
    let Some(address) = stores::address(service, &qdrant.port) else {
        return Vec::new();
    };
    let key = qdrant
        .api_key_source
        .as_deref()
        .map(|path| secret::read(&below(root, path)))
        .transpose();
    let prove = || prove(address);
    let client = match key {
        Ok(key) => aistack_provision::qdrant::Qdrant::new(address, key, limit, &prove)
            .map_err(|error| error.to_string()),
        Err(error) => {
            return qdrant
                .collections
                .iter()
                .map(|collection| {
                    let subject = collection.name.clone();
                    (Kind::Collection, subject, not_looked(&error))
                })
                .collect();
        }
    };
    qdrant
        .collections
        .iter()
        .map(|collection| {
            let seen = match &client {
                Ok(client) => client.look(collection).map_err(|error| error.to_string()),
                Err(error) => Err(error.clone()),
            };
            let found = match seen {
                Ok(Held::AsDeclared) => Found::Well(declared(collection)),
                Ok(Held::Absent) => {
                    Found::Bad("does not exist".to_owned(), Some(again(name, service)))
                }
                Ok(Held::Other(seen)) => Found::Bad(
                    setup::drift(collection, &seen),
                    Some(format!("{} declares it", collection.option)),
                ),
                Err(error) => Found::Bad(error, None),
            };
            (Kind::Collection, collection.name.clone(), found)
        })
        .collect()
}

fn of_file(root: &Path, entry: &Integrity) -> Line {
    let path = below(root, &entry.path);
    let found = match entry.kind {
        IntegrityKind::Sqlite => match sqlite::examine(&path) {
            Ok(true) => Found::Well("an SQLite database with tables".to_owned()),
            Ok(false) => Found::Well("is not there yet".to_owned()),
            Err(error @ SqliteError::Hidden { .. }) => Found::Unseen(error.to_string()),
            Err(error) => {
                let hint = stores::emptied_hint(entry, &error);
                Found::Bad(error.to_string(), hint)
            }
        },
    };
    (Kind::Data, entry.path.display().to_string(), found)
}
