//! `aistack-testdriver`: runs scenarios against a machine's stack.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
