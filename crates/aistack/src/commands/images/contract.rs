//! `aistack images contract`: whether an image fits its contract.

use std::path::PathBuf;

use aistack_machine::output::{self, Cell, FAINT};
use anyhow::{Result, bail};

use super::contracts;
use crate::cli::Verdict;

/// Print what upstream's image is: user, folders, programs, signals, what it needs and refuses
///
/// Evaluation checks each service against the contract of its image. An image of
/// your own has none: services.aiStack.<name>.contract states one.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 printed, 2 could not run.")]
pub(super) struct ContractArgs {
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

pub(super) fn contract(args: &ContractArgs) -> Result<Verdict> {
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
