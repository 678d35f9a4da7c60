//! Data: its folders, its owner, its version, and whether it looks emptied.

use aistack_machine::directory::{self, DirectoryError};
use aistack_machine::ownership::{self, IdRange, Move, Record};
use aistack_machine::sqlite::{self, SqliteError};
use aistack_machine::{complain, say};
use aistack_provision::postgres::VersionError;
use aistack_provision::stores;
use aistack_schema::{IntegrityKind, Postgres, Scope, Service, Stack};

/// What is wrong with the data that is there: of another version, or emptied.
pub fn stored(service: &Service) -> Vec<String> {
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
            complain!(
                "aistack: {} ({}) was not looked at: {error}",
                service.container,
                entry.option
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
            complain!("aistack: the version of the data ({option}) was not looked at: {error}");
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
pub fn take_over(stack: &Stack, service: &Service) -> Vec<String> {
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
            Ok(moved) => say!(
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

pub fn directories(stack: &Stack, service: &Service) -> Vec<String> {
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
#[must_use]
pub fn directory_hint(scope: Scope, error: &DirectoryError) -> Option<String> {
    match error {
        DirectoryError::Missing { .. } => Some(format!(
            "create it with `systemd-tmpfiles --create{}`",
            scope.flag()
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
