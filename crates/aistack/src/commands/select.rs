//! Which stacks and which of their services a command is about.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use aistack_machine::command::below;
use aistack_machine::users;
use aistack_schema::{LoadError, Loaded, Scope, Service, Stack, default_path, list};
use anyhow::{Result, bail};

/// Stacks by file or by scope.
#[derive(Debug, clap::Args)]
pub struct Selection {
    /// Services to look at [default: all]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// Read this stack.json (may be given more than once) [default: the system's
    /// and the user's, where they exist]
    #[arg(long = "stack", value_name = "FILE", conflicts_with_all = ["user", "system"])]
    pub files: Vec<PathBuf>,

    // As help, not as a comment: the variable's name is no code there.
    #[arg(
        long,
        conflicts_with = "system",
        help = "The user's stack alone: $XDG_CONFIG_HOME/aistack/stack.json"
    )]
    pub user: bool,

    /// The system's stack alone: /etc/aistack/stack.json
    #[arg(long)]
    pub system: bool,

    /// Read /etc, /proc, /run and the data directories below this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    pub root: PathBuf,
}

impl Selection {
    /// The stacks, and an error when there are none.
    pub fn load(&self) -> Result<Vec<Loaded>> {
        let (stacks, looked_at) = self.find()?;
        if stacks.is_empty() {
            bail!(
                "no stack is declared here: neither {} exists. Enable services.aiStack and run \
                 `nixos-rebuild switch` or `home-manager switch`, or name a file with --stack",
                looked_at
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(" nor ")
            );
        }
        self.check_names(&stacks)?;
        Ok(stacks)
    }

    /// The stacks that are there, and the files that were looked for.
    pub fn find(&self) -> Result<(Vec<Loaded>, Vec<PathBuf>)> {
        if !self.files.is_empty() {
            let stacks = self
                .files
                .iter()
                .map(|path| Ok(Loaded::read(path)?))
                .collect::<Result<_>>()?;
            return Ok((stacks, self.files.clone()));
        }
        let scopes: &[Scope] = match (self.system, self.user) {
            (true, false) => &[Scope::System],
            (false, true) => &[Scope::User],
            _ => &[Scope::System, Scope::User],
        };
        let (config_home, home) = (users::folder("XDG_CONFIG_HOME"), users::folder("HOME"));
        let paths: Vec<PathBuf> = scopes
            .iter()
            .filter_map(|&scope| default_path(scope, config_home.as_deref(), home.as_deref()))
            .map(|path| below(&self.root, &path))
            .collect();
        let mut stacks = Vec::new();
        for path in &paths {
            match Stack::load(path) {
                Ok(stack) => stacks.push(Loaded {
                    path: path.clone(),
                    stack,
                }),
                Err(LoadError::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok((stacks, paths))
    }

    fn check_names(&self, stacks: &[Loaded]) -> Result<()> {
        let known: BTreeSet<&str> = stacks
            .iter()
            .flat_map(|loaded| loaded.stack.services.keys())
            .map(String::as_str)
            .collect();
        let unknown: Vec<&str> = self
            .names
            .iter()
            .map(String::as_str)
            .filter(|name| !known.contains(name))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        bail!(
            "no service is called {}: known are {}",
            unknown.join(", "),
            list(known)
        )
    }

    /// The services of a stack that were asked for.
    pub fn services<'a>(
        &self,
        stack: &'a Stack,
    ) -> impl Iterator<Item = (&'a String, &'a Service)> {
        stack.chosen(&self.names)
    }
}

/// The file that was named, or else the one stack here that `fits`; `what` says
/// in a message what that is: "declares …".
pub fn one(file: Option<&Path>, fits: impl Fn(&Stack) -> bool, what: &str) -> Result<Loaded> {
    if let Some(file) = file {
        return Ok(Loaded::read(file)?);
    }
    let selection = Selection {
        names: Vec::new(),
        files: Vec::new(),
        user: false,
        system: false,
        root: PathBuf::from("/"),
    };
    let (stacks, looked_at) = selection.find()?;
    let mut fitting = stacks.into_iter().filter(|loaded| fits(&loaded.stack));
    match (fitting.next(), fitting.next()) {
        (Some(loaded), None) => Ok(loaded),
        (Some(first), Some(second)) => bail!(
            "{} {what}, and so does {}: name one with --stack",
            first.path.display(),
            second.path.display()
        ),
        (None, _) => bail!(
            "no stack here {what} ({} was looked at): name a file with --stack",
            looked_at
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(" and ")
        ),
    }
}
