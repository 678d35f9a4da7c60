//! `aistack prestart`: what must hold before a container starts.

use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::directory::{self, DirectoryError};
use aistack_machine::ownership::{self, IdRange, Move, Record};
use aistack_machine::podman::Podman;
use aistack_machine::secret;
use aistack_machine::sockets::try_bind;
use aistack_machine::sqlite::{self, SqliteError};
use aistack_provision::postgres::VersionError;
use aistack_schema::{
    IntegrityKind, Port, Postgres, Protocol, RequiredPath, Scope, Secret, Service, Stack,
};
use anyhow::Result;

use super::gpu;
use super::guard;
use super::select::{self, Loaded, current_user, search_path, user_flag};
use super::stores;
use crate::cli::Verdict;

/// How long ports may stay taken: the unit's last container may still be
/// letting go of them.
const PORT_PATIENCE: Duration = Duration::from_secs(5);
const PORT_INTERVAL: Duration = Duration::from_millis(100);

/// How long a service that this one needs may take to come up: it is usually on
/// its way, and each failed start makes the next one later.
const NEED_PATIENCE: Duration = Duration::from_secs(45);
const NEED_INTERVAL: Duration = Duration::from_secs(1);

/// Verify what a service needs before its container starts, and hand its secrets to podman
///
/// Runs before the container in its unit. The services without which it cannot run,
/// secrets, data directories, files, the
/// version of a database's data, databases that look emptied, ports and GPUs are
/// looked at; every problem is printed, with the option to change.
/// One newline at the end of a secret's file is not part of its value.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 it may start, 1 something is missing, 2 could not run.")]
pub struct Args {
    /// The service
    service: String,

    /// The stack.json that declares it
    #[arg(long, value_name = "FILE")]
    stack: PathBuf,

    /// Look for GPUs (/dev, CDI specs) and podman's networks below this directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/",
        hide_default_value = true
    )]
    root: PathBuf,
}

/// Runs the command.
pub fn run(args: &Args) -> Result<Verdict> {
    let loaded = select::load(&args.stack)?;
    loaded.check_owner()?;
    let service = loaded.service(&args.service)?;
    let mut problems = verify(&args.root, &loaded, service);
    if problems.is_empty() {
        // Last, because it may wait: what the machine lacks is said at once.
        problems = absent_needs(&loaded, service)?;
    }
    if problems.is_empty() {
        return Ok(Verdict::AsDeclared);
    }
    for problem in &problems {
        eprintln!("aistack: {} can't start: {problem}", args.service);
    }
    Ok(Verdict::Differs)
}

fn verify(root: &Path, loaded: &Loaded, service: &Service) -> Vec<String> {
    let mut problems = Vec::new();
    let user = match loaded.stack.scope {
        Scope::System => None,
        Scope::User => current_user(),
    };
    // Ports and GPUs may need a while, the rest doesn't: at the same time.
    thread::scope(|scope| {
        let ports = scope.spawn(|| taken_ports(&service.ports));
        let image = scope.spawn(|| missing_image(loaded, service));
        let devices = scope.spawn(|| match &service.gpu {
            Some(declared) => gpu::missing(root, &declared.devices, user.as_deref()),
            None => Vec::new(),
        });
        problems.extend(take_over(&loaded.stack, service));
        problems.extend(directories(&loaded.stack, service));
        problems.extend(exposed(root, &loaded.stack));
        // Not below a disk that isn't mounted: the value would be gone with the mount.
        let may_generate = problems.is_empty();
        secrets(&service.secrets, may_generate, &mut problems);
        problems.extend(other_secrets(service));
        problems.extend(stored(service));
        let missing = service.files.iter();
        problems.extend(missing.filter_map(|file| file_problem(loaded.stack.scope, file)));
        problems.extend(
            ports
                .join()
                .unwrap_or_else(|_| vec!["its ports could not be tried".to_owned()]),
        );
        problems.extend(image.join().unwrap_or(None));
        problems.extend(
            devices
                .join()
                .unwrap_or_else(|_| vec!["its GPUs could not be looked for".to_owned()]),
        );
    });
    problems
}

/// That the image is missing; its unit is then told to fetch it. The container does not
/// wait for that: a job that waits for a download keeps systemd's boot from ever ending.
fn missing_image(loaded: &Loaded, service: &Service) -> Option<String> {
    let reference = &service.image.reference;
    // podman's own words follow from its own start when it cannot be asked.
    if image_here(reference) != Some(false) {
        return None;
    }
    let fetched = loaded
        .systemctl()
        .and_then(|systemctl| Ok(systemctl.start_no_block(&[&service.pull_unit])?));
    Some(match fetched {
        Ok(()) => format!(
            "its image {reference} is not here yet ({}.image): {} fetches it, and \
             `journalctl{} -u {}` shows how far it is; the service starts once it is here",
            service.option,
            service.pull_unit,
            loaded.user_flag(),
            service.pull_unit
        ),
        Err(error) => format!(
            "its image {reference} is not here ({}.image), and {} could not be started: {error:#}",
            service.option, service.pull_unit
        ),
    })
}

/// Whether podman has the image; none when it could not be asked.
fn image_here(reference: &str) -> Option<bool> {
    Podman::new(search_path().as_deref())
        .and_then(|podman| podman.image_exists(reference))
        .ok()
}

/// What is wrong with a file that must be there; none when it is.
fn file_problem(scope: Scope, file: &RequiredPath) -> Option<String> {
    let error = file.path.metadata().err()?;
    let what = match (error.kind(), &file.unit) {
        (io::ErrorKind::NotFound, None) => {
            "does not exist: create it or change the option".to_owned()
        }
        (io::ErrorKind::NotFound, Some(unit)) => format!(
            "does not exist yet: {unit} fetches it, and `journalctl{} -u {unit}` shows how far it \
             is",
            user_flag(scope)
        ),
        _ => format!("cannot be seen: {error}"),
    };
    Some(format!("{} ({}): {what}", file.path.display(), file.option))
}

/// The services that this one needs and that do not come up.
///
/// An order alone does not tell a failed start from a good one, and `Requires=`
/// would give this unit up for good instead of trying again.
fn absent_needs(loaded: &Loaded, service: &Service) -> Result<Vec<String>> {
    if service.needs.is_empty() {
        return Ok(Vec::new());
    }
    let systemctl = loaded.systemctl()?;
    let needs: Vec<(&str, &str)> = service
        .needs
        .iter()
        .filter_map(|name| {
            Some((
                name.as_str(),
                loaded.stack.services.get(name)?.unit.as_str(),
            ))
        })
        .collect();
    let units: Vec<&str> = needs.iter().map(|(_, unit)| *unit).collect();
    let deadline = Instant::now() + NEED_PATIENCE;
    loop {
        let states = systemctl.show(&units)?;
        let absent: Vec<String> = needs
            .iter()
            .zip(&states)
            .filter(|(_, state)| !state.is_active())
            .map(|((name, unit), state)| {
                format!(
                    "it needs {name}, and {unit} is {}: `journalctl{} -u {unit} -n 50` says why; \
                     this service is tried again ({}.needs)",
                    state.summary(),
                    user_flag(loaded.stack.scope),
                    service.option
                )
            })
            .collect();
        // Nobody starts what is stopped, and a download takes longer than this waits.
        let may_come =
            needs.iter().zip(&states).any(|((name, _), state)| {
                matches!(state.active.as_str(), "activating" | "deactivating")
                    && !(state.waits_for_restart()
                        && loaded.stack.services.get(*name).is_some_and(|needed| {
                            image_here(&needed.image.reference) == Some(false)
                        }))
            });
        if absent.is_empty() || !may_come || Instant::now() >= deadline {
            return Ok(absent);
        }
        thread::sleep(NEED_INTERVAL);
    }
}

/// Reads all secrets, and hands them to podman when all are well.
fn secrets(secrets: &[Secret], may_generate: bool, problems: &mut Vec<String>) {
    let mut values = Vec::new();
    for entry in secrets {
        let missing = entry.source.symlink_metadata().is_err();
        if entry.generate && missing && !may_generate {
            continue;
        }
        let value = if entry.generate {
            secret::generate(&entry.source).and_then(|made| {
                if made {
                    println!(
                        "generated secret {} at {}",
                        entry.name,
                        entry.source.display()
                    );
                }
                secret::read(&entry.source)
            })
        } else {
            secret::read(&entry.source)
        };
        match value {
            Ok(value) => values.push((&entry.name, value)),
            Err(error) => {
                problems.push(format!("secret {} ({}): {error}", entry.name, entry.option));
            }
        }
    }
    if values.is_empty() || values.len() < secrets.len() {
        return;
    }
    let stored = Podman::new(search_path().as_deref()).and_then(|podman| {
        values
            .into_iter()
            .try_for_each(|(name, value)| podman.replace_secret(name, value))
    });
    if let Err(error) = stored {
        problems.push(format!("its secrets could not be stored: {error}"));
    }
}

/// Problems with the secrets that podman does not hand on, but `aistack setup` needs
/// once the container runs.
fn other_secrets(service: &Service) -> Vec<String> {
    let roles = service.postgres.iter().flat_map(|postgres| {
        let role = |(name, source, option)| (format!("password of {name}"), source, option);
        let superuser = (&postgres.user, &postgres.password_source, &service.option);
        std::iter::once(superuser)
            .chain(
                postgres
                    .roles
                    .iter()
                    .map(|role| (&role.name, &role.password_source, &role.option)),
            )
            .map(role)
    });
    let keys = service.qdrant.iter().filter_map(|qdrant| {
        let source = qdrant.api_key_source.as_ref()?;
        Some(("API key".to_owned(), source, &service.option))
    });
    roles
        .chain(keys)
        // Said already, or made by now.
        .filter(|(_, source, _)| service.secrets.iter().all(|entry| entry.source != **source))
        .filter_map(|(what, source, option)| {
            let error = secret::read(source).err()?;
            Some(format!("{what} ({option}): {error}"))
        })
        .collect()
}

/// What is wrong with the data that is there: of another version, or emptied.
fn stored(service: &Service) -> Vec<String> {
    let version = service
        .postgres
        .iter()
        .filter_map(|postgres| data_version(service, postgres));
    let files = service.integrity.iter().filter_map(|entry| {
        let error = match entry.kind {
            IntegrityKind::Sqlite => sqlite::examine(&entry.path).err()?,
        };
        if let SqliteError::Hidden { .. } = error {
            // Another's file in a container is no reason not to start it.
            eprintln!(
                "aistack: {} ({}) was not looked at: {error}",
                service.container, entry.option
            );
            return None;
        }
        Some(match stores::emptied_hint(entry, &error) {
            Some(hint) => format!("{error}; {hint}"),
            None => format!("{error} ({})", entry.option),
        })
    });
    version.chain(files).collect()
}

/// A data directory that the image's server can't read.
fn data_version(service: &Service, postgres: &Postgres) -> Option<String> {
    let option = &service.option;
    let wanted = postgres.major?.get();
    let found = match aistack_provision::postgres::major(&postgres.version_file) {
        Ok(found) => found?,
        Err(error @ VersionError::Hidden { .. }) => {
            eprintln!("aistack: the version of the data ({option}) was not looked at: {error}");
            return None;
        }
        Err(error) => return Some(format!("the version of the data ({option}): {error}")),
    };
    (found != wanted).then(|| {
        let data = postgres
            .version_file
            .parent()
            .unwrap_or(&postgres.version_file);
        format!(
            "the data in {} is of PostgreSQL {found}, the image has {wanted}, which can't read it; \
             nothing was touched. Keep the old image with {option}.image, or move the data: with \
             the old image `podman exec {} pg_dumpall -U {} >dump.sql`, then, with the new image \
             and an empty directory, `podman exec -i {} psql -U {} -d {} <dump.sql`",
            data.display(),
            service.container,
            postgres.user,
            service.container,
            postgres.user,
            postgres.database,
        )
    })
}

/// Gives the data to the ids that the container has now. It had others before it got a range
/// of its own, or after the range was moved.
fn take_over(stack: &Stack, service: &Service) -> Vec<String> {
    if stack.scope != Scope::System {
        return Vec::new();
    }
    let to = service.ids.map(|ids| IdRange {
        start: ids.start,
        size: ids.size,
    });
    let owned = service
        .data
        .iter()
        .filter(|data| data.owner.is_some() && data.host.is_dir());
    let record = Record::of(&stack.data_root, &service.container);
    let from = match record.read() {
        Ok(from) => from,
        Err(error) => return vec![error.to_string()],
    };
    let by = Move {
        from: from.filter(|from| Some(*from) != to),
        to,
    };
    let mut problems = Vec::new();
    for data in owned {
        let done = ownership::differs(&data.host, by).and_then(|differs| {
            // An interrupted move leaves no record, so all is looked at again.
            if differs || from != to {
                ownership::move_ids(&data.host, by)
            } else {
                Ok(0)
            }
        });
        match done {
            Ok(0) => {}
            Ok(moved) => println!(
                "{}: {moved} files and folders belong to the container's own user ids now",
                data.host.display()
            ),
            Err(error) => problems.push(format!(
                "data directory {} ({}) can't be given to the container's user ids: {error}",
                data.name, service.option
            )),
        }
    }
    if problems.is_empty()
        && from != to
        && let Err(error) = record.write(to)
    {
        problems.push(error.to_string());
    }
    problems
}

/// Refuses to start a container that other machines could reach past its published ports.
fn exposed(root: &Path, stack: &Stack) -> Option<String> {
    // A stack without options for its network is on one that somebody else looks after.
    if stack.scope != Scope::System || stack.network_options.is_empty() {
        return None;
    }
    guard::close(root, stack)
        .err()
        .map(|error| error.to_string())
}

fn directories(stack: &Stack, service: &Service) -> Vec<String> {
    let say = |what: String, error: DirectoryError| match directory_hint(stack.scope, &error) {
        Some(hint) => format!("{what}: {error} {hint}"),
        None => format!("{what}: {error}"),
    };
    let mut problems: Vec<String> = service
        .data
        .iter()
        .filter_map(|data| {
            let owner = data.owner.map(|owner| (owner.uid, owner.gid));
            let error = directory::examine(&data.host, owner).err()?;
            Some(say(
                format!("data directory {} ({})", data.name, service.option),
                error,
            ))
        })
        .collect();
    let keeps_secrets = service
        .secrets
        .iter()
        .any(|secret| secret.generate && secret.source.starts_with(&stack.data_root));
    if problems.is_empty()
        && keeps_secrets
        && let Err(error) = directory::examine(&stack.data_root, None)
    {
        problems.push(say("services.aiStack.dataRoot".to_owned(), error));
    }
    problems
}

/// What to do about a data directory.
pub fn directory_hint(scope: Scope, error: &DirectoryError) -> Option<String> {
    match error {
        DirectoryError::Missing { .. } => Some(format!(
            "create it with `systemd-tmpfiles --create{}`",
            user_flag(scope)
        )),
        DirectoryError::NoDirectory { .. } => {
            Some("move away what is there, or change the path".to_owned())
        }
        DirectoryError::Owner { path, wanted, .. } => Some(format!(
            "change the owner with `{}chown -R {}:{} {}`",
            match scope {
                Scope::System => "",
                Scope::User => "sudo ",
            },
            wanted.0,
            wanted.1,
            path.display()
        )),
        DirectoryError::Hidden { .. } | DirectoryError::Unreadable { .. } => None,
    }
}

/// The ports that stay taken, each with its option.
fn taken_ports(ports: &[Port]) -> Vec<String> {
    let deadline = Instant::now() + PORT_PATIENCE;
    loop {
        let failures: Vec<(&Port, io::Error)> = ports
            .iter()
            .filter_map(|port| {
                let error = try_bind(port.protocol, port.socket()).err()?;
                Some((port, error))
            })
            .collect();
        // Who may not bind a port now may not in five seconds.
        let may_change = failures.iter().any(|(_, error)| {
            matches!(
                error.kind(),
                io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
            )
        });
        if !may_change || Instant::now() >= deadline {
            return failures
                .iter()
                .map(|(port, error)| port_problem(port, error))
                .collect();
        }
        thread::sleep(PORT_INTERVAL);
    }
}

fn port_problem(port: &Port, error: &io::Error) -> String {
    let socket = port.socket();
    let what = format!(
        "port {} ({}): {socket}/{}",
        port.name, port.option, port.protocol
    );
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "{what} is taken by another program: `ss -lnp{} 'sport = :{}'` shows which (as root: \
             also other users'), `aistack status` whether it is one of the stack; stop it or \
             change the option",
            match port.protocol {
                Protocol::Tcp => 't',
                Protocol::Udp => 'u',
            },
            port.host
        ),
        io::ErrorKind::AddrNotAvailable => format!(
            "{what}: no network interface has the address {}: `ip address` shows those that are \
             there",
            port.address
        ),
        io::ErrorKind::PermissionDenied => format!(
            "{what}: ports below net.ipv4.ip_unprivileged_port_start (1024) are root's: choose a \
             higher one"
        ),
        _ => format!("{what} can't be opened: {error}"),
    }
}
