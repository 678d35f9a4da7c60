//! `aistack images`: the pinned container images.

use std::path::{Path, PathBuf};
use std::thread;

use aistack_machine::podman::Podman;
use aistack_provision::images::{
    Bundle, Bundler, Contracts, Difference, Entry, Image, Lock, Made, RegistryError, Skopeo,
    architecture, mib,
};
use aistack_schema::{Image as StackImage, Stack};
use anyhow::{Result, bail};
use serde::Serialize;

use super::select;
use crate::cli::Verdict;
use aistack_machine::command::search_path;
use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD};
use aistack_schema::Loaded;

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

/// Show the images and by what they are pinned
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 every image is pinned by digest, 1 one is by its tag only, \
                  2 could not run."
)]
struct ListArgs {
    #[command(flatten)]
    declared: Declared,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Ask the registries for the digests of the tags, and write them to the lock
///
/// A registry that can't be reached leaves its entries as they are and does not
/// stop the others. Of an image for several processors it is the digest of the
/// index, so that one lock serves all of them. Of an image that changes it says how
/// the new one is run otherwise: user, entry point, command, ports, variables.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 1 a registry gave no digest, 2 could not run.")]
struct UpdateArgs {
    /// Entries to update [default: those of --tag, or else all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The lock to update
    #[arg(long, value_name = "FILE")]
    lock: PathBuf,

    /// Take another tag for an entry (may be given more than once)
    #[arg(long = "tag", value_name = "NAME=TAG", value_parser = parse_tag)]
    tags: Vec<(String, String)>,

    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    registries: Registries,
}

/// Check that the images are in their registries, with their digests and for this processor
///
/// An image that has a contract is compared with it: what its configuration says of
/// user, entry point, command, working folder, ports, volumes and variables must be
/// what the contract says, as far as that is known.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 all are there and as their contracts say, 1 one is not, 2 could \
                  not run."
)]
struct VerifyArgs {
    /// Images to check [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    #[command(flatten)]
    declared: Declared,

    /// Check for this processor (amd64, arm64 …) [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    /// Folder of contracts [default: those of this version of aistack]
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,

    #[command(flatten)]
    registries: Registries,
}

/// Print what upstream's image is: user, folders, programs, signals, what it needs and refuses
///
/// Evaluation checks each service against the contract of its image. An image of
/// your own has none: services.aiStack.<name>.contract states one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 printed, 2 could not run.")]
struct ContractArgs {
    /// A contract, or the repository of an image [default: list the contracts]
    #[arg(value_name = "NAME")]
    name: Option<String>,

    /// Folder of contracts [default: those of this version of aistack]
    #[arg(long, value_name = "DIR")]
    contracts: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Write an archive of each service's image to a folder, for a machine without a network
///
/// Each is an oci-archive that brings the image under its name and tag, which is
/// what a service wants whose imageArchive is set. bundle.json lists them with
/// their hashes. What is there and whole is not fetched again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all are there, 1 one is not, 2 could not run.")]
struct BundleArgs {
    /// The folder; it is made when it is missing
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// Services whose images are wanted [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,

    /// The stack.json that declares the services
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// The processor of the other machine (amd64, arm64 …) [default: this machine's]
    #[arg(long, value_name = "ARCH")]
    arch: Option<String>,

    #[command(flatten)]
    registries: Registries,
}

/// Load the archives of a bundle into podman, and say which images are still missing
///
/// Runs as the owner of the stack, whose podman gets them. Loaded are only images that
/// the stack declares, and no archive whose hash is not the one in bundle.json or that
/// brings other images as well.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 podman has every image of the stack, 1 one is missing or an \
                  archive is bad, 2 could not run."
)]
struct LoadArgs {
    /// The folder that `aistack images bundle` wrote
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The stack.json that wants the images
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (name, tag) = text.split_once('=').ok_or("not NAME=TAG")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if tag.starts_with(['-', '.']) || tag.is_empty() || !tag.chars().all(allowed) {
        return Err("TAG holds letters, digits, - _ and . alone".to_owned());
    }
    Ok((name.to_owned(), tag.to_owned()))
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

fn list(args: &ListArgs) -> Result<Verdict> {
    let report = Report {
        schema: 1,
        images: args.declared.list()?,
    };
    let loose: Vec<&str> = report
        .images
        .iter()
        .filter(|image| image.is_tag_only())
        .map(|image| image.name.as_str())
        .collect();
    if args.json {
        output::print_json(&report)?;
    } else {
        output::print(&table(&report.images))?;
    }
    if !loose.is_empty() {
        eprintln!(
            "aistack: pinned by tag only, so tomorrow it may be another image: {}; `aistack images \
             update` pins the entries of a lock",
            loose.join(", ")
        );
    }
    Ok(Verdict::of(loose.is_empty()))
}

fn table(images: &[Listed]) -> String {
    let mut rows = vec![
        ["NAME", "IMAGE", "TAG", "PINNED BY"]
            .map(|title| Cell::styled(title, FAINT))
            .to_vec(),
    ];
    rows.extend(images.iter().map(|image| {
        let pinned = match (&image.archive, &image.digest) {
            (Some(archive), _) => Cell::styled(archive.display().to_string(), GOOD),
            (None, Some(digest)) => Cell::styled(digest.clone(), GOOD),
            (None, None) => Cell::styled("tag only", BAD),
        };
        vec![
            Cell::plain(&image.name),
            Cell::plain(&image.image),
            Cell::plain(image.tag.as_deref().unwrap_or("-")),
            pinned,
        ]
    }));
    let mut lines = output::table(&rows);
    lines.push(String::new());
    lines.join("\n")
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

fn update(args: &UpdateArgs) -> Result<Verdict> {
    let mut lock = Lock::read(&args.lock)?;
    let known: Vec<&str> = lock.entries().map(|(name, _)| name).collect();
    let named = || {
        args.names
            .iter()
            .chain(args.tags.iter().map(|(name, _)| name))
    };
    check_names(named(), &known, &args.lock.display().to_string())?;
    let skopeo = args.registries.skopeo()?;

    let wanted: Vec<(String, Entry, String)> = lock
        .entries()
        .filter(|(name, _)| named().next().is_none() || named().any(|named| named == name))
        .filter_map(|(name, entry)| {
            let tag = args.tags.iter().rev().find(|(named, _)| named == name);
            let tag = tag.map_or_else(|| entry.tag.clone(), |(_, tag)| Some(tag.clone()));
            if tag.is_none() {
                println!(
                    "{name}: has a digest and no tag to follow: --tag {name}=TAG gives it one"
                );
            }
            Some((name.to_owned(), entry.clone(), tag?))
        })
        .collect();
    let answers = ask_all(&wanted, |(_, entry, tag)| {
        skopeo.raw(&entry.name, &format!("{}:{tag}", entry.name))
    });

    let (mut changed, mut failed) = (0, 0);
    for ((name, old, tag), answer) in wanted.into_iter().zip(answers) {
        match answer {
            Ok(raw) => {
                let new = Entry {
                    name: old.name.clone(),
                    tag: Some(tag),
                    digest: Some(raw.digest),
                    contract: old.contract.clone(),
                };
                if new == old {
                    println!("{name}: {} is up to date", pin(&old));
                } else {
                    println!("{name}: {} → {}", pin(&old), pin(&new));
                    for line in changed_config(&skopeo, &name, &old, &new) {
                        println!("  {line}");
                    }
                    lock.replace(&name, new);
                    changed += 1;
                }
            }
            Err(error) => {
                eprintln!("aistack: {name} stays as it is: {error}");
                failed += 1;
            }
        }
    }
    let path = args.lock.display();
    if args.dry_run {
        println!("{path}: {changed} would change");
    } else if changed > 0 {
        lock.write(&args.lock)?;
        println!("{path}: {changed} changed");
    }
    Ok(Verdict::of(failed == 0))
}

fn image_of(name: &str, entry: &Entry) -> Image {
    Image {
        label: name.to_owned(),
        name: entry.name.clone(),
        tag: entry.tag.clone(),
        digest: entry.digest.clone(),
    }
}

/// How the new image is run otherwise than the old one, a line for each difference.
fn changed_config(skopeo: &Skopeo, name: &str, old: &Entry, new: &Entry) -> Vec<String> {
    if old.digest.is_none() && old.tag == new.tag {
        // What the tag stood for before is not known.
        return Vec::new();
    }
    let read = |entry: &Entry| {
        let image = image_of(name, entry);
        skopeo.config(&image.name, &image.source(), architecture())
    };
    match (read(old), read(new)) {
        (Ok(old), Ok(new)) => old
            .changes(&new)
            .iter()
            .map(|d| format!("{}: {} → {}", d.field, quoted(&d.before), quoted(&d.after)))
            .collect(),
        (Err(error), _) => vec![format!(
            "the old image's configuration cannot be compared: {error}"
        )],
        (_, Err(error)) => vec![format!(
            "the new image's configuration cannot be compared: {error}"
        )],
    }
}

/// A value from a registry, which may hold anything.
fn quoted(value: &str) -> String {
    format!("{value:?}")
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

fn contract(args: &ContractArgs) -> Result<Verdict> {
    let contracts = contracts(args.contracts.as_deref())?;
    let Some(name) = &args.name else {
        let mut rows = vec![
            ["NAME", "IMAGE", "VERSION"]
                .map(|title| Cell::styled(title, FAINT))
                .to_vec(),
        ];
        rows.extend(contracts.all().map(|(name, contract)| {
            vec![
                Cell::plain(name),
                Cell::plain(contract.image.as_deref().unwrap_or("(the user's own)")),
                Cell::plain(contract.version.as_deref().unwrap_or("-")),
            ]
        }));
        let mut lines = output::table(&rows);
        lines.push(String::new());
        output::print(&lines.join("\n"))?;
        return Ok(Verdict::AsDeclared);
    };
    let Some((_, contract)) = contracts.find(name) else {
        let known: Vec<&str> = contracts.all().map(|(name, _)| name).collect();
        bail!(
            "there is no contract for {name}: known are {}. Of another image evaluation assumes \
             that its program listens on the service's ports, runs as the definition's user (root \
             where there is none) and may write the data folders, that it has what the health \
             command calls, stops within 10 s of SIGTERM as its first process, and knows the \
             arguments and variables that are rendered. To state what it is and have it checked, \
             set services.aiStack.<name>.contract",
            known.join(", ")
        );
    };
    if args.json {
        output::print_json(contract)?;
    } else {
        let rows: Vec<Vec<Cell>> = contract
            .describe()
            .into_iter()
            .map(|(field, value)| vec![Cell::styled(field, FAINT), Cell::plain(value)])
            .collect();
        let mut lines = output::table(&rows);
        lines.push(String::new());
        output::print(&lines.join("\n"))?;
    }
    Ok(Verdict::AsDeclared)
}

/// Tag and digest of an entry, for people.
fn pin(entry: &Entry) -> String {
    let digest = entry.digest.as_deref().unwrap_or("(tag only)");
    format!("{} {digest}", entry.tag.as_deref().unwrap_or("(no tag)"))
}

fn verify(args: &VerifyArgs) -> Result<Verdict> {
    let images = chosen(args.declared.list()?, &args.names)?;
    let arch = args.arch.as_deref().unwrap_or_else(|| architecture());
    let skopeo = args.registries.skopeo()?;
    let contracts = contracts(args.contracts.as_deref())?;
    let answers = ask_all(&images, |image| {
        let image = image.to_image();
        let raw = skopeo.verify(&image, arch)?;
        let known = contracts.of_image(&image.name);
        let config = match known {
            Some(_) => Some(skopeo.config(&image.name, &image.source(), arch)?),
            None => None,
        };
        Ok((raw, known.zip(config)))
    });
    let (mut failures, mut other) = (Vec::new(), Vec::new());
    for (image, answer) in images.iter().zip(answers) {
        let name = &image.name;
        match answer {
            Ok((raw, known)) => {
                let differences = known.map(|((contract, facts), config)| {
                    let lines: Vec<String> = facts
                        .compare(&config)
                        .iter()
                        .map(|difference| disagreement(contract, difference))
                        .collect();
                    lines
                });
                let compared = match &differences {
                    None => "no contract to compare it with",
                    Some(lines) if lines.is_empty() => "as its contract says",
                    Some(_) => "not as its contract says",
                };
                let pinned = if image.digest.is_some() {
                    String::new()
                } else {
                    format!(", pinned by its tag only (now {})", raw.digest)
                };
                println!("{name}: is there for linux/{arch}{pinned}, {compared}");
                other.extend(
                    differences
                        .into_iter()
                        .flatten()
                        .map(|line| format!("{name}: {line}")),
                );
            }
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    if !other.is_empty() {
        eprintln!(
            "aistack: images are not as their contracts say; read upstream's sources at that \
             version and correct the contract, or take another image:\n  {}",
            other.join("\n  ")
        );
    }
    if !failures.is_empty() {
        eprintln!(
            "aistack: {} of {} can't be had for linux/{arch}:\n  {}",
            failures.len(),
            images.len(),
            failures.join("\n  ")
        );
    }
    Ok(Verdict::of(failures.is_empty() && other.is_empty()))
}

fn bundle(args: &BundleArgs) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    let images = chosen(of_stack(&loaded.stack), &args.names)?;
    let arch = args.arch.as_deref().unwrap_or_else(|| architecture());
    let skopeo = args.registries.skopeo()?;
    let mut bundler = Bundler::open(&skopeo, &args.directory, arch)?;
    let mut failures = Vec::new();
    for image in &images {
        let name = &image.name;
        println!("{name}: {}", image.to_image().source());
        match bundler.add(&image.to_image()) {
            Ok(Made::Kept(archive)) => println!("{name}: {} is there", archive.file),
            Ok(Made::New(archive)) => println!(
                "{name}: {} is there now ({} MiB)",
                archive.file,
                mib(archive.bytes)
            ),
            Err(error) => {
                eprintln!("aistack: {name}: {error}");
                failures.push(format!("{name}: {error}"));
            }
        }
    }
    if failures.is_empty() {
        println!(
            "on the other machine: aistack images load DIR --stack FILE, with \
             services.aiStack.<name>.imageArchive = \"DIR/<name>.tar\""
        );
    } else {
        eprintln!(
            "aistack: {} lacks {} of {}:\n  {}",
            args.directory.display(),
            failures.len(),
            images.len(),
            failures.join("\n  ")
        );
    }
    Ok(Verdict::of(failures.is_empty()))
}

fn load(args: &LoadArgs) -> Result<Verdict> {
    let loaded = Loaded::read(&args.stack)?;
    loaded.check_owner()?;
    let bundle = Bundle::read(&args.directory)?;
    let podman = Podman::new(search_path().as_deref())?;
    let mut well = true;
    for archive in bundle.archives() {
        let path = bundle.path(archive);
        let reference = &archive.reference;
        let Some(image) = declared(&loaded.stack, &archive.service, reference) else {
            println!(
                "{}: {reference} is not an image of the stack, and is not loaded",
                archive.service
            );
            continue;
        };
        let result = if archive.architecture == architecture() {
            let hash = image.archive_sha256.as_ref();
            match hash {
                Some(hash) if *hash != archive.sha256 => Err(format!(
                    "{} has the SHA-256 {} by its list, and the stack declares {hash}",
                    path.display(),
                    archive.sha256
                )),
                _ => bundle
                    .check(archive)
                    .map_err(|error| error.to_string())
                    .and_then(|checked| bring(&podman, checked.path(), reference)),
            }
        } else {
            Err(format!(
                "{} is for linux/{}, and this machine is linux/{}",
                path.display(),
                archive.architecture,
                architecture()
            ))
        };
        match result {
            Ok(()) => println!("{}: {reference} is there now", archive.service),
            Err(error) => {
                eprintln!("aistack: {}: {error}", archive.service);
                well = false;
            }
        }
    }
    let missing = missing(&loaded, &bundle, &args.directory, &podman)?;
    for line in &missing {
        eprintln!("aistack: {line}");
    }
    if missing.is_empty() {
        println!("podman has every image of {}", loaded.path.display());
    }
    Ok(Verdict::of(well && missing.is_empty()))
}

/// The declared image that the service's archive brings under this reference.
fn declared<'a>(stack: &'a Stack, service: &str, reference: &str) -> Option<&'a StackImage> {
    let image = &stack.services.get(service)?.image;
    let tagged = format!("{}:{}", image.name, image.tag.as_deref()?);
    (tagged == reference).then_some(image)
}

fn bring(podman: &Podman, archive: &Path, reference: &str) -> Result<(), String> {
    podman.load(archive).map_err(|error| error.to_string())?;
    match podman.image_exists(reference) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!(
            "{} was loaded, but podman has no {reference}: `podman images` shows what came out of \
             it",
            archive.display()
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// The services of the stack whose image podman doesn't have, and what to do.
fn missing(
    loaded: &Loaded,
    bundle: &Bundle,
    directory: &Path,
    podman: &Podman,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for (name, service) in &loaded.stack.services {
        let reference = &service.image.reference;
        if podman.image_exists(reference)? {
            continue;
        }
        let carried = bundle
            .archives()
            .iter()
            .find(|archive| archive.service == *name);
        lines.push(match carried {
            // The index's digest stays in the registry.
            Some(archive) if service.image.digest.is_some() => format!(
                "{name}: {reference} is missing: no archive brings an image under a digest; set \
                 {}.imageArchive = \"{}\" and switch",
                service.option,
                directory.join(&archive.file).display()
            ),
            Some(archive) => format!(
                "{name}: {reference} is missing: {} brings {}, so the bundle is of another \
                 declaration",
                archive.file, archive.reference
            ),
            None => format!("{name}: {reference} is missing, and not in the bundle"),
        });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        assert_eq!(
            parse_tag("ollama=0.36.0-rc1"),
            Ok(("ollama".to_owned(), "0.36.0-rc1".to_owned()))
        );
        for text in ["ollama", "ollama=", "ollama=-x", "ollama=a b", "ollama=a@b"] {
            assert!(parse_tag(text).is_err(), "{text}");
        }
    }
}
