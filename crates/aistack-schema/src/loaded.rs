//! A stack and the file that it came from.

use std::path::{Path, PathBuf};

use aistack_machine::Scope;
use aistack_machine::command::search_path;
use aistack_machine::systemd::{Systemctl, SystemdError};
use aistack_machine::users;

use crate::{LoadError, Service, Stack};

/// Why a stack can't be used for what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SelectError {
    /// It has no such service.
    #[error("{} has no service {name}: known are {}", path.display(), list(known.iter()))]
    NoService {
        /// The file.
        path: PathBuf,
        /// The name that was asked for.
        name: String,
        /// The services that it has.
        known: Vec<String>,
    },
    /// It is another user's, whose systemd and podman can't be reached.
    #[error(
        "{} is {owner}'s stack, and this runs as {user}: run it as {owner} \
         (`systemd-run --user --machine={owner}@ --pipe --wait aistack …`)",
        path.display()
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose stack it is.
        owner: String,
        /// Who runs this program.
        user: String,
    },
}

/// Names of services for a message.
pub fn list(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect();
    if names.is_empty() {
        "none, since the stack has no services".to_owned()
    } else {
        names.join(", ")
    }
}

/// A stack and the file that it came from.
#[derive(Debug)]
pub struct Loaded {
    /// The file.
    pub path: PathBuf,
    /// The stack.
    pub stack: Stack,
}

impl Stack {
    /// The services of these names, or all where there are none.
    pub fn chosen<'a>(
        &'a self,
        names: &[String],
    ) -> impl Iterator<Item = (&'a String, &'a Service)> {
        self.services
            .iter()
            .filter(move |(name, _)| names.is_empty() || names.contains(name))
    }
}

impl Loaded {
    /// Reads one stack.json.
    ///
    /// # Errors
    /// As [`Stack::load`].
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            path: path.to_owned(),
            stack: Stack::load(path)?,
        })
    }

    /// The service of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn service(&self, name: &str) -> Result<&Service, SelectError> {
        let services = &self.stack.services;
        services.get(name).ok_or_else(|| SelectError::NoService {
            path: self.path.clone(),
            name: name.to_owned(),
            known: services.keys().cloned().collect(),
        })
    }

    /// Refuses a user's stack for anybody but that user, whose systemd and
    /// podman can't be reached by others.
    ///
    /// # Errors
    /// When it is another user's.
    pub fn check_owner(&self) -> Result<(), SelectError> {
        let (Scope::User, Some(owner)) = (self.stack.scope, &self.stack.user) else {
            return Ok(());
        };
        match users::current() {
            Some(user) if user != *owner => Err(SelectError::Owner {
                path: self.path.clone(),
                owner: owner.clone(),
                user,
            }),
            _ => Ok(()),
        }
    }

    /// systemctl for the stack's scope.
    ///
    /// # Errors
    /// When the program is missing.
    pub fn systemctl(&self) -> Result<Systemctl, SystemdError> {
        Systemctl::new(self.stack.scope, search_path().as_deref()).map_err(SystemdError::Program)
    }
}
