//! `aistack`: describes, checks and runs a machine's local AI stack.

/// Prints a line, of which a terminal shows every character and acts on none. In place of
/// the standard library's, so that no command prints text of others as it is.
macro_rules! println {
    ($($text:tt)*) => { $crate::commands::output::say(&format!($($text)*)) };
}

/// The same on standard error.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::commands::output::complain(&format!($($text)*)) };
}

mod cli;
mod commands;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
