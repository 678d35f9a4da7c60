//! Who may write into a data folder that several installations see (two systems on one
//! machine, a disk that moves): one of them, named in a file of the folder.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::prep::file::{self, FileError};

/// Version of the folders' layout.
pub const LAYOUT: u64 = 1;
/// The file's name.
pub const FILE: &str = ".aistack-writer.json";
const MAX_BYTES: u64 = 64 * 1024;

/// An installation, as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installation {
    /// Name of the machine.
    pub host: String,
    /// The user's id.
    pub uid: u32,
    /// A digest of the machine's own id: two machines may have one name.
    pub id: String,
}

impl std::fmt::Display for Installation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} (user id {}, installation {})",
            self.host, self.uid, self.id
        )
    }
}

impl Installation {
    /// This one, below `root`.
    #[must_use]
    pub fn here(root: &Path) -> Self {
        let read = |path: &str| {
            aistack_machine::file::text(&root.join(path), MAX_BYTES)
                .map(|text| text.trim().to_owned())
                .unwrap_or_default()
        };
        // As machine-id(5) asks: the id itself is shown to nobody.
        let machine = read("etc/machine-id");
        let digest = Sha256::digest(format!("aistack-prep {machine}"));
        let id = aistack_machine::text::hex(digest.get(..6).unwrap_or_default());
        let host = read("proc/sys/kernel/hostname");
        Self {
            host: if host.is_empty() {
                "a machine without a name".to_owned()
            } else {
                host
            },
            uid: aistack_machine::users::effective_uid(),
            id,
        }
    }

    /// Whether it is the same one, under whatever name.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.id == other.id && self.uid == other.uid
    }
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// [`LAYOUT`] when it was written.
    pub layout: u64,
    /// Who writes.
    pub writer: Installation,
    /// Since when, as ISO 8601.
    pub since: String,
}

/// Why this installation may not write.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another does.
    #[error(
        "{} belongs to {} since {}, and two writers would spoil the databases: share it with \
         --read-only, or take it over with --take-over once the other has stopped for good",
        root.display(), claim.writer, claim.since
    )]
    Taken {
        /// The data folder.
        root: PathBuf,
        /// Whose it is.
        claim: Box<Claim>,
    },
    /// It has a layout that this version doesn't know.
    #[error(
        "{} has layout {seen}, this aistack knows layout {LAYOUT}: use the version that wrote it, \
         or a newer one",
        root.display()
    )]
    Layout {
        /// The data folder.
        root: PathBuf,
        /// The layout.
        seen: u64,
    },
    /// The file is broken.
    #[error(
        "{} cannot be understood: {cause}; look who writes into the folder, then remove the file",
        path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        cause: serde_json::Error,
    },
    /// It can't be read or written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Who writes into the folder; none: nobody has said so.
///
/// # Errors
/// When the file can't be read or understood, or the layout is newer.
pub fn read(root: &Path) -> Result<Option<Claim>, ClaimError> {
    #[derive(Deserialize)]
    struct Header {
        layout: u64,
    }
    let path = root.join(FILE);
    let Some(bytes) = file::read(&path, MAX_BYTES)? else {
        return Ok(None);
    };
    let broken = |cause| ClaimError::Broken {
        path: path.clone(),
        cause,
    };
    let Header { layout } = serde_json::from_slice(&bytes).map_err(broken)?;
    if layout > LAYOUT {
        return Err(ClaimError::Layout {
            root: root.to_owned(),
            seen: layout,
        });
    }
    serde_json::from_slice(&bytes).map(Some).map_err(broken)
}

/// Makes `here` the writer, unless another is; whether it was not before.
///
/// # Errors
/// When another writes and it is not to be taken over, or the file can't be written.
pub fn take(
    root: &Path,
    here: &Installation,
    take_over: bool,
    now: &str,
) -> Result<bool, ClaimError> {
    let mine = Claim {
        layout: LAYOUT,
        writer: here.clone(),
        since: now.to_owned(),
    };
    let path = root.join(FILE);
    let mut text = serde_json::to_vec_pretty(&mine).map_err(|cause| ClaimError::Broken {
        path: path.clone(),
        cause,
    })?;
    text.push(b'\n');
    match read(root)? {
        Some(claim) if claim.writer.is(here) => Ok(false),
        Some(claim) if !take_over => Err(ClaimError::Taken {
            root: root.to_owned(),
            claim: Box::new(claim),
        }),
        Some(_) => {
            file::write(&path, &text)?;
            Ok(true)
        }
        // The link fails when another was quicker; then it is that one's.
        None if file::write_new(&path, &text)? => Ok(true),
        None => match read(root)? {
            Some(claim) if !claim.writer.is(here) => Err(ClaimError::Taken {
                root: root.to_owned(),
                claim: Box::new(claim),
            }),
            _ => Ok(false),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(id: &str) -> Installation {
        Installation {
            host: format!("host-{id}"),
            uid: 1000,
            id: id.to_owned(),
        }
    }

    #[test]
    fn a_second_writer_is_refused_by_name_until_it_takes_over() {
        let root = tempfile::tempdir().unwrap();
        let take = |id, over| super::take(root.path(), &installation(id), over, "now");
        assert!(take("a", false).unwrap());
        assert!(!take("a", false).unwrap());
        let error = take("b", false).unwrap_err().to_string();
        assert!(
            error.contains("host-a") && error.contains("--read-only"),
            "{error}"
        );
        assert!(take("b", true).unwrap());
        assert!(take("a", false).is_err());
    }

    #[test]
    fn a_renamed_machine_is_the_same_and_another_user_is_not() {
        let one = installation("a");
        let renamed = Installation {
            host: "x".to_owned(),
            ..one.clone()
        };
        let other = Installation {
            uid: 1,
            ..one.clone()
        };
        assert!(one.is(&renamed) && !one.is(&other));
    }

    #[test]
    fn a_newer_layout_and_a_broken_file_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(FILE);
        for (text, word) in [
            ("{\"layout\":2,\"x\":1}", "layout 2"),
            ("{", "remove the file"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = take(root.path(), &installation("a"), true, "now").unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
