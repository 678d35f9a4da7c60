//! `aistack images load`: images from files into podman.

use std::path::{Path, PathBuf};

use aistack_machine::command::search_path;
use aistack_machine::podman::Podman;
use aistack_provision::images::{Bundle, architecture};
use aistack_schema::{Image as StackImage, Loaded, Stack};
use anyhow::Result;

use crate::cli::Verdict;

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
pub(super) struct LoadArgs {
    /// The folder that `aistack images bundle` wrote
    #[arg(value_name = "DIR")]
    directory: PathBuf,

    /// The stack.json that wants the images
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,
}

pub(super) fn load(args: &LoadArgs) -> Result<Verdict> {
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
pub(super) fn declared<'a>(
    stack: &'a Stack,
    service: &str,
    reference: &str,
) -> Option<&'a StackImage> {
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
