//! Whether the GPUs that a service was given are there, and what to do if not.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aistack_machine::cdi::{Devices, Name};
use aistack_machine::nodes::{NodeError, examine};

/// How long devices may be missing: at boot a generator writes the CDI specs
/// and udev makes the nodes while the first services start.
const PATIENCE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(200);

/// What is the matter with a device.
enum Problem {
    /// It may come.
    NotYet(String),
    /// No waiting helps.
    Final(String),
}

/// The devices that are missing for good or may not be used, each in words for
/// people. `user`: whose containers these are, when they aren't the system's.
pub fn missing(root: &Path, devices: &[String], user: Option<&str>) -> Vec<String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let problems = look(root, devices, user);
        let may_change = problems
            .iter()
            .any(|problem| matches!(problem, Problem::NotYet(_)));
        if !may_change || Instant::now() >= deadline {
            return problems
                .into_iter()
                .map(|problem| match problem {
                    Problem::NotYet(text) => {
                        format!("{text} (waited {} s)", PATIENCE.as_secs())
                    }
                    Problem::Final(text) => text,
                })
                .collect();
        }
        thread::sleep(INTERVAL);
    }
}

fn look(root: &Path, devices: &[String], user: Option<&str>) -> Vec<Problem> {
    // Read once for all names, and not at all where there are none.
    let mut specs: Option<Devices> = None;
    devices
        .iter()
        .filter_map(|device| {
            // podman skips what begins with a minus when it is missing.
            if device.starts_with('-') {
                return None;
            }
            if let Ok(name) = Name::parse(device) {
                let specs = specs.get_or_insert_with(|| Devices::read(root));
                return (!specs.has(device)).then(|| Problem::NotYet(undefined(&name, specs)));
            }
            // `HOST:CONTAINER:PERMISSIONS`
            let path = Path::new(device.split(':').next().unwrap_or(device));
            let error = examine(root, path, user.is_some()).err()?;
            Some(node_problem(error, user.unwrap_or("root")))
        })
        .collect()
}

/// The message for a CDI name that no spec defines.
fn undefined(name: &Name<'_>, specs: &Devices) -> String {
    let kind = name.kind();
    // `/run/cdi` is `/var/run/cdi` by another name, unless a tree lacks the link.
    let folders: Vec<String> = ["etc/cdi", "var/run/cdi"]
        .iter()
        .map(|folder| {
            let seen = specs.folders.iter().find(|(name, _)| name == folder);
            match seen {
                None => format!("/{folder} (does not exist)"),
                Some((_, 0)) => format!("/{folder} (empty)"),
                Some((_, 1)) => format!("/{folder} (1 spec)"),
                Some((_, count)) => format!("/{folder} ({count} specs)"),
            }
        })
        .collect();
    let folders = folders.join(" and ");

    let defined = specs.devices();
    let shown: Vec<&str> = defined.iter().take(8).map(String::as_str).collect();
    let shown = shown.join(", ");
    let there = match defined.len() {
        0 => "where no device is defined".to_owned(),
        1..=8 => format!("which define {shown}"),
        count => format!("which define {shown} and {} more", count - 8),
    };
    let broken = match specs.notes.first() {
        Some(note) => format!(" Not usable: /{note}."),
        None => String::new(),
    };
    let fix = match kind.as_str() {
        "nvidia.com/gpu" => "On NixOS set hardware.nvidia-container-toolkit.enable = true and run \
             `systemctl restart nvidia-container-toolkit-cdi-generator`; elsewhere run \
             `nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`"
            .to_owned(),
        "amd.com/gpu" => {
            "Run `amd-ctk cdi generate --output=/etc/cdi/amd.json`, or give the service /dev/kfd \
             and /dev/dri instead"
                .to_owned()
        }
        _ => format!("Let the program that makes the specs of {kind} write them"),
    };
    format!(
        "GPU {kind}={}: no CDI spec defines it. Looked in {folders}, {there}.{broken} {fix}",
        name.device
    )
}

fn node_problem(error: NodeError, user: &str) -> Problem {
    match error {
        NodeError::Missing { path, is_empty } => {
            let what = if is_empty {
                format!("GPU {}: has no render node (renderD128 …)", path.display())
            } else {
                format!("GPU {}: does not exist", path.display())
            };
            let driver = if path.starts_with("/dev/kfd") {
                "the kernel's amdgpu driver makes it: `lsmod | grep amdgpu` says whether it is \
                 loaded, `dmesg | grep kfd` what it thinks of the card"
            } else if path.starts_with("/dev/dri") {
                "the card's kernel driver makes it (amdgpu, i915, xe, nvidia-drm): `aistack facts` \
                 says which driver is bound to which card"
            } else {
                "the card's kernel driver makes it: is it loaded?"
            };
            Problem::NotYet(format!("{what}; {driver}"))
        }
        NodeError::Forbidden { path, group } => Problem::Final(format!(
            "GPU {}: {user} may not read and write it, the group {group} may. On NixOS \
             users.users.{user}.extraGroups = [ \"{group}\" ]; elsewhere `sudo usermod -aG {group} \
             {user}`; then log in anew (`loginctl terminate-user {user}` ends what still runs)",
            path.display()
        )),
        NodeError::Unreadable { path, cause } => Problem::Final(format!(
            "GPU {}: can't be looked at: {cause}",
            path.display()
        )),
    }
}
