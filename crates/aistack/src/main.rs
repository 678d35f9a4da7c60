//! `aistack`: describes, checks and runs a machine's local AI stack.

mod cli;
mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
