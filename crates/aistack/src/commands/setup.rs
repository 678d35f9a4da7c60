//! `aistack setup`: what a service needs done once it runs.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aistack_machine::podman::Podman;
use aistack_machine::secret;
use aistack_provision::postgres::Server;
use aistack_provision::qdrant::{Found, QdrantError, declared};
use aistack_schema::{Collection, Postgres, Qdrant, Service};
use anyhow::Result;

use super::select::{self, Loaded, search_path};
use super::stores;
use crate::cli::Verdict;

/// A service that has just become healthy may still restart once (a database ends its
/// first initialisation so): a command is tried again before it has failed.
const ATTEMPTS: u32 = 5;
const WAIT: Duration = Duration::from_secs(2);

/// How long one request to qdrant may take: a collection is written to the disk.
const QDRANT_LIMIT: Duration = Duration::from_secs(30);

/// Bring what a service holds to what is declared, once it runs
///
/// Runs after the start of the container's unit, once it is healthy: the service's
/// own commands in its container; the users, databases, extensions and migrations of a
/// database server; the collections of a vector database. Running it again does no
/// harm, and nothing that is there is changed or deleted: what differs is said.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all done, 1 something failed, 2 could not run.")]
pub struct Args {
    /// The service
    service: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = select::load(&args.stack)?;
    loaded.check_owner()?;
    let service = loaded.service(&args.service)?;
    bring(&args.service, &loaded, service)
}

/// Does all that is declared to be done once the service runs.
pub fn bring(name: &str, loaded: &Loaded, service: &Service) -> Result<Verdict> {
    let failed = |problem: &str| {
        eprintln!("aistack: {name}: setup failed: {problem}");
        Verdict::Differs
    };
    if !service.setup.is_empty() {
        let podman = Podman::new(search_path().as_deref())?;
        for command in &service.setup {
            if let Err(error) = command_inside(&podman, service, command) {
                return Ok(failed(&format!("({}): {error}", service.option)));
            }
        }
    }
    let mut verdict = Verdict::AsDeclared;
    let postgres = service
        .postgres
        .iter()
        .flat_map(|postgres| of_postgres(name, loaded, service, postgres));
    let qdrant = service
        .qdrant
        .iter()
        .flat_map(|qdrant| of_qdrant(name, loaded, service, qdrant));
    for problem in postgres.chain(qdrant) {
        verdict = failed(&problem);
    }
    Ok(verdict)
}

/// Asks whether `address` is the service's container now.
fn proof(
    loaded: &Loaded,
    service: &Service,
    address: SocketAddr,
) -> impl Fn() -> Result<(), String> + Sync {
    let systemctl = loaded
        .systemctl()
        .map_err(|error| aistack_machine::text::error(&error));
    move || {
        let systemctl = systemctl.as_ref().map_err(String::as_str);
        stores::prove(Path::new("/"), systemctl, service, address)
    }
}

fn command_inside(
    podman: &Podman,
    service: &Service,
    command: &[String],
) -> Result<(), aistack_machine::command::CommandError> {
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
        .setup(&inside, &mut |line| println!("{name}: {line}"))
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
    let client = match aistack_provision::qdrant::Qdrant::new(address, key, QDRANT_LIMIT, &prove) {
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
    client: &aistack_provision::qdrant::Qdrant<'_>,
    collection: &Collection,
) -> Result<(), QdrantError> {
    let mut found = client.look(collection)?;
    if found == Found::Absent {
        if client.make(collection)? {
            println!(
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
        eprintln!(
            "aistack: {name}: collection {} ({}): {}",
            collection.name,
            collection.option,
            drift(collection, &seen)
        );
    }
    Ok(())
}

/// A collection of other vectors than the declared, and what to do.
pub fn drift(collection: &Collection, seen: &str) -> String {
    format!(
        "{} is declared, but it has {seen}; nothing was changed or deleted. Vectors of another \
         model do not fit: declare a new name and embed anew into it, or declare what is there",
        declared(collection)
    )
}
