//! The command line: one subcommand a module below [`crate::commands`].
//!
//! Exit codes are the same for every command: 0 as it should be, 1 something
//! is not, 2 could not run (usage, unreadable input, wrong schema).

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;

/// What a command found: the process's exit code when it ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is as it should be (exit code 0).
    AsDeclared,
    /// Something is not (exit code 1); the command has said what.
    Differs,
}

impl Verdict {
    /// The verdict of a command that found everything as it should be, or not.
    #[must_use]
    pub fn of(as_declared: bool) -> Self {
        if as_declared {
            Self::AsDeclared
        } else {
            Self::Differs
        }
    }
}

/// Describes, checks and runs a machine's local AI stack.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "Exit codes: 0 as it should be, 1 something is not, 2 could not run."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Facts(commands::facts::Args),
    Fit(commands::fit::Args),
    Init(commands::init::Args),
    Status(commands::status::Args),
    Check(commands::check::Args),
    Ports(commands::ports::Args),
    Prep(commands::prep::Args),
    Model(commands::model::Args),
    Images(commands::images::Args),
    Ask(commands::ask::Args),
    Generate(commands::ask::Generate),
    Review(commands::ask::Review),
    Chat(commands::ask::Chat),
    /// Commands that the units of the stack run
    #[command(subcommand, hide = true)]
    Unit(Unit),
    /// The names that those commands had before they moved below `unit`.
    #[command(flatten)]
    Old(Unit),
}

#[derive(Debug, Subcommand)]
enum Unit {
    Prestart(commands::prestart::Args),
    Guard(commands::guard::Args),
    Network(commands::network::Args),
    Setup(commands::setup::Args),
    Rotate(commands::rotate::Args),
    Pull(commands::pull::Args),
    Apply(commands::apply::Args),
    OllamaLoad(commands::ollama_load::Args),
}

/// The definition of the command line, from which man pages and completions are made. The
/// old names of the commands below `unit` are hidden.
#[must_use]
pub fn command() -> clap::Command {
    let command = Cli::command();
    let unit = command.find_subcommand("unit").cloned();
    let old: Vec<String> = unit
        .iter()
        .flat_map(clap::Command::get_subcommands)
        .map(|command| command.get_name().to_owned())
        .collect();
    old.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |old| old.hide(true))
    })
}

/// Parses the command line, runs the command and turns its result into an exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    let result = match cli.command {
        Command::Facts(args) => commands::facts::run(&args),
        Command::Fit(args) => commands::fit::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Ports(args) => commands::ports::run(&args),
        Command::Prep(args) => commands::prep::run(&args),
        Command::Model(args) => commands::model::run(&args),
        Command::Images(args) => commands::images::run(&args),
        Command::Ask(args) => commands::ask::run(&args),
        Command::Generate(args) => commands::ask::generate(&args),
        Command::Review(args) => commands::ask::review(&args),
        Command::Chat(args) => commands::ask::chat(&args),
        Command::Unit(command) | Command::Old(command) => match command {
            Unit::Prestart(args) => commands::prestart::run(&args),
            Unit::Guard(args) => commands::guard::run(&args),
            Unit::Network(args) => commands::network::run(&args),
            Unit::Setup(args) => commands::setup::run(&args),
            Unit::Rotate(args) => commands::rotate::run(&args),
            Unit::Pull(args) => commands::pull::run(&args),
            Unit::Apply(args) => commands::apply::run(&args),
            Unit::OllamaLoad(args) => commands::ollama_load::run(&args),
        },
    };
    match result {
        Ok(Verdict::AsDeclared) => ExitCode::SUCCESS,
        Ok(Verdict::Differs) => ExitCode::from(1),
        Err(error) => {
            eprintln!("aistack: {error:#}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_units_have_two_names_and_only_one_is_shown() {
        let command = command();
        command.clone().debug_assert();
        let unit = command.find_subcommand("unit").unwrap();
        assert!(unit.is_hide_set());
        let inner: Vec<&str> = unit
            .get_subcommands()
            .map(clap::Command::get_name)
            .collect();
        assert_eq!(
            inner,
            [
                "prestart",
                "guard",
                "network",
                "setup",
                "rotate",
                "pull",
                "apply",
                "ollama-load"
            ]
        );
        for name in inner {
            assert!(!unit.find_subcommand(name).unwrap().is_hide_set(), "{name}");
            assert!(
                command.find_subcommand(name).unwrap().is_hide_set(),
                "{name}"
            );
        }
        assert!(!command.find_subcommand("check").unwrap().is_hide_set());
        for words in [
            ["aistack", "guard", "--stack", "x"].as_slice(),
            &["aistack", "unit", "guard", "--stack", "x"],
        ] {
            assert!(command.clone().try_get_matches_from(words).is_ok());
        }
    }
}
