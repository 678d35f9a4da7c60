//! The devices that containers can ask for by a CDI name (`nvidia.com/gpu=all`).
//!
//! Which names there are is said by spec files, JSON or YAML, in a few folders
//! (Container Device Interface, `SPEC.md`, versions 0.3 to 1.1). Only the names
//! are read here; what a device brings into a container is podman's affair.
//!
//! Later folders win over earlier ones; two files of one folder that define the
//! same device make it unusable, as in the reference implementation
//! (`pkg/cdi/cache.go`). A file that is broken becomes a [`Note`] and hides
//! nothing of the others.
//!
//! ```no_run
//! let devices = aistack_machine::cdi::Devices::read(std::path::Path::new("/"));
//! println!("{}", devices.has("nvidia.com/gpu=all"));
//! ```

mod name;
mod spec;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::file;

pub use name::{Name, NameError};
pub use spec::{Format, Spec, SpecError, parse};

/// Where specs lie, the more important folders last. `/run/cdi` is the same
/// folder as `/var/run/cdi`, but for trees without the link.
pub const FOLDERS: [&str; 3] = ["etc/cdi", "var/run/cdi", "run/cdi"];

/// The largest file that is read, in bytes. A spec of eight cards, each cut in
/// seven, has about 200 KiB.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// How many files of a folder are read.
const MAX_FILES: usize = 256;

/// A tree of files that specs are read from.
pub trait Files {
    /// Names in a folder, in any order.
    ///
    /// # Errors
    /// What the system says; a folder that isn't there is [`io::ErrorKind::NotFound`].
    fn list(&self, folder: &str) -> io::Result<Vec<String>>;

    /// A file's bytes, at most `limit` of them.
    ///
    /// # Errors
    /// What the system says, or that the file is longer.
    fn read(&self, path: &str, limit: usize) -> io::Result<Vec<u8>>;
}

/// The files below a directory; links lead where they lead.
#[derive(Clone, Copy, Debug)]
pub struct Below<'a>(pub &'a Path);

impl Files for Below<'_> {
    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in self.0.join(folder).read_dir()? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        Ok(names)
    }

    fn read(&self, path: &str, limit: usize) -> io::Result<Vec<u8>> {
        Ok(file::read(&self.0.join(path), limit as u64)?)
    }
}

/// A spec that could not be used, or not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file or folder, relative to the root.
    pub path: String,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.seen)
    }
}

/// The devices that the specs of a machine define.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// The kinds (`nvidia.com/gpu`), each with its devices' names and the file
    /// that defines each of them.
    kinds: BTreeMap<String, BTreeMap<String, Definition>>,
    /// What could not be used.
    pub notes: Vec<Note>,
    /// The folders that are there, each with the number of its specs.
    pub folders: Vec<(&'static str, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Definition {
    /// By one file.
    By(PathBuf),
    /// By two files of the same folder: neither counts.
    Conflict,
}

impl Devices {
    /// Reads the specs below `root`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        Self::read_from(&Below(root))
    }

    /// Reads the specs of a tree.
    #[must_use]
    pub fn read_from(files: &impl Files) -> Self {
        let mut all = Self::default();
        for folder in FOLDERS {
            let mut names = match files.list(folder) {
                Ok(names) => names,
                Err(error) if is_missing(&error) => continue,
                Err(error) => {
                    all.note(folder, &error);
                    continue;
                }
            };
            names.retain(|name| Format::of(name).is_some());
            all.folders.push((folder, names.len()));
            names.sort_unstable();
            if names.len() > MAX_FILES {
                all.note(
                    folder,
                    &format_args!("has {} specs, {MAX_FILES} are read", names.len()),
                );
                names.truncate(MAX_FILES);
            }
            let mut here = Self::default();
            for name in names {
                let path = format!("{folder}/{name}");
                let spec = files
                    .read(&path, MAX_FILE)
                    .map_err(SpecError::Unreadable)
                    .and_then(|bytes| match Format::of(&name) {
                        Some(format) => parse(&bytes, format),
                        None => Err(SpecError::Empty),
                    });
                match spec {
                    Ok(spec) => here.add(&path, spec),
                    Err(error) => all.note(&path, &error),
                }
            }
            all.overlay(here);
        }
        all
    }

    fn note(&mut self, path: &str, seen: &impl fmt::Display) {
        self.notes.push(Note {
            path: path.to_owned(),
            seen: seen.to_string(),
        });
    }

    /// Adds a spec of the same folder.
    fn add(&mut self, path: &str, spec: Spec) {
        for odd in &spec.odd {
            self.note(path, odd);
        }
        for device in spec.devices {
            let devices = self.kinds.entry(spec.kind.clone()).or_default();
            let definition = match devices.get(&device) {
                None => Definition::By(PathBuf::from(path)),
                Some(_) => Definition::Conflict,
            };
            if definition == Definition::Conflict {
                self.notes.push(Note {
                    path: path.to_owned(),
                    seen: format!(
                        "defines {}={device}, as does another file of the folder: neither counts",
                        spec.kind
                    ),
                });
            }
            devices.insert(device, definition);
        }
    }

    /// Puts the devices of a more important folder over these.
    fn overlay(&mut self, over: Self) {
        self.notes.extend(over.notes);
        for (kind, devices) in over.kinds {
            self.kinds.entry(kind).or_default().extend(devices);
        }
    }

    /// Whether a name like `nvidia.com/gpu=all` can be used.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let Ok(name) = Name::parse(name) else {
            return false;
        };
        let definition = self
            .kinds
            .get(&name.kind())
            .and_then(|devices| devices.get(name.device));
        matches!(definition, Some(Definition::By(_)))
    }

    /// The kinds with the names of their usable devices, all sorted.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.kinds.iter().filter_map(|(kind, devices)| {
            let names: Vec<&str> = devices
                .iter()
                .filter(|(_, definition)| matches!(definition, Definition::By(_)))
                .map(|(name, _)| name.as_str())
                .collect();
            (!names.is_empty()).then_some((kind.as_str(), names))
        })
    }

    /// The usable devices as containers ask for them, sorted.
    #[must_use]
    pub fn devices(&self) -> Vec<String> {
        self.kinds()
            .flat_map(|(kind, names)| {
                names
                    .into_iter()
                    .map(move |name| format!("{kind}={name}"))
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}
