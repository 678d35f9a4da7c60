//! Who runs this program, from `/etc/passwd` (passwd(5)).

use std::path::Path;

use crate::command::below;

/// The effective user id of this process.
#[must_use]
pub fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The name that `/etc/passwd` below `root` has for a user id.
///
/// None where the file doesn't have it (users of a directory service aren't in it).
#[must_use]
pub fn name_of(root: &Path, uid: u32) -> Option<String> {
    let passwd = std::fs::read(below(root, Path::new("/etc/passwd"))).ok()?;
    String::from_utf8_lossy(&passwd).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
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
