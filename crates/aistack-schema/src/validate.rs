//! What the types can't say: whether the parts of a stack agree with each other.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::path::Path;

use aistack_machine::{Protocol, Scope};

use crate::model::{Collection, Model, Postgres, Probe, Qdrant, Service, Stack};

impl Stack {
    /// Every contradiction, each with its place in the document; empty when there is none.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.scope == Scope::User && self.user.as_deref().is_none_or(str::is_empty) {
            problems
                .push("user is empty, but scope is \"user\": it must name the owner".to_owned());
        }
        absolute(&mut problems, "dataRoot", &self.data_root);
        unit_name(&mut problems, "target", &self.target, ".target");

        let mut units: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, service) in &self.services {
            if let Some(other) = units.insert(&service.unit, name) {
                problems.push(format!(
                    "services.{name}.unit is {:?}, which services.{other} has already",
                    service.unit
                ));
            }
            self.service_problems(name, service, &mut problems);
        }
        let mut paths: BTreeMap<&Path, &str> = BTreeMap::new();
        for (name, model) in &self.models {
            if let Some(other) = paths.insert(&model.path, name) {
                problems.push(format!(
                    "models.{name}.path is {}, which models.{other} has already",
                    model.path.display()
                ));
            }
            model_problems(name, model, &mut problems);
        }
        problems
    }

    fn service_problems(&self, name: &str, service: &Service, problems: &mut Vec<String>) {
        let place = |field: &str| format!("services.{name}.{field}");
        unit_name(problems, &place("unit"), &service.unit, ".service");
        unit_name(problems, &place("pullUnit"), &service.pull_unit, ".service");
        argument(problems, &place("container"), &service.container);
        argument(
            problems,
            &place("image.reference"),
            &service.image.reference,
        );
        if let Some(archive) = &service.image.archive {
            absolute(problems, &place("image.archive"), archive);
        }
        if let Some(digest) = &service.image.digest
            && !is_digest(digest)
        {
            problems.push(format!(
                "{} is {digest:?}, not sha256: and 64 hexadecimal digits",
                place("image.digest")
            ));
        }
        match &service.health {
            Some(Probe::Http(probe)) if !is_http(&probe.url) => problems.push(format!(
                "{} is {:?}: a probe wants http://HOST or http://HOST:PORT/PATH, without TLS, the port within 1 to 65535",
                place("health.http.url"),
                probe.url
            )),
            _ => {}
        }
        if let Some(engine) = &service.engine
            && !is_http(&engine.url)
        {
            problems.push(format!(
                "{} is {:?}: it must be http://HOST:PORT/v1",
                place("engine.url"),
                engine.url
            ));
        }
        for data in &service.data {
            absolute(
                problems,
                &place(&format!("data.{}.host", data.name)),
                &data.host,
            );
            absolute(
                problems,
                &place(&format!("data.{}.container", data.name)),
                &data.container,
            );
        }
        for secret in &service.secrets {
            argument(problems, &place("secrets[].name"), &secret.name);
            absolute(
                problems,
                &place(&format!("secrets.{}.source", secret.name)),
                &secret.source,
            );
        }
        for file in &service.files {
            absolute(problems, &place("files[].path"), &file.path);
            if let Some(unit) = &file.unit {
                unit_name(problems, &place("files[].unit"), unit, ".service");
            }
        }
        if service.setup.iter().any(Vec::is_empty) {
            problems.push(format!("{} has a command without words", place("setup")));
        }
        if let Some(postgres) = &service.postgres {
            postgres_problems(&place("postgres"), service, postgres, problems);
        }
        if let Some(qdrant) = &service.qdrant {
            qdrant_problems(&place("qdrant"), service, qdrant, problems);
        }
        for entry in &service.integrity {
            absolute(problems, &place("integrity[].path"), &entry.path);
        }
        // `wants` may name services that are off; what is needed must be on.
        for need in &service.needs {
            if need == name {
                problems.push(format!("{} names the service itself", place("needs")));
            } else if !self.services.contains_key(need) {
                problems.push(format!(
                    "{} names {need:?}, which is not among the services: enable services.aiStack.{need}",
                    place("needs")
                ));
            }
        }
    }
}

fn model_problems(name: &str, model: &Model, problems: &mut Vec<String>) {
    let place = |field: &str| format!("models.{name}.{field}");
    // It is part of the names of the files that lie beside the model.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(allowed) || name.starts_with(['-', '.']) {
        problems.push(format!(
            "models has {name:?}: a name holds letters, digits, - _ and . alone, and begins with \
             a letter, a digit or _"
        ));
    }
    if !is_hex_sha256(&model.sha256) {
        problems.push(format!(
            "{} is {:?}, not 64 hexadecimal digits (lower case)",
            place("sha256"),
            model.sha256
        ));
    }
    if !is_fetchable(&model.url) {
        problems.push(format!(
            "{} is {:?}: it must be https://HOST/… or http://HOST/…, without white space",
            place("url"),
            model.url
        ));
    } else if model.token_file.is_some() && !crate::keeps_secrets(&model.url) {
        problems.push(format!(
            "{} is {:?}, and tokenFile would send its token over it unencrypted: use https://",
            place("url"),
            model.url
        ));
    }
    absolute(problems, &place("path"), &model.path);
    if model.path.file_name().is_none() {
        problems.push(format!(
            "{} is {}, which names no file",
            place("path"),
            model.path.display()
        ));
    }
    if let Some(token) = &model.token_file {
        absolute(problems, &place("tokenFile"), token);
    }
    unit_name(problems, &place("unit"), &model.unit, ".service");
}

/// The longest name of a role or database in bytes: `PostgreSQL` cuts longer ones
/// short (`NAMEDATALEN` less the zero at the end).
const LONGEST_NAME: usize = 63;

fn postgres_problems(
    place: &str,
    service: &Service,
    postgres: &Postgres,
    problems: &mut Vec<String>,
) {
    tcp_port(&format!("{place}.port"), service, &postgres.port, problems);
    absolute(
        problems,
        &format!("{place}.passwordSource"),
        &postgres.password_source,
    );
    absolute(
        problems,
        &format!("{place}.versionFile"),
        &postgres.version_file,
    );
    // Both are words of psql's command line.
    argument(problems, &format!("{place}.user"), &postgres.user);
    argument(problems, &format!("{place}.database"), &postgres.database);

    let mut names = vec![
        ("user".to_owned(), &postgres.user),
        ("database".to_owned(), &postgres.database),
    ];
    let mut roles = BTreeSet::from([&postgres.user]);
    for role in &postgres.roles {
        let at = format!("roles.{}", role.name);
        absolute(
            problems,
            &format!("{place}.{at}.passwordSource"),
            &role.password_source,
        );
        if !roles.insert(&role.name) {
            problems.push(format!(
                "{place}.{at} is named twice, or is the superuser: change {}",
                role.option
            ));
        }
        names.push((at, &role.name));
    }
    let mut databases = BTreeSet::new();
    for database in &postgres.databases {
        let at = format!("databases.{}", database.name);
        if !databases.insert(&database.name) {
            problems.push(format!(
                "{place}.{at} is named twice: change {}",
                database.option
            ));
        }
        if let Some(directory) = &database.migrations {
            absolute(problems, &format!("{place}.{at}.migrations"), directory);
        }
        names.push((format!("{at}.owner"), &database.owner));
        names.extend(
            database
                .extensions
                .iter()
                .map(|extension| (format!("{at}.extensions"), extension)),
        );
        names.push((at, &database.name));
    }
    for (at, name) in names {
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains('\0') {
            problems.push(format!(
                "{place}.{at} is {name:?}: PostgreSQL takes names of 1 to {LONGEST_NAME} bytes"
            ));
        }
    }
}

fn qdrant_problems(place: &str, service: &Service, qdrant: &Qdrant, problems: &mut Vec<String>) {
    tcp_port(&format!("{place}.port"), service, &qdrant.port, problems);
    if let Some(source) = &qdrant.api_key_source {
        absolute(problems, &format!("{place}.apiKeySource"), source);
    }
    let mut seen = BTreeSet::new();
    for collection in &qdrant.collections {
        let name = &collection.name;
        let at = format!("{place}.collections.{name}");
        if !seen.insert(name) {
            problems.push(format!("{at} is named twice: change {}", collection.option));
        }
        // A part of a URL's path, which these characters leave as it is.
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
        if name.is_empty()
            || name.len() > 255
            || name.starts_with('.')
            || !name.chars().all(allowed)
        {
            problems.push(format!(
                "{at}: a name has 1 to 255 letters, digits, -, _, . and ~, the first no ."
            ));
        }
        if collection.size.get() > Collection::MOST {
            problems.push(format!(
                "{at}.size is {}: qdrant takes at most {}",
                collection.size,
                Collection::MOST
            ));
        }
    }
}

fn tcp_port(place: &str, service: &Service, name: &str, problems: &mut Vec<String>) {
    let found = service.port(name);
    if found.is_none_or(|port| port.protocol != Protocol::Tcp) {
        problems.push(format!(
            "{place} is {name:?}, which is not among the service's TCP ports"
        ));
    }
}

fn absolute(problems: &mut Vec<String>, place: &str, path: &Path) {
    if !path.is_absolute() {
        problems.push(format!(
            "{place} is \"{}\", not an absolute path",
            path.display()
        ));
    }
}

/// Unit names go to systemctl's command line.
fn unit_name(problems: &mut Vec<String>, place: &str, unit: &str, suffix: &str) {
    let stem = unit.strip_suffix(suffix).unwrap_or_default();
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    if stem.is_empty() || stem.starts_with('-') || !stem.chars().all(allowed) {
        problems.push(format!(
            "{place} is {unit:?}, not the name of a systemd unit that ends with {suffix}"
        ));
    }
}

/// Names that go to podman's command line must not look like its options.
fn argument(problems: &mut Vec<String>, place: &str, value: &str) {
    if value.is_empty() || value.starts_with('-') || value.contains(char::is_whitespace) {
        problems.push(format!(
            "{place} is {value:?}: it must not be empty, begin with - or hold white space"
        ));
    }
}

fn is_digest(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(is_hex_sha256)
}

fn is_hex_sha256(hex: &str) -> bool {
    hex.len() == 64
        && hex
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// What curl is given: one of the two protocols, a host, and nothing that ends a line.
fn is_fetchable(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| !host.is_empty())
        && !url
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '\\' || c == '"')
}

/// `http://HOST[:PORT]…` with a port that is one.
fn is_http(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // The colons within [::1] are not a port's.
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    !host.is_empty() && port.is_none_or(|port| port.parse::<NonZeroU16>().is_ok())
}
