//! `aistack-testdriver`: runs scenarios against a machine's stack.

use std::process::ExitCode;

fn main() -> ExitCode {
    aistack_testdriver::cli::run()
}
