//! Device nodes that a container is to be given.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

use crate::command::below;

/// How many entries of `/dev/dri` are looked at.
const MAX_ENTRIES: usize = 1024;

/// Why a container would not get a device.
#[derive(Debug)]
pub enum NodeError {
    /// It isn't there; it may come while the machine still boots.
    Missing {
        /// The node, or the folder of nodes.
        path: PathBuf,
        /// Whether the folder is there, but no node that computes is in it.
        is_empty: bool,
    },
    /// It is there, and this user may not use it.
    Forbidden {
        /// The node.
        path: PathBuf,
        /// The group that may, by name where `/etc/group` has it.
        group: String,
    },
    /// The system won't tell.
    Unreadable {
        /// The node.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
}

/// Whether a device node, or a folder with at least one render node in it, is
/// there and, when `by_this_user`, may be read and written by who runs this.
///
/// # Errors
/// A [`NodeError`] when it is not.
pub fn examine(root: &Path, path: &Path, by_this_user: bool) -> Result<(), NodeError> {
    let at = below(root, path);
    let data = at.metadata().map_err(|cause| failed(path, cause))?;
    if !data.is_dir() {
        return if by_this_user {
            may_use(root, path)
        } else {
            Ok(())
        };
    }
    let entries = at.read_dir().map_err(|cause| failed(path, cause))?;
    let mut nodes: Vec<PathBuf> = entries
        .take(MAX_ENTRIES)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("renderD"))
        .map(|entry| path.join(entry.file_name()))
        .collect();
    nodes.sort_unstable();
    if nodes.is_empty() {
        return Err(NodeError::Missing {
            path: path.to_owned(),
            is_empty: true,
        });
    }
    if !by_this_user {
        return Ok(());
    }
    // One card that may be used is enough: another may be kept for something else.
    let mut first = None;
    for node in &nodes {
        match may_use(root, node) {
            Ok(()) => return Ok(()),
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or(Ok(()), Err)
}

fn failed(path: &Path, cause: io::Error) -> NodeError {
    let path = path.to_owned();
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NodeError::Missing {
            path,
            is_empty: false,
        },
        _ => NodeError::Unreadable { path, cause },
    }
}

fn may_use(root: &Path, path: &Path) -> Result<(), NodeError> {
    let at = below(root, path);
    let wanted = Access::READ_OK | Access::WRITE_OK;
    match rustix::fs::accessat(CWD, &at, wanted, AtFlags::EACCESS) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => {
            let data = at.metadata().map_err(|cause| failed(path, cause))?;
            Err(NodeError::Forbidden {
                path: path.to_owned(),
                group: group_name(root, data.gid()),
            })
        }
        Err(errno) => Err(failed(path, errno.into())),
    }
}

/// The name that `/etc/group` has for a group id (group(5)), or the number.
fn group_name(root: &Path, gid: u32) -> String {
    let groups = below(root, Path::new("/etc/group"));
    crate::file::text(&groups, 16 * 1024 * 1024)
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(gid)).then(|| name.to_owned())
        })
        .unwrap_or_else(|| gid.to_string())
}
