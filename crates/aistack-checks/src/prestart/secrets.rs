//! Secrets: read, made where they are generated, and handed to podman.

use aistack_machine::command::search_path;
use aistack_machine::podman::Podman;
use aistack_machine::{say, secret};
use aistack_schema::{Secret, Service};

/// Reads all secrets, and hands them to podman when all are well.
pub fn hand_over(secrets: &[Secret], may_generate: bool, problems: &mut Vec<String>) {
    let mut values = Vec::new();
    for entry in secrets {
        let missing = entry.source.symlink_metadata().is_err();
        if entry.generate && missing && !may_generate {
            continue;
        }
        let value = if entry.generate {
            secret::generate(&entry.source).and_then(|made| {
                if made {
                    say!(
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
pub fn others(service: &Service) -> Vec<String> {
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
