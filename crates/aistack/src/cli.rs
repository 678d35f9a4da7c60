//! The command line: one subcommand a module below [`crate::commands`].
//!
//! Exit codes are the same for every command: 0 as it should be, 1 something
//! is not, 2 could not run (usage, unreadable input, wrong schema).

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands;

/// What a command found: the process's exit code when it ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything is as it should be (exit code 0).
    AsDeclared,
    /// Something is not (exit code 1); the command has said what.
    Differs,
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
    Prestart(commands::prestart::Args),
    #[command(hide = true)]
    Guard(commands::guard::Args),
    #[command(hide = true)]
    Network(commands::network::Args),
    Setup(commands::setup::Args),
    Rotate(commands::rotate::Args),
    Pull(commands::pull::Args),
    Apply(commands::apply::Args),
    Model(commands::model::Args),
    OllamaLoad(commands::ollama_load::Args),
    Images(commands::images::Args),
    Ask(commands::ask::Args),
    Generate(commands::ask::Generate),
    Review(commands::ask::Review),
    Chat(commands::ask::Chat),
}

/// The definition of the command line, from which man pages and completions are made.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line, runs the command and turns its result into an exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Facts(args) => commands::facts::run(&args),
        Command::Fit(args) => commands::fit::run(&args),
        Command::Init(args) => commands::init::run(&args),
        Command::Status(args) => commands::status::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Ports(args) => commands::ports::run(&args),
        Command::Prep(args) => commands::prep::run(&args),
        Command::Prestart(args) => commands::prestart::run(&args),
        Command::Guard(args) => commands::guard::run(&args),
        Command::Network(args) => commands::network::run(&args),
        Command::Setup(args) => commands::setup::run(&args),
        Command::Rotate(args) => commands::rotate::run(&args),
        Command::Pull(args) => commands::pull::run(&args),
        Command::Apply(args) => commands::apply::run(&args),
        Command::Model(args) => commands::model::run(&args),
        Command::OllamaLoad(args) => commands::ollama_load::run(&args),
        Command::Images(args) => commands::images::run(&args),
        Command::Ask(args) => commands::ask::run(&args),
        Command::Generate(args) => commands::ask::generate(&args),
        Command::Review(args) => commands::ask::review(&args),
        Command::Chat(args) => commands::ask::chat(&args),
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
