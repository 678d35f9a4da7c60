//! The lock: which image stands for which name.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use aistack_machine::file;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::images::error::LockError;

/// An image of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Registry and repository.
    pub name: String,
    /// Tag; none: known by its digest alone.
    pub tag: Option<String>,
    /// `sha256:` and 64 hexadecimal digits; none: pinned by its tag only.
    pub digest: Option<String>,
    /// The image's contract, `pkgs/contracts/<this>.json`; none: the one named like
    /// the entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
}

/// `pkgs/images.json`. The order of the file is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    entries: Vec<(String, Entry)>,
}

/// The largest lock that is read, in bytes; a real one has some kilobytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    /// When the file can't be read or isn't a lock.
    pub fn read(path: &Path) -> Result<Self, LockError> {
        let text = file::read(path, MAX_BYTES).map_err(|cause| LockError::Unreadable {
            path: path.to_owned(),
            cause: cause.into(),
        })?;
        Self::parse(path, &text)
    }

    /// Takes bytes for a lock; `path` is for messages.
    ///
    /// # Errors
    /// When they are none.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, LockError> {
        serde_json::from_slice(text).map_err(|cause| LockError::Shape {
            path: path.to_owned(),
            cause,
        })
    }

    /// Writes it, whole or not at all; the file's mode stays, and of a link the
    /// target is written.
    ///
    /// # Errors
    /// When the file can't be written; it is then as it was.
    pub fn write(&self, path: &Path) -> Result<(), LockError> {
        let text = serde_json::to_string_pretty(self).map_err(|cause| LockError::Shape {
            path: path.to_owned(),
            cause,
        })?;
        let write = || {
            let target = path.canonicalize()?;
            let mode = target.metadata()?.permissions().mode() & 0o777;
            let directory = target.parent().unwrap_or(Path::new("/"));
            let mut draft = tempfile::Builder::new()
                .prefix(".aistack-lock-")
                .tempfile_in(directory)?;
            draft.write_all(text.as_bytes())?;
            draft.write_all(b"\n")?;
            draft
                .as_file()
                .set_permissions(fs::Permissions::from_mode(mode))?;
            draft.as_file().sync_all()?;
            draft.persist(&target).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|cause| LockError::Unwritable {
            path: path.to_owned(),
            cause,
        })
    }

    /// Its entries, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name.as_str(), entry))
    }

    /// Replaces the entry of that name, where there is one.
    pub fn replace(&mut self, name: &str, new: Entry) {
        if let Some((_, entry)) = self.entries.iter_mut().find(|(known, _)| known == name) {
            *entry = new;
        }
    }
}

impl Serialize for Lock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (name, entry) in &self.entries {
            map.serialize_entry(name, entry)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Lock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Lock;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("names with their images")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lock, A::Error> {
                let mut entries: Vec<(String, Entry)> = Vec::new();
                while let Some((name, entry)) = map.next_entry::<String, Entry>()? {
                    if entries.iter().any(|(known, _)| *known == name) {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                    // Both go to skopeo's command line.
                    let odd = |text: &str| {
                        text.is_empty()
                            || text.starts_with('-')
                            || text.contains(|c: char| c.is_whitespace() || c.is_control())
                    };
                    let nothing = entry.tag.is_none() && entry.digest.is_none();
                    if nothing || odd(&entry.name) || entry.tag.as_deref().is_some_and(odd) {
                        return Err(A::Error::custom(format!(
                            "{name:?} has no usable reference"
                        )));
                    }
                    entries.push((name, entry));
                }
                Ok(Lock { entries })
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_the_same_byte_by_byte() {
        // Not sorted, to see that the order is kept.
        let text = "{\n  \"b\": {\n    \"name\": \"r.example/b\",\n    \"tag\": \"1\",\n    \
                    \"digest\": null\n  },\n  \"a\": {\n    \"name\": \"r.example/a\",\n    \
                    \"tag\": \"2\",\n    \"digest\": \"sha256:00\"\n  }\n}\n";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.json");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.path().join("link.json");
        std::os::unix::fs::symlink("images.json", &link).unwrap();
        Lock::read(&link).unwrap().write(&link).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_lock_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("images.json");
        let good = r#"{"name":"r/a","tag":"1","digest":null}"#;
        for (text, words) in [
            ("[]".to_owned(), "names with their images"),
            (format!("{{\"a\":{good},\"a\":{good}}}"), "is there twice"),
            (
                r#"{"a":{"name":"r/a","tag":"1","x":1}}"#.to_owned(),
                "unknown field",
            ),
            (
                r#"{"a":{"name":"--x","tag":"1","digest":null}}"#.to_owned(),
                "no usable",
            ),
            (String::new(), "EOF"),
        ] {
            fs::write(&path, &text).unwrap();
            let error = Lock::read(&path).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
