//! One module a subcommand: its arguments and what it does with them.

pub mod apply;
pub mod ask;
pub mod check;
pub mod facts;
pub mod fit;
pub mod guard;
pub mod images;
pub mod init;
pub mod model;
pub mod network;
pub mod ollama_load;
pub mod ports;
pub mod prep;
pub mod prestart;
pub mod pull;
pub mod rotate;
pub mod select;
pub mod setup;
pub mod status;
