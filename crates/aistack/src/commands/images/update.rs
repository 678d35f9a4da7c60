//! `aistack images update`: newer digests for the lock.

use std::path::PathBuf;

use aistack_provision::images::{Entry, Image, Lock, Skopeo, architecture};
use anyhow::Result;

use super::verify::pin;
use super::{Registries, ask_all, check_names};
use crate::cli::Verdict;

/// Ask the registries for the digests of the tags, and write them to the lock
///
/// A registry that can't be reached leaves its entries as they are and does not
/// stop the others. Of an image for several processors it is the digest of the
/// index, so that one lock serves all of them. Of an image that changes it says how
/// the new one is run otherwise: user, entry point, command, ports, variables.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 done, 1 a registry gave no digest, 2 could not run.")]
pub(super) struct UpdateArgs {
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

pub(super) fn parse_tag(text: &str) -> Result<(String, String), String> {
    let (name, tag) = text.split_once('=').ok_or("not NAME=TAG")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if tag.starts_with(['-', '.']) || tag.is_empty() || !tag.chars().all(allowed) {
        return Err("TAG holds letters, digits, - _ and . alone".to_owned());
    }
    Ok((name.to_owned(), tag.to_owned()))
}

pub(super) fn update(args: &UpdateArgs) -> Result<Verdict> {
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
pub(super) fn quoted(value: &str) -> String {
    format!("{value:?}")
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
