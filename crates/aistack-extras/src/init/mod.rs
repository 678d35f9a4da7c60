//! Writes the configuration of a new host or home, chosen from its hardware.
//!
//! The files are those of the flake's templates, compiled in, with this
//! machine's name, user and facts in place of the examples, and with a
//! `stack.nix` whose services follow from the hardware. The same templates are
//! what `nix flake init -t` copies.
//!
//! [`plan`] decides everything without touching the disk; [`write`] puts the
//! result there whole or not at all.

mod catalog;
mod choice;
mod name;
mod template;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;

use aistack_facts::Facts;

pub use catalog::CatalogError;
pub use choice::{Moved, Service};
pub use name::{HostName, NameError, SourceUrl, UserName};
pub use template::TemplateError;
pub use write::{WriteError, write};

/// What is made: a host or a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A NixOS machine with the stack in system scope.
    Workstation,
    /// A user's home, on any distribution, with the stack in user scope.
    Home,
}

/// What [`plan`] decides from.
pub struct Machine<'a> {
    /// The hardware.
    pub facts: &'a Facts,
    /// Whether a TCP port of 127.0.0.1 is taken on this machine now.
    pub port_taken: &'a dyn Fn(u16) -> bool,
    /// The text of the machine's own `hardware-configuration.nix`, if it has one.
    pub hardware_configuration: Option<&'a str>,
    /// A GGUF file that lies in the folder of models already, by its name.
    pub model: Option<&'a str>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Host or home.
    pub kind: Kind,
    /// Name of the host, in the flake and on the network. Of no use for a home.
    pub host: HostName,
    /// The user: the owner of the home, or the host's person.
    pub user: UserName,
    /// Where the flake gets aistack from.
    pub source: SourceUrl,
}

/// What would be written, and what to say of it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Text by path relative to the target directory.
    pub files: BTreeMap<PathBuf, String>,
    /// The services that are on.
    pub services: Vec<Service>,
    /// What a person should know: moved ports, what is left to fill in.
    pub notes: Vec<String>,
}

/// An error of [`plan`]: the templates or the catalog in this program are broken.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The catalog is.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A template is.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// Chooses services from the hardware and fills in the templates.
///
/// # Errors
///
/// When what is compiled in does not fit together, which the tests exclude.
pub fn plan(request: &Request, machine: &Machine<'_>) -> Result<Plan, PlanError> {
    let catalog = catalog::read()?;
    let choice = choice::choose(&catalog, machine);
    let mut notes: Vec<String> = choice
        .services
        .iter()
        .flat_map(|service| service.moved.iter().map(|m| m.note(&service.name)))
        .collect();
    let files = template::fill(request, machine, &choice, &mut notes)?;
    Ok(Plan {
        files,
        services: choice.services,
        notes,
    })
}
