//! One module a subcommand: its arguments and what it does with them.

pub mod facts;
