//! `aistack init`: a configuration for this machine.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use aistack_extras::init::{HostName, Kind, Machine, Plan, Request, SourceUrl, UserName};
use aistack_machine::Protocol;
use aistack_machine::file;
use aistack_machine::sockets::{Exposure, Listening};
use anyhow::{Context as _, Result};
use clap::ValueEnum;

use crate::cli::Verdict;

/// The largest text that is read, in bytes.
const MAX_TEXT: u64 = 4 * 1024 * 1024;

/// Where the flake gets aistack from when the package was built by Nix.
const RELEASED: Option<&str> = option_env!("AISTACK_FLAKE");
/// The checkout that a build by cargo was made from.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Folder of models, below the root, by kind.
const MODELS: &str = "var/lib/local-ai/models";

/// Write a configuration for this machine: flake, host or home, facts, services.
///
/// The services follow from the hardware, ports that are taken here are moved,
/// and nothing that exists is overwritten: either all files are written or none.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to write to; made when it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,

    /// What to write: a NixOS host, or a home for Home Manager on any distribution
    #[arg(long, value_enum, default_value_t = Template::Workstation)]
    template: Template,

    /// Name of the host, or of the user for a home [default: this machine's, yours]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Flake reference to get aistack from [default: where this program came from]
    #[arg(long, value_name = "REF")]
    flake: Option<String>,

    /// Read the machine whose proc/, sys/, etc/ and var/ lie below DIR
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Template {
    /// A NixOS machine, the stack in system scope
    Workstation,
    /// A user's home, the stack rootless
    Home,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let request = request(args)?;

    let reading = aistack_facts::read(&args.root)?;
    for note in &reading.notes {
        let _ = writeln!(io::stderr(), "aistack: note: {note}");
    }
    let listening = Listening::read(&args.root)
        .context("cannot see which ports are taken, so no free ones can be chosen")?;
    // Whoever has the port on any address: a wildcard or another one may follow.
    let port_taken = |port| {
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        listening.exposure(Protocol::Tcp, local) != Exposure::Nothing
    };
    let hardware = file::text(
        &args.root.join("etc/nixos/hardware-configuration.nix"),
        MAX_TEXT,
    )
    .ok();
    let model = model(args);
    let machine = Machine {
        facts: &reading.facts,
        port_taken: &port_taken,
        hardware_configuration: hardware.as_deref(),
        model: model.as_deref(),
    };

    let plan = aistack_extras::init::plan(&request, &machine)?;
    aistack_extras::init::write(&args.dir, &plan.files)
        .with_context(|| format!("init in {}", args.dir.display()))?;
    report(args, &request, &plan).context("cannot write to standard output")?;
    Ok(Verdict::AsDeclared)
}

fn request(args: &Args) -> Result<Request> {
    let (kind, host, user) = match args.template {
        Template::Workstation => (
            Kind::Workstation,
            match &args.name {
                Some(name) => HostName::new(name).context("--name")?,
                None => own_host_name(&args.root),
            },
            own_user()?,
        ),
        Template::Home => (
            Kind::Home,
            own_host_name(&args.root),
            match &args.name {
                Some(name) => UserName::new(name).context("--name")?,
                None => own_user()?,
            },
        ),
    };
    Ok(Request {
        kind,
        host,
        user,
        source: source(args.flake.as_deref())?,
    })
}

/// The machine's name when it can be one on NixOS; a rescue system's often can't.
fn own_host_name(root: &Path) -> HostName {
    let read = |path| file::text(&root.join(path), MAX_TEXT).ok();
    read("proc/sys/kernel/hostname")
        .or_else(|| read("etc/hostname"))
        .and_then(|text| HostName::new(text.trim().split('.').next().unwrap_or_default()).ok())
        .filter(|name| name.as_str() != "localhost")
        .or_else(|| HostName::new("workstation").ok())
        .unwrap_or_else(|| unreachable!("a constant is a host name"))
}

/// Who asks, not root: whoever called sudo, or the login's user.
fn own_user() -> Result<UserName> {
    let found = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|variable| env::var(variable).ok())
        .find(|name| !name.is_empty() && name != "root");
    match found {
        Some(name) => UserName::new(&name)
            .context("your user name cannot be used; give one with --template home --name"),
        None => UserName::new("me").map_err(Into::into),
    }
}

fn source(given: Option<&str>) -> Result<SourceUrl> {
    if let Some(reference) = given {
        return SourceUrl::new(reference).context("--flake");
    }
    if let Some(reference) = RELEASED {
        return Ok(SourceUrl::new(reference)?);
    }
    let checkout = fs::canonicalize(CHECKOUT).with_context(|| {
        format!("this program was built in {CHECKOUT}, which is gone; say with --flake where the new flake gets aistack from")
    })?;
    let path = checkout.to_str().with_context(|| {
        format!(
            "the checkout {} has no UTF-8 name; use --flake",
            checkout.display()
        )
    })?;
    // By git only what is tracked is copied to the store, not target/.
    let scheme = if checkout.join(".git").exists() {
        "git+file://"
    } else {
        "path:"
    };
    SourceUrl::new(&format!("{scheme}{path}")).context("use --flake")
}

/// A model that lies where llama.cpp will look for it, the first by name.
fn model(args: &Args) -> Option<String> {
    let dir = match args.template {
        Template::Workstation => args.root.join(MODELS),
        Template::Home => PathBuf::from(env::var_os("HOME")?).join(".local/share/local-ai/models"),
    };
    let mut names: Vec<String> = fs::read_dir(dir)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            Path::new(name)
                .extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
        })
        .collect();
    names.sort();
    names.into_iter().next()
}

fn report(args: &Args, request: &Request, plan: &Plan) -> io::Result<()> {
    let mut out = io::stdout().lock();
    // A bare word before # would be looked up in the registry of flakes.
    let dir = if args.dir.is_absolute() || args.dir.starts_with(".") || args.dir.starts_with("..") {
        args.dir.clone()
    } else {
        Path::new(".").join(&args.dir)
    };
    let dir = dir.display();
    writeln!(out, "Wrote {dir}:")?;
    for file in plan.files.keys() {
        writeln!(out, "  {}", file.display())?;
    }
    writeln!(out, "\nServices that are on:")?;
    for service in &plan.services {
        let ports: Vec<String> = service.ports.iter().map(|(_, p)| p.to_string()).collect();
        writeln!(
            out,
            "  {:<12} {:<14} {}",
            service.name,
            ports.join(", "),
            service.description
        )?;
    }
    if !plan.notes.is_empty() {
        writeln!(out, "\nPlease note:")?;
        for note in &plan.notes {
            writeln!(out, "  - {note}")?;
        }
    }
    writeln!(out, "\nNext:")?;
    if in_repository(&args.dir) {
        writeln!(out, "  git add {dir}   # flakes see only what git tracks")?;
    }
    match request.kind {
        Kind::Workstation => writeln!(
            out,
            "  sudo nixos-rebuild switch --flake {dir}#{}",
            request.host
        )?,
        Kind::Home => writeln!(
            out,
            "  nix run {dir}#home-manager -- switch --flake {dir}#{}",
            request.user
        )?,
    }
    writeln!(out, "  aistack check")
}

/// Whether the directory lies in a git repository.
fn in_repository(dir: &Path) -> bool {
    fs::canonicalize(dir).is_ok_and(|dir| dir.ancestors().any(|d| d.join(".git").exists()))
}
