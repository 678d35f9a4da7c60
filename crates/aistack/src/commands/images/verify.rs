//! `aistack images verify`: whether registries still have what is pinned.

use std::path::PathBuf;

use aistack_provision::images::{Entry, architecture};
use anyhow::Result;

use super::{Declared, Registries, ask_all, chosen, contracts, disagreement};
use crate::cli::Verdict;

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
pub(super) struct VerifyArgs {
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

/// Tag and digest of an entry, for people.
pub(super) fn pin(entry: &Entry) -> String {
    let digest = entry.digest.as_deref().unwrap_or("(tag only)");
    format!("{} {digest}", entry.tag.as_deref().unwrap_or("(no tag)"))
}

pub(super) fn verify(args: &VerifyArgs) -> Result<Verdict> {
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
