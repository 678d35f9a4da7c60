//! Names of containers, from the arguments of conmon and from podman's storage.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::{Container, Resolver};
use crate::cgroup::Engine;
use crate::users;

/// The largest `containers.json` that is read, in bytes; an entry has about 1 KiB.
const MAX_CONTAINERS: u64 = 16 * 1024 * 1024;

impl Resolver<'_> {
    /// A container with its name: what is known already, else what its conmon was
    /// told, else what podman's storage has. Only what the account `uid` says of it counts.
    pub(super) fn named(
        &mut self,
        engine: Engine,
        id: String,
        name: Option<String>,
        uid: Option<u32>,
        known_by: &str,
    ) -> Container {
        let mut known_by = known_by.to_owned();
        let name = name.or_else(|| {
            if engine != Engine::Podman {
                return None;
            }
            let (name, bundle) = self
                .monitors()
                .iter()
                .find(|monitor| monitor.id == id && monitor.uid == uid)
                .map(|monitor| (monitor.name.clone(), monitor.bundle.clone()))
                .unwrap_or_default();
            if name.is_some() {
                known_by.push_str(", conmon's arguments");
                return name;
            }
            let name = self.stored_name(&id, bundle.as_deref(), uid?);
            if name.is_some() {
                known_by.push_str(", podman's containers.json");
            }
            name
        });
        Container {
            engine,
            id: Some(id),
            name: name.map(|name| crate::text::field(&name)),
            known_by,
        }
    }

    /// The name in `<storage>/<driver>-containers/containers.json` of the account's podman.
    pub(super) fn stored_name(
        &mut self,
        id: &str,
        bundle: Option<&Path>,
        uid: u32,
    ) -> Option<String> {
        let mut lists = Vec::new();
        // <storage>/overlay-containers/<id>/userdata
        lists.extend(
            bundle.and_then(|bundle| Some(bundle.parent()?.parent()?.join("containers.json"))),
        );
        let stores = if uid == 0 {
            vec![PathBuf::from("/var/lib/containers/storage")]
        } else {
            let users = self.accounts.get_or_init(|| users::all(self.root));
            users
                .iter()
                .filter(|user| user.uid == uid && user.home.is_absolute())
                .map(|user| user.home.join(".local/share/containers/storage"))
                .collect()
        };
        for store in stores {
            lists.extend(
                ["overlay", "btrfs", "zfs", "vfs"]
                    .map(|driver| store.join(format!("{driver}-containers/containers.json"))),
            );
        }
        lists.into_iter().find_map(|list| {
            let key = (list, uid);
            if !self.names.contains_key(&key) {
                let text = self.foreign(&key.0, uid, MAX_CONTAINERS);
                let names = text.and_then(|text| names_in(&text)).unwrap_or_default();
                self.names.insert(key.clone(), names);
            }
            self.names.get(&key)?.get(id).cloned()
        })
    }
}

/// Names by id, from podman's `containers.json`.
fn names_in(text: &[u8]) -> Option<HashMap<String, String>> {
    #[derive(serde::Deserialize)]
    struct Entry {
        id: String,
        #[serde(default)]
        names: Vec<String>,
    }
    let entries: Vec<Entry> = serde_json::from_slice(text).ok()?;
    Some(
        entries
            .into_iter()
            .filter_map(|entry| Some((entry.id, entry.names.into_iter().next()?)))
            .collect(),
    )
}
