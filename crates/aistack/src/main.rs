//! `aistack`: describes, checks and runs a machine's local AI stack.

use std::process::ExitCode;

fn main() -> ExitCode {
    aistack::cli::run()
}
