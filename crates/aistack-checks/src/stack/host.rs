//! Whether the host gives the stack what it needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aistack_machine::command::{Bounds, search_path};
use aistack_machine::guard::Firewall;
use aistack_machine::podman::Podman;
use aistack_machine::scope::{ScopeError, UserScope};
use aistack_machine::systemd::Systemctl;
use aistack_machine::users;
use aistack_schema::{Loaded, Scope, Stack};

use crate::finding::Check;

/// What rootless containers of `user` need of the host.
#[must_use]
pub fn user_scope(root: &Path, user: &str) -> Vec<Check> {
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
pub(super) fn of_host(root: &Path, loaded: &Loaded) -> Vec<Check> {
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
        let flag = loaded.stack.scope.flag();
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
