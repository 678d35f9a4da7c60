//! The work that a service needs once it runs.

use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::Duration;

use aistack_machine::command::CommandError;
use aistack_machine::command::search_path;
use aistack_machine::podman::Podman;
use aistack_machine::{complain, say, secret};
use aistack_schema::Loaded;
use aistack_schema::{Collection, Postgres, Qdrant, Service};

use crate::postgres::Server;
use crate::qdrant::{Found, QdrantError, declared};
use crate::stores;

/// A service that has just become healthy may still restart once (a database ends its
/// first initialisation so): a command is tried again before it has failed.
const ATTEMPTS: u32 = 5;
const WAIT: Duration = Duration::from_secs(2);

/// How long one request to qdrant may take: a collection is written to the disk.
const QDRANT_LIMIT: Duration = Duration::from_secs(30);

/// Does all that is declared to be done once the service runs.
/// Whether all of it is done; the rest is printed.
///
/// # Errors
/// When podman, which is needed, is missing.
pub fn bring(name: &str, loaded: &Loaded, service: &Service) -> Result<bool, CommandError> {
    let failed = |problem: &str| {
        complain!("aistack: {name}: setup failed: {problem}");
        false
    };
    if !service.setup.is_empty() {
        let podman = Podman::new(search_path().as_deref())?;
        for command in &service.setup {
            if let Err(error) = command_inside(&podman, service, command) {
                return Ok(failed(&format!("({}): {error}", service.option)));
            }
        }
    }
    let mut done = true;
    let postgres = service
        .postgres
        .iter()
        .flat_map(|postgres| of_postgres(name, loaded, service, postgres));
    let qdrant = service
        .qdrant
        .iter()
        .flat_map(|qdrant| of_qdrant(name, loaded, service, qdrant));
    for problem in postgres.chain(qdrant) {
        done = failed(&problem);
    }
    Ok(done)
}

/// Asks whether `address` is the service's container now.
fn proof(
    loaded: &Loaded,
    service: &Service,
    address: SocketAddr,
) -> impl Fn() -> Result<(), String> + Sync {
    let systemctl = loaded
        .systemctl()
        .map_err(|error| aistack_machine::text::chain(&error));
    move || {
        let systemctl = systemctl.as_ref().map_err(String::as_str);
        stores::prove(Path::new("/"), systemctl, service, address)
    }
}

fn command_inside(
    podman: &Podman,
    service: &Service,
    command: &[String],
) -> Result<(), CommandError> {
    let mut attempt = 1;
    loop {
        match podman.exec(&service.container, command) {
            Err(_) if attempt < ATTEMPTS => {}
            result => return result,
        }
        attempt += 1;
        thread::sleep(WAIT);
    }
}

/// The problems of what a `PostgreSQL` is to hold.
fn of_postgres(name: &str, loaded: &Loaded, service: &Service, postgres: &Postgres) -> Vec<String> {
    let Some(address) = stores::address(service, &postgres.port) else {
        return Vec::new();
    };
    let passwords = match stores::passwords(Path::new("/"), service, postgres) {
        Ok(passwords) => passwords,
        Err((what, error)) => return vec![format!("{what}: {error}")],
    };
    let prove = proof(loaded, service, address);
    let server = Server {
        declared: postgres,
        address,
        passwords: &passwords,
        container: &service.container,
        prove: &prove,
    };
    let inside = |command: &[&str], input: Vec<u8>| {
        Podman::new(search_path().as_deref())
            .and_then(|podman| podman.exec_with_input(&service.container, command, input))
            .map_err(|error| error.to_string())
    };
    server
        .setup(&inside, &mut |line| say!("{name}: {line}"))
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// The problems of what a qdrant is to hold. A collection of other vectors is said and
/// is none: its data would be lost with it, and the others can be used.
fn of_qdrant(name: &str, loaded: &Loaded, service: &Service, qdrant: &Qdrant) -> Vec<String> {
    let Some(address) = stores::address(service, &qdrant.port) else {
        return Vec::new();
    };
    let key = match qdrant.api_key_source.as_deref().map(secret::read) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(error)) => return vec![format!("API key ({}): {error}", service.option)],
    };
    let prove = proof(loaded, service, address);
    let client = match crate::qdrant::Qdrant::new(address, key, QDRANT_LIMIT, &prove) {
        Ok(client) => client,
        Err(error) => return vec![error.to_string()],
    };
    qdrant
        .collections
        .iter()
        .filter_map(|collection| {
            let mut attempt = 1;
            let error = loop {
                match of_collection(name, &client, collection) {
                    Err(error) if attempt < ATTEMPTS && error.is_transient() => {}
                    Err(error) => break error,
                    Ok(()) => return None,
                }
                attempt += 1;
                thread::sleep(WAIT);
            };
            Some(format!(
                "collection {} ({}): {error}",
                collection.name, collection.option
            ))
        })
        .collect()
}

fn of_collection(
    name: &str,
    client: &crate::qdrant::Qdrant<'_>,
    collection: &Collection,
) -> Result<(), QdrantError> {
    let mut found = client.look(collection)?;
    if found == Found::Absent {
        if client.make(collection)? {
            say!(
                "{name}: made collection {} ({})",
                collection.name,
                declared(collection)
            );
            return Ok(());
        }
        // Made by somebody else between the two.
        found = client.look(collection)?;
    }
    if let Found::Other(seen) = found {
        complain!(
            "aistack: {name}: collection {} ({}): {}",
            collection.name,
            collection.option,
            drift(collection, &seen)
        );
    }
    Ok(())
}

/// A collection of other vectors than the declared, and what to do.
#[must_use]
pub fn drift(collection: &Collection, seen: &str) -> String {
    format!(
        "{} is declared, but it has {seen}; nothing was changed or deleted. Vectors of another \
         model do not fit: declare a new name and embed anew into it, or declare what is there",
        declared(collection)
    )
}
