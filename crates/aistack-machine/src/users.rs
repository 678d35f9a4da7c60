//! Who runs this program, from `/etc/passwd` (passwd(5)).

use std::path::{Path, PathBuf};

use crate::command::below;
use crate::{file, trusted};

/// The effective user id of this process.
#[must_use]
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The absolute path that a variable (`HOME`, `XDG_CONFIG_HOME`) has in the environment.
/// For root only where the folder is root's: `sudo -E` keeps the variables of the account
/// that calls it, and what lies there is that account's.
#[must_use]
pub fn folder(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && trusted::check(path).is_ok())
}

/// The name of the user who runs this; none where neither `/etc/passwd` nor the
/// environment has it.
#[must_use]
pub fn current() -> Option<String> {
    name_of(Path::new("/"), effective_uid())
        .or_else(|| std::env::var("USER").ok())
        .filter(|name| !name.is_empty())
}

/// The largest `/etc/passwd` that is read, in bytes.
const MAX_PASSWD: u64 = 16 * 1024 * 1024;

/// One line of `/etc/passwd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The user id.
    pub uid: u32,
    /// The home directory.
    pub home: PathBuf,
}

/// The users that `/etc/passwd` below `root` has, in its order; lines that are not in
/// its format are left out.
#[must_use]
pub fn all(root: &Path) -> Vec<User> {
    let passwd = file::text(&below(root, Path::new("/etc/passwd")), MAX_PASSWD).unwrap_or_default();
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some(User {
                name: fields.next()?.to_owned(),
                uid: fields.nth(1)?.parse().ok()?,
                home: fields.nth(2).map(PathBuf::from).unwrap_or_default(),
            })
        })
        .collect()
}

/// The name that `/etc/passwd` below `root` has for a user id.
///
/// None where the file doesn't have it (users of a directory service aren't in it).
#[must_use]
pub fn name_of(root: &Path, uid: u32) -> Option<String> {
    let found = all(root).into_iter().find(|user| user.uid == uid);
    found.map(|user| user.name)
}

/// The user id that `/etc/passwd` below `root` has for a name; none where it has none.
#[must_use]
pub fn uid_of(root: &Path, name: &str) -> Option<u32> {
    let found = all(root).into_iter().find(|user| user.name == name);
    found.map(|user| user.uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_below_the_root() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(name_of(root.path(), 0), None);
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(
            root.path().join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/bash\nbroken\nai:x:1000:100::/home/ai:/bin/sh\n",
        )
        .unwrap();
        assert_eq!(name_of(root.path(), 1000).as_deref(), Some("ai"));
        assert_eq!(name_of(root.path(), 100), None);
    }
}
