//! An archive of an image, looked into before podman sees it.
//!
//! `podman load` gives an image whatever names its archive holds, also that of an image
//! which is there already. So an archive is loaded only when all of its names were asked
//! for, and only from a path that no other account can change between the look and the
//! load: else a private copy is made while the hash is taken, and podman gets the copy.
//!
//! Formats: docker-archive has `manifest.json`, a list with `RepoTags` (the Docker image
//! specification v1.2, "Combined Image JSON + Filesystem Changeset Format"); oci-archive
//! has `index.json` with the name in the annotations `org.opencontainers.image.ref.name`
//! or `io.containerd.image.name` (OCI image-spec, annotations.md). Either may be gzipped.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use aistack_machine::file::{self, ReadError};
use aistack_machine::{trusted, users};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The largest list of images in an archive that is read, in bytes.
const MAX_LIST: u64 = 4 * 1024 * 1024;
/// Where a private copy is made: images are too large for a `/tmp` in memory.
const COPIES: &str = "/var/tmp";

/// Why an archive is not loaded.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It can't be opened.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The archive.
        path: PathBuf,
        /// Why.
        cause: ReadError,
    },
    /// It has another hash than was declared.
    #[error(
        "{} has the SHA-256 {seen}, and {expected} is wanted: copy it again, or fetch it again with \
         `aistack images bundle`",
        path.display()
    )]
    Hash {
        /// The archive.
        path: PathBuf,
        /// The hash that was wanted.
        expected: String,
        /// The hash that it has.
        seen: String,
    },
    /// It is neither of the two formats.
    #[error(
        "{} is not a docker-archive or oci-archive, plain or gzipped: {why}", path.display()
    )]
    Format {
        /// The archive.
        path: PathBuf,
        /// What was wrong.
        why: String,
    },
    /// It would give images other names than were asked for.
    #[error(
        "{} brings {}, and only {} is wanted: it would replace or add images that nobody declared, \
         so it was not loaded",
        path.display(), list(names), list(wanted)
    )]
    Names {
        /// The archive.
        path: PathBuf,
        /// The names in it.
        names: Vec<String>,
        /// The names that are wanted.
        wanted: Vec<String>,
    },
    /// Another account can change it, and no hash is declared.
    #[error(
        "{} can be changed by another account, so anybody's image could be loaded from it: give it \
         and its folders to user id {me} (chown), or declare its hash",
        path.display()
    )]
    Open {
        /// The archive.
        path: PathBuf,
        /// The account that runs this.
        me: u32,
    },
    /// No private copy could be made.
    #[error("no private copy of {} could be made in {COPIES}: {cause}", path.display())]
    Copy {
        /// The archive.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "no name".to_owned()
    } else {
        names.join(", ")
    }
}

/// An archive that may be loaded.
#[derive(Debug)]
pub struct Checked {
    path: PathBuf,
    /// The folder of the private copy, removed with this.
    _copy: Option<TempDir>,
}

impl Checked {
    /// What podman is given: the archive itself or its copy.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Looks into the archive at `path`: it must bring the image `wanted` (a name and a tag)
/// and no other name, and have the hash `sha256` where one is given. Without a hash no
/// other account may be able to change it.
///
/// # Errors
/// When it is something else, or can't be read or copied.
pub fn check(path: &Path, wanted: &str, sha256: Option<&str>) -> Result<Checked, ArchiveError> {
    let unreadable = |cause: ReadError| ArchiveError::Unreadable {
        path: path.to_owned(),
        cause,
    };
    let mut archive = file::open(path).map_err(unreadable)?;
    let ours = is_ours(path, &archive);
    if sha256.is_none() && !ours {
        return Err(ArchiveError::Open {
            path: path.to_owned(),
            me: users::effective_uid(),
        });
    }
    let failed = |cause| ArchiveError::Copy {
        path: path.to_owned(),
        cause,
    };
    let (mut archive, given, copy, seen) = if ours {
        let seen = match sha256 {
            Some(_) => feed(&mut archive, &mut io::sink()).map_err(|e| unreadable(e.into()))?,
            None => String::new(),
        };
        (archive, path.to_owned(), None, seen)
    } else {
        // Of mode 0700: what is in it stays what was looked at.
        let folder = tempfile::Builder::new()
            .prefix("aistack-image-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(COPIES)
            .map_err(failed)?;
        let place = folder.path().join("archive.tar");
        let mut copy = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&place)
            .map_err(failed)?;
        let seen = feed(&mut archive, &mut copy).map_err(failed)?;
        (copy, place, Some(folder), seen)
    };
    if let Some(expected) = sha256
        && seen != expected
    {
        return Err(ArchiveError::Hash {
            path: path.to_owned(),
            expected: expected.to_owned(),
            seen,
        });
    }
    let names = archive
        .seek(SeekFrom::Start(0))
        .map_err(|cause| cause.to_string())
        .and_then(|_| names(&mut archive))
        .map_err(|why| ArchiveError::Format {
            path: path.to_owned(),
            why,
        })?;
    if names.len() == 1 && names.contains(&full(wanted)) {
        Ok(Checked {
            path: given,
            _copy: copy,
        })
    } else {
        Err(ArchiveError::Names {
            path: path.to_owned(),
            names: names.into_iter().collect(),
            wanted: vec![wanted.to_owned()],
        })
    }
}

/// Whether no account but root and this one can change the file or what is at its path.
fn is_ours(path: &Path, archive: &File) -> bool {
    let me = users::effective_uid();
    let safe = |data: &std::fs::Metadata| {
        (data.uid() == 0 || data.uid() == me) && data.mode() & 0o022 == 0
    };
    let folder = path.parent().unwrap_or(Path::new("/"));
    trusted::is_own(folder)
        && path.symlink_metadata().is_ok_and(|data| data.is_file())
        && archive.metadata().is_ok_and(|data| safe(&data))
}

/// Copies everything and returns the hash of it.
fn feed(from: &mut File, to: &mut impl Write) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = buffer.get(..count).unwrap_or_default();
        digest.update(piece);
        to.write_all(piece)?;
    }
    Ok(crate::images::hex(digest))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    #[serde(default)]
    annotations: std::collections::BTreeMap<String, String>,
}

/// The names that podman would give to the archive's images, in full.
fn names(archive: &mut File) -> Result<BTreeSet<String>, String> {
    let mut magic = [0; 2];
    let zipped = archive.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
    archive
        .seek(SeekFrom::Start(0))
        .map_err(|cause| cause.to_string())?;
    let reader = BufReader::new(archive);
    if zipped {
        names_in(MultiGzDecoder::new(reader))
    } else {
        names_in(reader)
    }
}

fn names_in(reader: impl Read) -> Result<BTreeSet<String>, String> {
    let (mut docker, mut oci, mut has_links) = (None, None, false);
    let mut archive = tar::Archive::new(reader);
    for entry in archive.entries().map_err(|cause| cause.to_string())? {
        let mut entry = entry.map_err(|cause| cause.to_string())?;
        let kind = entry.header().entry_type();
        has_links |= kind.is_symlink() || kind.is_hard_link();
        let path = entry
            .path()
            .map_err(|cause| cause.to_string())?
            .into_owned();
        let plain: PathBuf = path
            .components()
            .filter(|part| !matches!(part, Component::CurDir | Component::RootDir))
            .collect();
        let place = match plain.to_str() {
            Some("manifest.json") => &mut docker,
            Some("index.json") => &mut oci,
            _ if plain.components().any(|part| part == Component::ParentDir) => {
                return Err(format!("{} leads out of it", plain.display()));
            }
            _ => continue,
        };
        // Readers differ in which of two they take.
        if !kind.is_file() || place.is_some() {
            return Err(format!("{} is not one regular file", plain.display()));
        }
        let mut text = Vec::new();
        (&mut entry)
            .take(MAX_LIST + 1)
            .read_to_end(&mut text)
            .map_err(|cause| cause.to_string())?;
        if text.len() as u64 > MAX_LIST {
            return Err(format!("{} is too large", plain.display()));
        }
        *place = Some(text);
    }
    let shape = |cause: serde_json::Error| cause.to_string();
    let mut found = BTreeSet::new();
    if let Some(text) = &docker {
        let images: Vec<Listed> = serde_json::from_slice(text).map_err(shape)?;
        let tags = images.into_iter().filter_map(|image| image.repo_tags);
        found.extend(tags.flatten().map(|name| full(&name)));
    }
    if let Some(text) = &oci {
        // podman unpacks such an archive, where a link could lead to another list.
        if docker.is_none() && has_links {
            return Err("an oci-archive has no links".to_owned());
        }
        let index: Index = serde_json::from_slice(text).map_err(shape)?;
        for manifest in index.manifests {
            let name = |key: &str| manifest.annotations.get(key);
            let named = name("io.containerd.image.name");
            // Next to a manifest.json it is the tag alone.
            let named = named.or_else(|| match docker {
                None => name("org.opencontainers.image.ref.name"),
                Some(_) => None,
            });
            found.extend(named.map(|name| full(name)));
        }
    }
    if docker.is_none() && oci.is_none() {
        return Err("it has neither manifest.json nor index.json".to_owned());
    }
    Ok(found)
}

/// A name as podman keeps it: with its registry and tag (containers-registries.conf(5)
/// has no short names for what archives bring).
fn full(name: &str) -> String {
    let (first, rest) = name.split_once('/').unwrap_or(("", name));
    let has_registry = first.contains(['.', ':']) || first == "localhost";
    let mut full = match (has_registry, first) {
        (true, _) => name.to_owned(),
        (false, "") => format!("docker.io/library/{rest}"),
        (false, _) => format!("docker.io/{name}"),
    };
    let last = full.rsplit('/').next().unwrap_or_default();
    if !last.contains([':', '@']) {
        full.push_str(":latest");
    }
    full
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::chown;

    use super::*;

    fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            archive
                .append_data(&mut header, name, text.as_bytes())
                .unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn docker(tags: &str) -> Vec<u8> {
        let list = format!(r#"[{{"Config":"c.json","RepoTags":{tags},"Layers":[]}}]"#);
        tar(&[("c.json", "{}"), ("manifest.json", &list)])
    }

    fn oci(name: &str) -> Vec<u8> {
        let index = format!(
            r#"{{"manifests":[{{"annotations":{{"org.opencontainers.image.ref.name":"{name}"}}}}]}}"#
        );
        tar(&[("oci-layout", "{}"), ("./index.json", &index)])
    }

    fn placed(bytes: &[u8]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.tar");
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        (folder, path)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(bytes).unwrap();
        zip.finish().unwrap()
    }

    const WANTED: &str = "docker.io/example/a:1";

    #[test]
    fn both_formats_bring_the_wanted_name() {
        for bytes in [
            docker(r#"["docker.io/example/a:1"]"#),
            docker(r#"["example/a:1"]"#),
            gzip(&docker(r#"["example/a:1"]"#)),
            oci(WANTED),
        ] {
            let (_folder, path) = placed(&bytes);
            let checked = check(&path, WANTED, None).unwrap();
            assert_eq!(checked.path(), path);
        }
    }

    #[test]
    fn an_archive_with_any_other_name_is_refused() {
        for bytes in [
            docker(r#"["docker.io/ollama/ollama:0.35.0"]"#),
            docker(r#"["docker.io/example/a:1","docker.io/ollama/ollama:0.35.0"]"#),
            docker("null"),
            oci("docker.io/ollama/ollama:0.35.0"),
            gzip(&oci("docker.io/ollama/ollama:0.35.0")),
            oci("latest"),
        ] {
            let (_folder, path) = placed(&bytes);
            let error = check(&path, WANTED, None).unwrap_err();
            assert!(matches!(error, ArchiveError::Names { .. }), "{error}");
        }
        let (good, evil) = (
            r#"[{"RepoTags":["example/a:1"]}]"#,
            r#"[{"RepoTags":["docker.io/ollama/ollama:0.35.0"]}]"#,
        );
        for bytes in [
            tar(&[("manifest.json", good), ("manifest.json", evil)]),
            tar(&[("manifest.json", good), ("./manifest.json", evil)]),
            tar(&[("other", "")]),
            b"no archive at all".to_vec(),
            Vec::new(),
        ] {
            let (_folder, path) = placed(&bytes);
            let error = check(&path, WANTED, None).unwrap_err();
            assert!(matches!(error, ArchiveError::Format { .. }), "{error}");
        }
    }

    #[test]
    fn the_hash_is_compared() {
        let bytes = oci(WANTED);
        let (_folder, path) = placed(&bytes);
        let mut digest = Sha256::new();
        digest.update(&bytes);
        check(&path, WANTED, Some(&crate::images::hex(digest))).unwrap();
        let error = check(&path, WANTED, Some(&"0".repeat(64))).unwrap_err();
        assert!(matches!(error, ArchiveError::Hash { .. }), "{error}");
    }

    #[test]
    fn what_others_can_change_is_copied_or_refused() {
        let bytes = oci(WANTED);
        let mut digest = Sha256::new();
        digest.update(&bytes);
        let hash = crate::images::hex(digest);
        let (folder, path) = placed(&bytes);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let error = check(&path, WANTED, None).unwrap_err();
        assert!(matches!(error, ArchiveError::Open { .. }), "{error}");
        let checked = check(&path, WANTED, Some(&hash)).unwrap();
        assert_ne!(checked.path(), path);
        // Changed after the look: podman gets what was looked at.
        fs::write(&path, docker(r#"["docker.io/ollama/ollama:0.35.0"]"#)).unwrap();
        assert_eq!(fs::read(checked.path()).unwrap(), bytes);
        let copy = checked.path().to_owned();
        let mode = copy.parent().unwrap().metadata().unwrap().mode() & 0o777;
        assert_eq!(mode, 0o700);
        drop(checked);
        assert!(!copy.exists());
        if users::effective_uid() != 0 {
            eprintln!("\nSKIP only root can give folders away");
            return;
        }
        fs::write(&path, &bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        chown(folder.path(), Some(2001), None).unwrap();
        assert!(check(&path, WANTED, None).is_err());
        assert_ne!(check(&path, WANTED, Some(&hash)).unwrap().path(), path);
    }

    #[test]
    fn names_in_full() {
        for (name, wanted) in [
            ("a", "docker.io/library/a:latest"),
            ("a:1", "docker.io/library/a:1"),
            ("b/a", "docker.io/b/a:latest"),
            ("localhost/a:1", "localhost/a:1"),
            ("r.example/a:1", "r.example/a:1"),
            ("r:5000/a", "r:5000/a:latest"),
        ] {
            assert_eq!(full(name), wanted);
        }
    }
}
