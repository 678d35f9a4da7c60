//! `aistack check`: whether the machine is as the stack declares it.

mod stores;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use aistack_checks::device::{Device, Engine, Machine, Question};
use aistack_checks::probe::{Outcome, ProbeError};
use aistack_machine::cgroup::Manager;
use aistack_machine::command::{Bounds, below};
use aistack_machine::directory::{self, DirectoryError};
use aistack_machine::guard::Firewall;
use aistack_machine::podman::Podman;
use aistack_machine::scope::{ScopeError, UserScope};
use aistack_machine::secret::{self, SecretError};
use aistack_machine::sockets::{Exposure, Listening, SocketsError};
use aistack_machine::systemd::{Systemctl, UnitState};
use aistack_machine::users;
use aistack_schema::{Backend, DataDirectory, Port, Probe, Scope, Service, Stack};
use anyhow::{Result, bail};
use serde::Serialize;

use super::output::{self, BAD, Cell, FAINT, GOOD, UNSURE, paint, parse_seconds};
use super::prestart::directory_hint;
use super::select::{Loaded, Selection, current_user, search_path, user_flag};
use crate::cli::Verdict;

/// Check that the declared services run, listen where they should, and are well
///
/// For each service: its unit is active, its ports listen on the declared
/// addresses and no wider ones, its health probe is answered, its data
/// directories are there, its databases and collections hold what is declared, and
/// an engine computes on what was declared for it. For a user's stack also what
/// rootless containers need of the host. All probes run at the same time.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 everything is as declared, 1 something is not, 2 could not run."
)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,

    /// Seconds that each health probe may take
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = parse_seconds)]
    timeout: Duration,

    /// Check only what rootless containers need of the host, not the services;
    /// without a stack.json for the user who runs this
    #[arg(long, conflicts_with_all = ["names", "system"])]
    preflight: bool,

    /// Print JSON
    #[arg(long, conflicts_with = "tap")]
    json: bool,

    /// Print TAP version 14
    #[arg(long)]
    tap: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Finding {
    Ok,
    NotOk,
    /// This user may not see it, so that nothing can be said.
    Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Host,
    Unit,
    Port,
    Health,
    /// What an engine computes on.
    Device,
    Data,
    /// What a database holds.
    Database,
    /// What a collection of vectors is like.
    Collection,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Unit => "unit",
            Self::Port => "port",
            Self::Health => "health",
            Self::Device => "device",
            Self::Data => "data",
            Self::Database => "database",
            Self::Collection => "collection",
        }
    }
}

/// One line of the report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    scope: Scope,
    service: Option<String>,
    kind: Kind,
    /// What was looked at: a unit, a port, a path.
    subject: String,
    finding: Finding,
    /// What was seen.
    message: String,
    /// What to do about it.
    hint: Option<String>,
    /// How long a probe took.
    latency_ms: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    schema: u64,
    ok: usize,
    not_ok: usize,
    skipped: usize,
    checks: Vec<Check>,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let checks = if args.preflight {
        preflight(&args.selection)?
    } else {
        let stacks = args.selection.load()?;
        for loaded in &stacks {
            loaded.check_owner()?;
        }
        examine(&stacks, &args.selection, args.timeout)
    };
    let count = |finding| checks.iter().filter(|c| c.finding == finding).count();
    let report = Report {
        schema: 1,
        ok: count(Finding::Ok),
        not_ok: count(Finding::NotOk),
        skipped: count(Finding::Skipped),
        checks,
    };
    if args.json {
        output::print_json(&report)?;
    } else if args.tap {
        output::print(&tap(&report))?;
    } else {
        output::print(&text(&report))?;
    }
    Ok(if report.not_ok == 0 {
        Verdict::AsDeclared
    } else {
        Verdict::Differs
    })
}

/// What rootless containers need, for the user's stack, or without one (before
/// the first activation) for the user who runs this.
fn preflight(selection: &Selection) -> Result<Vec<Check>> {
    let root = &selection.root;
    if selection.files.is_empty() {
        return match current_user() {
            Some(user) => Ok(user_scope(root, &user)),
            None => bail!(
                "who runs this is unknown: user id {} is not in /etc/passwd and USER is unset",
                users::effective_uid()
            ),
        };
    }
    let (stacks, _) = selection.find()?;
    let mut checks = Vec::new();
    for loaded in &stacks {
        loaded.check_owner()?;
        // The system's containers need nothing of this.
        if let (Scope::User, Some(user)) = (loaded.stack.scope, &loaded.stack.user) {
            checks.extend(user_scope(root, user));
        }
    }
    Ok(checks)
}

/// All checks of all stacks, whatever can wait for others at the same time.
fn examine(stacks: &[Loaded], selection: &Selection, limit: Duration) -> Vec<Check> {
    let chosen: Vec<Vec<(&String, &Service)>> = stacks
        .iter()
        .map(|loaded| selection.services(&loaded.stack).collect())
        .collect();
    let probes: Vec<&Probe> = chosen
        .iter()
        .flatten()
        .filter_map(|(_, service)| service.health.as_ref())
        .collect();
    let root = selection.root.as_path();
    let machine = Machine::new(root, search_path(), limit);

    let systemctls: Vec<Result<Systemctl, String>> = stacks
        .iter()
        .map(|loaded| {
            loaded
                .systemctl()
                .map_err(|error| aistack_machine::text::error(&error))
        })
        .collect();

    thread::scope(|threads| {
        let units: Vec<_> = stacks
            .iter()
            .zip(&chosen)
            .map(|(loaded, services)| threads.spawn(move || states_of(loaded, services)))
            .collect();
        let files = threads.spawn(move || {
            let hosts: Vec<Vec<Check>> =
                stacks.iter().map(|loaded| of_host(root, loaded)).collect();
            (Listening::read(root), hosts)
        });
        let mut devices = engines(stacks, &chosen)
            .map(|(owner, service)| {
                let machine = &machine;
                threads.spawn(move || used_device(machine, owner, service))
            })
            .collect::<Vec<_>>()
            .into_iter();
        let mut stored = stacks
            .iter()
            .zip(&chosen)
            .zip(&systemctls)
            .flat_map(|((_, services), systemctl)| {
                services.iter().map(move |service| (*service, systemctl))
            })
            .map(|((name, service), systemctl)| {
                threads.spawn(move || {
                    let systemctl = systemctl.as_ref().map_err(String::as_str);
                    stores::examine(root, systemctl, name, service, limit)
                })
            })
            .collect::<Vec<_>>()
            .into_iter();
        let mut outcomes = aistack_checks::probe::run_all(&probes, limit).into_iter();

        let ended = "the thread that asked ended early";
        let (listening, hosts) = match files.join() {
            Ok((listening, hosts)) => (listening.map_err(|error| explain(&error)), hosts),
            Err(_) => (Err(ended.to_owned()), Vec::new()),
        };
        let mut hosts = hosts.into_iter();
        let mut checks = Vec::new();
        for ((loaded, services), units) in stacks.iter().zip(&chosen).zip(units) {
            let scope = loaded.stack.scope;
            checks.extend(hosts.next().into_iter().flatten());
            let units = units.join().unwrap_or_else(|_| Err(ended.to_owned()));
            let mut states = match units {
                Ok(states) => states,
                Err(message) => {
                    checks.push(Check::host(scope, "systemd", Err((message, None))));
                    Vec::new()
                }
            }
            .into_iter();
            for (name, service) in services {
                let device = is_engine(service).then(|| devices.next()).flatten();
                let seen = Seen {
                    unit: states.next(),
                    listening: listening.as_ref(),
                    outcome: service.health.is_some().then(|| outcomes.next()).flatten(),
                    device: device.map(|device| {
                        device
                            .join()
                            .unwrap_or_else(|_| Device::Unknown(ended.to_owned()))
                    }),
                    stored: stored.next().map_or_else(Vec::new, |stored| {
                        stored.join().unwrap_or_else(|_| {
                            let found = Found::Unseen(ended.to_owned());
                            vec![(Kind::Data, "what it holds".to_owned(), found)]
                        })
                    }),
                };
                checks.extend(of_service(root, scope, name, service, seen));
            }
        }
        checks
    })
}

/// The states of the services' units, in their order, or why systemd could not be asked.
fn states_of(loaded: &Loaded, services: &[(&String, &Service)]) -> Result<Vec<UnitState>, String> {
    let units: Vec<&str> = services.iter().map(|(_, s)| s.unit.as_str()).collect();
    loaded
        .systemctl()
        .and_then(|systemctl| Ok(systemctl.show(&units)?))
        .map_err(|error| format!("{error:#}"))
}

/// What was seen of a service by those who ran at the same time.
struct Seen<'a> {
    unit: Option<UnitState>,
    listening: Result<&'a Listening, &'a String>,
    outcome: Option<Outcome>,
    device: Option<Device>,
    stored: Vec<stores::Line>,
}

/// The lines of one service.
fn of_service(
    root: &Path,
    scope: Scope,
    name: &str,
    service: &Service,
    seen: Seen<'_>,
) -> Vec<Check> {
    let check = |kind, subject, found| Check::new(scope, Some(name), kind, subject, found);
    let mut checks = vec![check(
        Kind::Unit,
        service.unit.clone(),
        unit(scope, service, seen.unit),
    )];
    for declared in &service.ports {
        let subject = format!(
            "{} {}/{}",
            declared.name,
            declared.socket(),
            declared.protocol
        );
        let found = port(scope, service, declared, seen.listening);
        checks.push(check(Kind::Port, subject, found));
    }
    if let (Some(probe), Some(outcome)) = (&service.health, seen.outcome) {
        let latency = outcome.latency;
        let mut check = check(
            Kind::Health,
            aistack_checks::probe::target(probe),
            health(scope, service, outcome),
        );
        check.latency_ms = Some((latency.as_secs_f64() * 1e5).round() / 1e2);
        checks.push(check);
    }
    if let (Some(declared), Some(device)) = (&service.gpu, seen.device)
        && let Some(found) = computes_on(scope, service, declared.backend, device)
    {
        let subject = backend_name(declared.backend).to_owned();
        checks.push(check(Kind::Device, subject, found));
    }
    for declared in &service.data {
        let found = data(root, scope, declared);
        checks.push(check(Kind::Data, declared.name.clone(), found));
    }
    for (kind, subject, found) in seen.stored {
        checks.push(check(kind, subject, found));
    }
    checks
}

fn explain(error: &SocketsError) -> String {
    format!("what listens can't be seen: {error}")
}

/// What was seen: well, not well, or not to be seen.
enum Found {
    Well(String),
    Bad(String, Option<String>),
    Unseen(String),
}

impl Check {
    fn new(scope: Scope, service: Option<&str>, kind: Kind, subject: String, found: Found) -> Self {
        let (finding, message, hint) = match found {
            Found::Well(message) => (Finding::Ok, message, None),
            Found::Bad(message, hint) => (Finding::NotOk, message, hint),
            Found::Unseen(message) => (Finding::Skipped, message, None),
        };
        Self {
            scope,
            service: service.map(str::to_owned),
            kind,
            subject,
            finding,
            message,
            hint,
            latency_ms: None,
        }
    }

    fn host(scope: Scope, subject: &str, found: Result<String, (String, Option<String>)>) -> Self {
        let found = match found {
            Ok(message) => Found::Well(message),
            Err((message, hint)) => Found::Bad(message, hint),
        };
        Self::new(scope, None, Kind::Host, subject.to_owned(), found)
    }
}

fn journal(scope: Scope, service: &Service) -> String {
    format!(
        "`journalctl{} -u {} -n 50` says why",
        user_flag(scope),
        service.unit
    )
}

/// The first secret that somebody has to bring and that is not there.
fn missing_secret(service: &Service) -> Option<String> {
    let mut brought = service.secrets.iter().filter(|entry| !entry.generate);
    brought.find_map(|entry| match secret::read(&entry.source) {
        Err(error @ (SecretError::Missing { .. } | SecretError::Dangling { .. })) => {
            Some(format!("secret {} ({}): {error}", entry.name, entry.option))
        }
        _ => None,
    })
}

fn unit(scope: Scope, service: &Service, state: Option<UnitState>) -> Found {
    let Some(state) = state else {
        return Found::Unseen("systemd could not be asked".to_owned());
    };
    let flag = user_flag(scope);
    let since = state
        .unchanged_for()
        .map(|duration| format!(" for {}", output::span(duration)))
        .unwrap_or_default();
    if state.is_active() {
        return Found::Well(match state.restarts {
            Some(count) if count > 0 => format!("active{since}, restarted {count} times"),
            _ => format!("active{since}"),
        });
    }
    let hint = match (state.load.as_str(), state.active.as_str()) {
        ("not-found", _) => format!(
            "switch again, or `systemctl{flag} daemon-reload`; podman's quadlet generator makes \
             this unit"
        ),
        ("masked", _) => format!("`systemctl{flag} unmask {}`", service.unit),
        ("loaded", "inactive") => format!("`systemctl{flag} start {}`", service.unit),
        _ => missing_secret(service).unwrap_or_else(|| journal(scope, service)),
    };
    Found::Bad(format!("{}{since}", state.summary()), Some(hint))
}

fn port(
    scope: Scope,
    service: &Service,
    declared: &Port,
    listening: Result<&Listening, &String>,
) -> Found {
    let listening = match listening {
        Ok(listening) => listening,
        Err(message) => return Found::Bad(message.clone(), None),
    };
    match listening.exposure(declared.protocol, declared.socket()) {
        Exposure::AsDeclared => Found::Well("listens".to_owned()),
        Exposure::Nothing => Found::Bad(
            "nothing listens there".to_owned(),
            Some(journal(scope, service)),
        ),
        Exposure::Wider(seen) => Found::Bad(
            format!(
                "wrong address: it listens on {seen}, so it can be reached from more than {}",
                declared.address
            ),
            Some(format!(
                "restart {} to apply {}, or stop the other program that has the port",
                service.unit, declared.option
            )),
        ),
        Exposure::Elsewhere(seen) => Found::Bad(
            format!(
                "wrong address: it listens on {} only",
                seen.iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            Some(format!(
                "restart {} to apply {}, or stop the other program that has the port",
                service.unit, declared.option
            )),
        ),
    }
}

fn health(scope: Scope, service: &Service, outcome: Outcome) -> Found {
    let latency = outcome.latency.as_secs_f64() * 1000.0;
    match outcome.result {
        Ok(well) => Found::Well(format!("{} in {latency:.0} ms", well.answer)),
        Err(error) => {
            let hint = match &error {
                ProbeError::Url { .. } => format!("change {}.health", service.option),
                ProbeError::Garbage { .. } | ProbeError::Redirect { .. } => format!(
                    "is it {} that answers there? `aistack status` and `ss -ltnp` tell",
                    service.container
                ),
                ProbeError::NotReady { .. } => "wait, then check again".to_owned(),
                _ => journal(scope, service),
            };
            Found::Bad(error.to_string(), Some(hint))
        }
    }
}

/// Whether it computes: on a GPU or, where that was declared, on the processor.
fn is_engine(service: &Service) -> bool {
    service.gpu.is_some()
}

fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Cuda => "CUDA",
        Backend::Rocm => "ROCm",
        Backend::Vulkan => "Vulkan",
        Backend::Sycl => "SYCL",
        Backend::Cpu => "CPU",
    }
}

/// The services that compute, in the order of the report.
fn engines<'a>(
    stacks: &'a [Loaded],
    chosen: &'a [Vec<(&'a String, &'a Service)>],
) -> impl Iterator<Item = (Manager, &'a Service)> {
    stacks.iter().zip(chosen).flat_map(|(loaded, services)| {
        let owner = match loaded.stack.scope {
            Scope::System => Manager::System,
            Scope::User => Manager::User(users::effective_uid()),
        };
        services
            .iter()
            .map(move |(_, service)| (owner, *service))
            .filter(|(_, service)| is_engine(service))
    })
}

/// Asks what the engine computes on.
fn used_device(machine: &Machine, owner: Manager, service: &Service) -> Device {
    let health = match &service.health {
        Some(Probe::Http(probe)) => Some(probe.url.as_str()),
        _ => None,
    };
    let api = service
        .ports
        .iter()
        .find(|port| port.name == "http")
        .map(|port| format!("http://{}", port.socket()));
    let question = Question {
        engine: Engine::of_image(&service.image.name),
        unit: &service.unit,
        container: &service.container,
        owner,
        api: api.as_deref(),
        health,
    };
    aistack_checks::device::ask(&question, machine)
}

/// None: nothing can be said, and nothing can be wrong.
fn computes_on(
    scope: Scope,
    service: &Service,
    declared: Backend,
    device: Device,
) -> Option<Found> {
    Some(match (declared, device) {
        (Backend::Cpu, Device::Cpu(why)) => {
            Found::Well(format!("computes on the processor, as declared: {why}"))
        }
        // An engine that hasn't loaded a model, for the most part.
        (Backend::Cpu, Device::Unknown(_)) => return None,
        (_, Device::Gpu(why)) => Found::Well(format!("computes on the GPU: {why}")),
        (_, Device::Unknown(why)) => {
            Found::Unseen(format!("what it computes on is unknown: {why}"))
        }
        (_, Device::Cpu(why)) => Found::Bad(
            format!("computes on the processor, though a GPU is declared: {why}"),
            Some(format!(
                "`aistack facts` says what the GPU lacks; {}; {}.gpus = [ ] if the processor is \
                 meant",
                journal(scope, service),
                service.option
            )),
        ),
    })
}

fn data(root: &Path, scope: Scope, declared: &DataDirectory) -> Found {
    let owner = declared.owner.map(|owner| (owner.uid, owner.gid));
    match directory::examine(&below(root, &declared.host), owner) {
        Ok(()) => Found::Well(format!("{} is there", declared.host.display())),
        Err(error @ DirectoryError::Hidden { .. }) => Found::Unseen(error.to_string()),
        Err(error) => Found::Bad(error.to_string(), directory_hint(scope, &error)),
    }
}

/// What rootless containers of `user` need of the host.
fn user_scope(root: &Path, user: &str) -> Vec<Check> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    let (path, home, runtime_dir) = (search_path(), variable("HOME"), variable("XDG_RUNTIME_DIR"));
    let host = UserScope {
        root,
        user,
        uid: users::effective_uid(),
        path: path.as_deref(),
        runtime_dir: runtime_dir.as_deref(),
        home: home.as_deref(),
    };
    let check = |subject: &str, found: Result<String, ScopeError>| {
        let found = found.map_err(|error| (error.to_string(), Some(scope_hint(&error, user))));
        Check::host(Scope::User, subject, found)
    };
    let shown = |path: PathBuf| path.display().to_string();
    vec![
        check("linger", host.linger().map(|_| "on".to_owned())),
        check(
            "subuid",
            host.subordinate_ids("subuid")
                .map(|count| format!("{count} ids")),
        ),
        check(
            "subgid",
            host.subordinate_ids("subgid")
                .map(|count| format!("{count} ids")),
        ),
        check("newuidmap", host.program("newuidmap").map(shown)),
        check("newgidmap", host.program("newgidmap").map(shown)),
        check("pasta", host.program("pasta").map(shown)),
        check("runtime directory", host.runtime_directory().map(shown)),
    ]
}

/// What a stack needs of the host, and what keeps others away from its network.
fn of_host(root: &Path, loaded: &Loaded) -> Vec<Check> {
    let mut checks = Vec::new();
    if let (Scope::User, Some(user)) = (loaded.stack.scope, &loaded.stack.user) {
        checks.extend(user_scope(root, user));
        checks.extend(network_nobody_wants());
    }
    checks.extend(isolated(loaded));
    checks.extend(unresolved(&loaded.stack));
    checks.extend(guarded(&loaded.stack));
    checks
}

/// The machine's list of name servers, where it is missing: aardvark-dns, which answers the
/// containers, then refuses to start, and each container with it.
fn unresolved(stack: &Stack) -> Option<Check> {
    const LIST: &str = "/etc/resolv.conf";
    if stack.network_options.is_empty() || Path::new(LIST).exists() {
        return None;
    }
    let found = format!("{LIST} is missing, and no container starts without it");
    let hint = "an empty file is enough on a machine without a network".to_owned();
    Some(Check::host(
        stack.scope,
        "name servers",
        Err((found, Some(hint))),
    ))
}

/// How long podman may take to describe a network.
const PODMAN_LIMIT: Duration = Duration::from_secs(5);

/// Whether the network was made with the options that are declared. None where none are, or
/// where podman knows no network of that name: then it is made at the next start.
fn isolated(loaded: &Loaded) -> Option<Check> {
    let stack = &loaded.stack;
    if stack.network_options.is_empty() {
        return None;
    }
    let podman = Podman::new(search_path().as_deref())
        .ok()?
        .bounded(&Bounds {
            limit: PODMAN_LIMIT,
            stop: Arc::default(),
        });
    let options = podman.network_options(&stack.network).ok()??;
    let missing: Vec<String> = stack
        .network_options
        .iter()
        .filter(|(key, value)| options.get(*key) != Some(*value))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let found = if missing.is_empty() {
        Ok(format!(
            "{} is closed to containers of other networks",
            stack.network
        ))
    } else {
        let flag = loaded.user_flag();
        Err((
            format!(
                "{} was made without {}: containers of other networks reach it",
                stack.network,
                missing.join(" ")
            ),
            Some(format!(
                "`systemctl{flag} stop {target}`, then `systemctl{flag} start {target}`",
                target = stack.target
            )),
        ))
    };
    Some(Check::host(stack.scope, "network", found))
}

/// Whether other machines are kept away from the containers (system scope). None where only
/// root may look.
fn guarded(stack: &Stack) -> Option<Check> {
    if stack.scope != Scope::System || stack.network_options.is_empty() {
        return None;
    }
    let path = search_path();
    let closed = Firewall::new(Path::new("/"), path.as_deref()).is_closed(&stack.network)?;
    let found = if closed {
        Ok("the containers are closed to other machines".to_owned())
    } else {
        Err((
            "other machines reach the containers, past their published ports".to_owned(),
            Some("`systemctl restart local-ai-guard`; its journal says what is missing".to_owned()),
        ))
    };
    Some(Check::host(stack.scope, "firewall", found))
}

/// That each first start after a boot waits for a target which is never reached: quadlet
/// orders users' containers after `podman-user-wait-network-online.service`, which waits for
/// the system's network-online.target and gives up after 90 s (podman-systemd.unit(5), Implicit
/// network dependencies). None where the target is reached, or systemd cannot be asked.
fn network_nobody_wants() -> Option<Check> {
    const TARGET: &str = "network-online.target";
    let systemctl = Systemctl::new(Scope::System, search_path().as_deref()).ok()?;
    let states = systemctl.show(&[TARGET]).ok()?;
    let state = states.first().filter(|state| state.active == "inactive")?;
    let found = format!(
        "{TARGET} is {}: the first start of the stack after a boot waits 90 s for it",
        state.summary()
    );
    let hint = format!(
        "`sudo systemctl add-wants multi-user.target {TARGET}`; on NixOS \
         systemd.targets.network-online.wantedBy = [ \"multi-user.target\" ], which the NixOS \
         module of aistack sets"
    );
    Some(Check::host(
        Scope::User,
        "network",
        Err((found, Some(hint))),
    ))
}

fn scope_hint(error: &ScopeError, user: &str) -> String {
    match error {
        ScopeError::NoLinger { .. } => format!(
            "`sudo loginctl enable-linger {user}`; on NixOS users.users.{user}.linger = true"
        ),
        ScopeError::FewIds { .. } => format!(
            "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}` (a range \
             that no other user has), then `podman system migrate`; on NixOS \
             users.users.{user}.autoSubUidGidRange = true"
        ),
        ScopeError::Unreadable { path, .. } => {
            format!("`sudo chmod 0644 {}`", path.display())
        }
        ScopeError::NoProgram { program: "pasta" } => {
            "install the package passt; on NixOS virtualisation.podman.enable = true brings it"
                .to_owned()
        }
        ScopeError::NoProgram { .. } => {
            "install the package uidmap (Debian, Ubuntu) or shadow-utils; on NixOS it is in \
             /run/wrappers/bin"
                .to_owned()
        }
        ScopeError::NoRuntimeDir { .. } => {
            format!("log in anew, not by su or sudo, or `sudo loginctl enable-linger {user}`")
        }
    }
}

fn text(report: &Report) -> String {
    let rows: Vec<Vec<Cell>> = report
        .checks
        .iter()
        .map(|check| {
            let (word, style) = match check.finding {
                Finding::Ok => ("ok", GOOD),
                Finding::NotOk => ("NOT OK", BAD),
                Finding::Skipped => ("skipped", UNSURE),
            };
            vec![
                Cell::styled(word, style),
                Cell::plain(check.scope.name()),
                Cell::plain(check.service.as_deref().unwrap_or("-")),
                Cell::styled(check.kind.name(), FAINT),
                Cell::plain(format!("{}: {}", check.subject, check.message)),
            ]
        })
        .collect();
    let mut text = String::new();
    for (line, check) in output::table(&rows).iter().zip(&report.checks) {
        text.push_str(line);
        text.push('\n');
        if let Some(hint) = &check.hint {
            text.push_str(&paint(&format!("         → {hint}"), FAINT));
            text.push('\n');
        }
    }
    let skipped = match report.skipped {
        0 => String::new(),
        count => format!(", {count} skipped"),
    };
    let closing = format!("{} ok, {} not ok{skipped}", report.ok, report.not_ok);
    let style = if report.not_ok == 0 { GOOD } else { BAD };
    text.push_str(&paint(&closing, style));
    text.push('\n');
    text
}

/// TAP version 14 (testanything.org): reasons as YAML blocks; JSON strings are YAML.
fn tap(report: &Report) -> String {
    let escape = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('#', "\\#")
            .replace(['\n', '\r'], " ")
    };
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut lines = vec![
        "TAP version 14".to_owned(),
        format!("1..{}", report.checks.len()),
    ];
    for (at, check) in report.checks.iter().enumerate() {
        let word = match check.finding {
            Finding::NotOk => "not ok",
            Finding::Ok | Finding::Skipped => "ok",
        };
        let service = check.service.as_deref().unwrap_or("host");
        let kind = match check.kind {
            Kind::Host => String::new(),
            kind => format!("{} ", kind.name()),
        };
        let name = format!("{} {service} {kind}{}", check.scope, check.subject);
        let skip = match check.finding {
            Finding::Skipped => format!(" # SKIP {}", escape(&check.message)),
            Finding::Ok | Finding::NotOk => String::new(),
        };
        lines.push(format!("{word} {} - {}{skip}", at + 1, escape(&name)));
        if check.finding == Finding::NotOk {
            lines.push("  ---".to_owned());
            lines.push(format!("  message: {}", quote(&check.message)));
            if let Some(hint) = &check.hint {
                lines.push(format!("  hint: {}", quote(hint)));
            }
            lines.push("  ...".to_owned());
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
