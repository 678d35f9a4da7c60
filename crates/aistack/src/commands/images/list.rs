//! `aistack images list`: the images that are declared.

use aistack_machine::output::{self, BAD, Cell, FAINT, GOOD};
use anyhow::Result;

use super::{Declared, Listed, Report};
use crate::cli::Verdict;

/// Show the images and by what they are pinned
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 every image is pinned by digest, 1 one is by its tag only, \
                  2 could not run."
)]
pub(super) struct ListArgs {
    #[command(flatten)]
    declared: Declared,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn list(args: &ListArgs) -> Result<Verdict> {
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

pub(super) fn table(images: &[Listed]) -> String {
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
