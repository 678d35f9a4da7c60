//! `aistack images`: the pinned container images.

mod bundle;
mod contract;
mod list;
mod load;
mod update;
mod verify;

use std::path::{Path, PathBuf};
use std::thread;

use aistack_machine::command::search_path;
use aistack_provision::images::{Contracts, Difference, Image, Lock, RegistryError, Skopeo};
use aistack_schema::Stack;
use anyhow::{Result, bail};
use serde::Serialize;

use super::select;
use crate::cli::Verdict;
use bundle::{BundleArgs, bundle};
use contract::{ContractArgs, contract};
use list::{ListArgs, list};
use load::{LoadArgs, load};
use update::{UpdateArgs, quoted, update};
use verify::{VerifyArgs, verify};

/// How many registries are asked at the same time.
const AT_ONCE: usize = 4;

/// List, pin and check the container images, and carry them to machines without a network
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(ListArgs),
    Update(UpdateArgs),
    Verify(VerifyArgs),
    Contract(ContractArgs),
    Bundle(BundleArgs),
    Load(LoadArgs),
}

/// Where the images are declared.
#[derive(Debug, clap::Args)]
struct Declared {
    /// The lock, as pkgs/images.json
    #[arg(long, value_name = "FILE", conflicts_with = "stack")]
    lock: Option<PathBuf>,

    /// The stack.json whose services' images are meant [default: the system's or the user's]
    #[arg(long, value_name = "FILE")]
    stack: Option<PathBuf>,
}

/// How registries are asked.
#[derive(Debug, clap::Args)]
struct Registries {
    /// Ask this registry without TLS (may be given more than once)
    #[arg(long = "insecure-registry", value_name = "HOST:PORT")]
    insecure: Vec<String>,
}

impl Registries {
    fn skopeo(&self) -> Result<Skopeo> {
        Ok(Skopeo::new(search_path().as_deref(), &self.insecure)?)
    }
}

/// An image, and the archive that it comes from where there is one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    image: String,
    tag: Option<String>,
    digest: Option<String>,
    archive: Option<PathBuf>,
}

impl Listed {
    fn is_tag_only(&self) -> bool {
        self.digest.is_none() && self.archive.is_none()
    }

    fn to_image(&self) -> Image {
        Image {
            label: self.name.clone(),
            name: self.image.clone(),
            tag: self.tag.clone(),
            digest: self.digest.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    schema: u64,
    images: Vec<Listed>,
}

impl Declared {
    fn list(&self) -> Result<Vec<Listed>> {
        if let Some(lock) = &self.lock {
            let lock = Lock::read(lock)?;
            return Ok(lock
                .entries()
                .map(|(name, entry)| Listed {
                    name: name.to_owned(),
                    image: entry.name.clone(),
                    tag: entry.tag.clone(),
                    digest: entry.digest.clone(),
                    archive: None,
                })
                .collect());
        }
        let loaded = select::one(self.stack.as_deref(), |_| true, "declares services.aiStack")?;
        Ok(of_stack(&loaded.stack))
    }
}

fn of_stack(stack: &Stack) -> Vec<Listed> {
    stack
        .services
        .iter()
        .map(|(name, service)| Listed {
            name: name.clone(),
            image: service.image.name.clone(),
            tag: service.image.tag.clone(),
            digest: service.image.digest.clone(),
            archive: service.image.archive.clone(),
        })
        .collect()
}

/// Refuses names that aren't among the known ones.
fn check_names<'a>(
    names: impl IntoIterator<Item = &'a String>,
    known: &[&str],
    place: &str,
) -> Result<()> {
    let unknown: Vec<&str> = names
        .into_iter()
        .map(String::as_str)
        .filter(|name| !known.contains(name))
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    bail!(
        "{place} has no image for {}: known are {}",
        unknown.join(", "),
        known.join(", ")
    )
}

/// Those of the images that were asked for; all when none was named.
fn chosen(images: Vec<Listed>, names: &[String]) -> Result<Vec<Listed>> {
    let known: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    check_names(names, &known, "what is declared")?;
    Ok(images
        .into_iter()
        .filter(|image| names.is_empty() || names.contains(&image.name))
        .collect())
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    match &args.command {
        Command::List(args) => list(args),
        Command::Update(args) => update(args),
        Command::Verify(args) => verify(args),
        Command::Contract(args) => contract(args),
        Command::Bundle(args) => bundle(args),
        Command::Load(args) => load(args),
    }
}

/// Asks about each item, some at the same time; answers in the order of the items.
fn ask_all<I: Sync, T: Send>(
    items: &[I],
    ask: impl Fn(&I) -> Result<T, RegistryError> + Sync,
) -> Vec<Result<T, String>> {
    let mut answers = Vec::new();
    for some in items.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let running: Vec<_> = some.iter().map(|item| scope.spawn(|| ask(item))).collect();
            answers.extend(running.into_iter().map(|thread| match thread.join() {
                Ok(answer) => answer.map_err(|error| error.to_string()),
                Err(_) => Err("the question ended early".to_owned()),
            }));
        });
    }
    answers
}

fn contracts(directory: Option<&Path>) -> Result<Contracts> {
    Ok(match directory {
        Some(directory) => Contracts::read(directory)?,
        None => Contracts::compiled()?,
    })
}

/// What the image's configuration and its contract say of a field.
fn disagreement(contract: &str, difference: &Difference) -> String {
    format!(
        "{} is {} in the image, and {} in the contract {contract}",
        difference.field,
        quoted(&difference.after),
        quoted(&difference.before)
    )
}
