//! The command line of `aistack`, as a library: the program runs it, and `crates/xtask` makes
//! man pages and shell completions from it.

/// Prints a line, of which a terminal shows every character and acts on none. In place of
/// the standard library's, so that no command prints text of others as it is.
macro_rules! println {
    ($($text:tt)*) => { ::aistack_machine::output::say(&format!($($text)*)) };
}

/// The same on standard error.
macro_rules! eprintln {
    ($($text:tt)*) => { ::aistack_machine::output::complain(&format!($($text)*)) };
}

pub mod cli;
mod commands;
