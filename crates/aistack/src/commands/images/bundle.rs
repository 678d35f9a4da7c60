//! `aistack images bundle`: images as files, for machines without a network.

use std::path::PathBuf;

use aistack_provision::images::{Bundler, Made, architecture, mib};
use aistack_schema::Loaded;
use anyhow::Result;

use super::{Registries, chosen, of_stack};
use crate::cli::Verdict;

/// Write an archive of each service's image to a folder, for a machine without a network
///
/// Each is an oci-archive that brings the image under its name and tag, which is
/// what a service wants whose imageArchive is set. bundle.json lists them with
/// their hashes. What is there and whole is not fetched again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 all are there, 1 one is not, 2 could not run.")]
pub(super) struct BundleArgs {
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

pub(super) fn bundle(args: &BundleArgs) -> Result<Verdict> {
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
