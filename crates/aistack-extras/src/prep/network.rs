//! The containers' network: a bridge on which they find each other by name.

use serde_json::Value;

use crate::prep::check::Check;
use crate::prep::runtime::{Engine, Runtime, Runtimes};

/// Whether the network is there and fits; it is not made.
#[must_use]
pub fn look(runtimes: &Runtimes, name: &str) -> Check {
    let Some(runtime) = runtimes.preferred() else {
        return Check::skipped(
            "network",
            format!("{name} could not be looked for: no runtime works"),
        );
    };
    match inspect(runtime, name) {
        Ok(Some(network)) => judge(runtime, name, &network),
        Ok(None) => Check::info(
            "network",
            format!("{name} is not there yet: compose makes it, or `aistack prep ensure-network`"),
        ),
        Err(seen) => Check::skipped("network", format!("{name} could not be looked at: {seen}")),
    }
}

/// Makes the network with names where there is none. One that is there and does not fit
/// is left: containers may be on it.
#[must_use]
pub fn ensure(runtimes: &Runtimes, name: &str) -> Check {
    let Some(runtime) = runtimes.preferred() else {
        return Check::not_ok(
            "network",
            format!("{name} was not made: no container runtime works"),
            "`aistack prep check-runtime` says why",
        );
    };
    match inspect(runtime, name) {
        Ok(Some(network)) => return judge(runtime, name, &network),
        Ok(None) => {}
        Err(seen) => {
            return Check::not_ok(
                "network",
                format!("{name} was not made, since it could not be looked for: {seen}"),
                "`aistack prep check-runtime` says how well the runtime is",
            );
        }
    }
    // A bridge with names is what both make of this; `--disable-dns` is not given.
    let made = runtime
        .ask(&["network", "create", "--driver", "bridge", name])
        .and_then(|done| {
            if done.status.success() {
                Ok(())
            } else {
                Err(done.into_error())
            }
        });
    match (made, inspect(runtime, name)) {
        (Ok(()), Ok(Some(network))) => {
            let check = judge(runtime, name, &network);
            if check.finding == crate::prep::Finding::Ok {
                Check::ok(
                    "network",
                    format!(
                        "made {name}, a bridge with names ({})",
                        runtime.engine.name()
                    ),
                )
            } else {
                check
            }
        }
        (Ok(()), _) => Check::not_ok(
            "network",
            format!("{name} was made and is not there"),
            format!("look at `{} network ls`", runtime.engine.name()),
        ),
        (Err(error), _) => Check::not_ok(
            "network",
            format!("{name} could not be made: {error}"),
            format!("look at `{} network ls`", runtime.engine.name()),
        ),
    }
}

fn judge(runtime: &Runtime, name: &str, network: &Value) -> Check {
    let text = |keys: [&str; 2]| {
        keys.into_iter()
            .find_map(|key| network.get(key).and_then(Value::as_str))
            .unwrap_or("unknown")
    };
    let driver = text(["driver", "Driver"]);
    let engine = runtime.engine.name();
    let again = format!(
        "when nothing is on it, `{engine} network rm {name}` and `aistack prep ensure-network`"
    );
    if driver != "bridge" {
        return Check::not_ok(
            "network",
            format!("{name} is there with driver {driver:?}, not as a bridge"),
            again,
        );
    }
    let dns = match runtime.engine {
        // Its own networks always have names.
        Engine::Docker => Some(true),
        Engine::Podman => network.get("dns_enabled").and_then(Value::as_bool),
    };
    match dns {
        Some(true) => Check::ok(
            "network",
            format!("{name} is there, a bridge with names ({engine})"),
        ),
        Some(false) => Check::not_ok(
            "network",
            format!("{name} is there without names: containers would not find each other"),
            again,
        ),
        None => Check::skipped(
            "network",
            format!("{name} is there; {engine} does not tell whether it has names"),
        ),
    }
}

/// The network as the runtime describes it; none: there is none.
fn inspect(runtime: &Runtime, name: &str) -> Result<Option<Value>, String> {
    let done = runtime
        .ask(&["network", "inspect", name])
        .map_err(|error| error.to_string())?;
    if !done.status.success() {
        // "network not found", "no such network", "network x not found"
        let said = done.stderr.to_lowercase();
        return if said.contains("not found") || said.contains("no such network") {
            Ok(None)
        } else {
            Err(done.into_error().to_string())
        };
    }
    serde_json::from_slice::<Vec<Value>>(&done.stdout)
        .ok()
        .and_then(|networks| networks.into_iter().next())
        .map(Some)
        .ok_or_else(|| format!("`{}` did not answer a list in JSON", done.command))
}
