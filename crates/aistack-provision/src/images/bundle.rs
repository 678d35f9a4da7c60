//! A folder of archives, and the list of what is in it.
//!
//! The archives are oci-archives: layers stay compressed as the registry has
//! them, where a docker-archive would unpack them. Each brings one image under
//! its name and tag, which is the reference that a stack uses once its
//! `imageArchive` is set. The digest of an index doesn't survive any archive.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use aistack_machine::file;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::images::archive::{self, ArchiveError, Checked};
use crate::images::error::BundleError;
use crate::images::skopeo::Skopeo;
use crate::images::{Image, mib};

/// The list's name in the folder.
const LIST: &str = "bundle.json";
const SCHEMA: u64 = 1;
/// The largest list that is read, in bytes.
const MAX_LIST: u64 = 8 * 1024 * 1024;
/// Where skopeo lays the layers before they become an archive.
const TEMPORARY: &str = ".aistack-tmp";
/// What an archive and the list take beside the layers, in bytes.
const EXTRA: u64 = 1024 * 1024;

/// The ending of the archives' names.
pub const ARCHIVES: &str = ".tar";

/// An archive of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Archive {
    /// The service that it is for.
    pub service: String,
    /// What the image is called when it was loaded.
    pub reference: String,
    /// Registry, repository and digest that it came from.
    pub source: String,
    /// The digest that it has in its registry.
    pub digest: String,
    /// The processor that it is for: `amd64`, `arm64` …
    pub architecture: String,
    /// The archive's name in the folder.
    pub file: String,
    /// SHA-256 of the archive.
    pub sha256: String,
    /// Size of the archive in bytes.
    pub bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    schema: u64,
    images: Vec<Archive>,
}

/// A folder with archives and their list.
#[derive(Debug)]
pub struct Bundle {
    directory: PathBuf,
    archives: Vec<Archive>,
}

impl Bundle {
    /// Reads the list of a folder.
    ///
    /// # Errors
    /// When there is none or it isn't one.
    pub fn read(directory: &Path) -> Result<Self, BundleError> {
        let path = directory.join(LIST);
        let failed = |why: String| BundleError::List {
            path: path.clone(),
            why,
        };
        let text = file::read(&path, MAX_LIST)
            .map_err(|cause| failed(format!("it cannot be read: {cause}")))?;
        Self::parse(directory, &text)
    }

    /// Takes bytes for the list of a folder.
    ///
    /// # Errors
    /// When they are none.
    pub fn parse(directory: &Path, text: &[u8]) -> Result<Self, BundleError> {
        let path = directory.join(LIST);
        let failed = |why: String| BundleError::List {
            path: path.clone(),
            why,
        };
        let list: List = serde_json::from_slice(text).map_err(|cause| {
            failed(format!(
                "it does not follow schema {SCHEMA}: {}",
                aistack_machine::text::error(&cause)
            ))
        })?;
        if list.schema != SCHEMA {
            return Err(failed(format!(
                "it has schema {}, this aistack reads schema {SCHEMA}",
                list.schema
            )));
        }
        // It may come from anywhere, and its files are opened.
        if let Some(odd) = list.images.iter().find(|archive| !is_name(&archive.file)) {
            return Err(failed(format!(
                "{:?} can't be the name of a file in it",
                odd.file
            )));
        }
        Ok(Self {
            directory: directory.to_owned(),
            archives: list.images,
        })
    }

    /// Its archives.
    #[must_use]
    pub fn archives(&self) -> &[Archive] {
        &self.archives
    }

    /// Where an archive lies.
    #[must_use]
    pub fn path(&self, archive: &Archive) -> PathBuf {
        self.directory.join(&archive.file)
    }

    /// Looks into an archive, which must be what the list says and bring the image that it
    /// is for, and no other.
    ///
    /// # Errors
    /// When it can't be read, has another hash, or brings other images.
    pub fn check(&self, archive: &Archive) -> Result<Checked, ArchiveError> {
        archive::check(
            &self.path(archive),
            &archive.reference,
            Some(&archive.sha256),
        )
    }

    /// Whether an archive is what the list says, by reading it.
    fn verify(&self, archive: &Archive) -> bool {
        sha256(&self.path(archive)).is_ok_and(|(seen, _)| seen == archive.sha256)
    }

    fn write(&self) -> Result<(), BundleError> {
        let path = self.directory.join(LIST);
        let list = List {
            schema: SCHEMA,
            images: self.archives.clone(),
        };
        let write = || {
            let text = serde_json::to_string_pretty(&list)?;
            let mut draft = tempfile::Builder::new()
                .prefix(".aistack-list-")
                .permissions(fs::Permissions::from_mode(0o644))
                .tempfile_in(&self.directory)?;
            writeln!(draft, "{text}")?;
            draft.as_file().sync_all()?;
            draft.persist(&path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(|cause: io::Error| BundleError::Io {
            what: "written",
            path: path.clone(),
            cause,
        })
    }
}

/// What became of an image.
#[derive(Debug)]
pub enum Made {
    /// Its archive was there, and its hash was seen again.
    Kept(Archive),
    /// It was made.
    New(Archive),
}

/// Writes a bundle, one image at a time.
#[derive(Debug)]
pub struct Bundler<'a> {
    skopeo: &'a Skopeo,
    architecture: &'a str,
    bundle: Bundle,
    /// Held for as long as this lives.
    _lock: File,
}

impl<'a> Bundler<'a> {
    /// Opens the folder, or makes it; what is in its list is kept.
    ///
    /// # Errors
    /// When it can't be written, another process writes there, or its list isn't one.
    pub fn open(
        skopeo: &'a Skopeo,
        directory: &Path,
        architecture: &'a str,
    ) -> Result<Self, BundleError> {
        let failed = |what| {
            move |cause| BundleError::Io {
                what,
                path: directory.to_owned(),
                cause,
            }
        };
        fs::create_dir_all(directory).map_err(failed("made"))?;
        // skopeo runs in it, so that it must not be relative to somewhere else.
        let directory = directory.canonicalize().map_err(failed("read"))?;
        if directory.as_os_str().as_encoded_bytes().contains(&b':') {
            return Err(BundleError::Colon { path: directory });
        }
        let lock = File::open(&directory).map_err(failed("read"))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(BundleError::Busy { path: directory });
        }
        let bundle = if directory.join(LIST).symlink_metadata().is_ok() {
            Bundle::read(&directory)?
        } else {
            Bundle {
                directory,
                archives: Vec::new(),
            }
        };
        Ok(Self {
            skopeo,
            architecture,
            bundle,
            _lock: lock,
        })
    }

    /// Has the archive of the image in the folder, and in the list.
    ///
    /// # Errors
    /// When it can't be had or written; what is in the folder stays as it was.
    pub fn add(&mut self, image: &Image) -> Result<Made, BundleError> {
        let file = format!("{}{ARCHIVES}", image.label);
        if !is_name(&file) {
            return Err(BundleError::Name {
                name: image.label.clone(),
            });
        }
        // A pinned one needs no network to be known again.
        if let Some(digest) = &image.digest
            && let Some(kept) = self.known(image, digest)
        {
            return Ok(Made::Kept(kept));
        }
        let raw = self.skopeo.verify(image, self.architecture)?;
        if let Some(kept) = self.known(image, &raw.digest) {
            return Ok(Made::Kept(kept));
        }
        // From here on by the digest, so that a tag that moves changes nothing.
        let pinned = Image {
            digest: Some(raw.digest.clone()),
            ..image.clone()
        };
        let size = self.skopeo.size(&pinned, &raw, self.architecture)?;
        self.check_space(size)?;
        let (sha256, bytes) = self.copy(&pinned, &file)?;
        let archive = Archive {
            service: image.label.clone(),
            reference: image.tagged(),
            source: pinned.source(),
            digest: raw.digest,
            architecture: self.architecture.to_owned(),
            file,
            sha256,
            bytes,
        };
        let list = &mut self.bundle.archives;
        list.retain(|known| known.service != archive.service);
        list.push(archive.clone());
        list.sort_by(|a, b| a.service.cmp(&b.service));
        self.bundle.write()?;
        Ok(Made::New(archive))
    }

    /// The archive that is there already, when it is this one and whole.
    fn known(&self, image: &Image, digest: &str) -> Option<Archive> {
        let known = self.bundle.archives.iter().find(|known| {
            known.service == image.label
                && known.digest == digest
                && known.reference == image.tagged()
                && known.architecture == self.architecture
        })?;
        if !self.bundle.verify(known) {
            return None;
        }
        Some(known.clone())
    }

    fn check_space(&self, size: u64) -> Result<(), BundleError> {
        let path = &self.bundle.directory;
        // A file system that doesn't say (some network ones) may have room.
        let Ok(space) = rustix::fs::statvfs(path) else {
            return Ok(());
        };
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        let needed = size.saturating_mul(2).saturating_add(EXTRA);
        if space.f_blocks == 0 || free >= needed {
            return Ok(());
        }
        Err(BundleError::NoSpace {
            path: path.clone(),
            free: free / (1024 * 1024),
            needed: mib(needed),
        })
    }

    /// Makes the archive; its hash and its size in bytes.
    fn copy(&self, image: &Image, file: &str) -> Result<(String, u64), BundleError> {
        let directory = &self.bundle.directory;
        let draft_name = format!(".{file}.partial");
        let (draft, temporary) = (directory.join(&draft_name), directory.join(TEMPORARY));
        // Of a run that was ended: nobody else is here while the lock is held.
        drop(fs::remove_file(&draft));
        drop(fs::remove_dir_all(&temporary));
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |cause| BundleError::Io { what, path, cause }
        };
        fs::create_dir(&temporary).map_err(failed("made", &temporary))?;
        let copied =
            self.skopeo
                .archive(image, self.architecture, directory, &draft_name, &temporary);
        drop(fs::remove_dir_all(&temporary));
        let placed = copied.map_err(BundleError::from).and_then(|()| {
            let target = directory.join(file);
            let hashed = sha256(&draft).map_err(failed("read", &draft))?;
            File::open(&draft)
                .and_then(|draft| {
                    draft.set_permissions(fs::Permissions::from_mode(0o644))?;
                    draft.sync_all()
                })
                .and_then(|()| fs::rename(&draft, &target))
                .map_err(failed("written", &target))?;
            Ok(hashed)
        });
        if placed.is_err() {
            drop(fs::remove_file(&draft));
        }
        placed
    }
}

/// The hash of a file and its length in bytes.
fn sha256(path: &Path) -> io::Result<(String, u64)> {
    let mut file = file::open(path)?;
    let mut digest = Sha256::new();
    let bytes = io::copy(&mut file, &mut digest)?;
    let text = crate::images::hex(digest);
    Ok((text, bytes))
}

/// Whether it is the name of a plain file, of characters that need no care.
fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.is_empty() && !name.starts_with(['.', '-']) && name.chars().all(allowed)
}
