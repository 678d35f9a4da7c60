//! Mounted file systems and the control group hierarchy.
//!
//! Format: `/proc/<pid>/mountinfo`, proc(5); `cgroups(7)` for the versions.

use crate::facts::FileSystems;
use crate::reader::{Reader, printable};

const MOUNTINFO_PATH: &str = "proc/self/mountinfo";
const CONTAINERS: &str = "/var/lib/containers";
const CGROUP: &str = "/sys/fs/cgroup";

/// One line of mountinfo, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    point: String,
    kind: String,
}

/// Every mount, in the order in which they were made: a later one hides an
/// earlier one at the same place.
pub(crate) fn read(reader: &mut Reader) -> Vec<Mount> {
    let meaning = "types of file systems are unknown";
    let Some(text) = reader.lines_of(MOUNTINFO_PATH, meaning) else {
        if !reader.exists(MOUNTINFO_PATH) {
            reader.note(MOUNTINFO_PATH, "is missing", meaning);
        }
        return Vec::new();
    };
    let mut mounts = Vec::new();
    let mut odd = 0_usize;
    for line in text.lines() {
        match parse(line) {
            Some(mount) => mounts.push(mount),
            None => odd += 1,
        }
    }
    if odd > 0 {
        let seen = format!("{odd} of {} lines are no mounts", odd + mounts.len());
        reader.note(MOUNTINFO_PATH, seen, "those lines are left out");
    }
    mounts
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`
fn parse(line: &str) -> Option<Mount> {
    let (fixed, rest) = line.split_once(" - ")?;
    let point = unescape(fixed.split(' ').nth(4)?);
    let kind = printable(rest.split(' ').next()?)?;
    point.starts_with('/').then_some(Mount { point, kind })
}

/// Undoes the kernel's `\040` for a space (and tab, newline, backslash).
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part
            .get(..3)
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, part.get(3..)) {
            (Some(byte), Some(rest)) if byte.is_ascii() => {
                plain.push(char::from(byte));
                plain.push_str(rest);
            }
            _ => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Types of the file systems of `/` and of rootful containers.
pub(crate) fn file_systems(reader: &mut Reader, mounts: &[Mount]) -> FileSystems {
    let root = holder(mounts, "/");
    if root.is_none() && !mounts.is_empty() {
        let meaning = "the type of the root file system is unknown";
        reader.note(MOUNTINFO_PATH, "has no mount at /", meaning);
    }
    FileSystems {
        root: root.map(str::to_owned),
        containers: holder(mounts, CONTAINERS).map(str::to_owned),
    }
}

/// Whether something is mounted at exactly that path.
pub(crate) fn has_mount_at(mounts: &[Mount], point: &str) -> bool {
    mounts.iter().any(|mount| mount.point == point)
}

/// Type of the mount that a path lies on. Links in the path are not followed.
fn holder<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a str> {
    let holds = |point: &str| {
        point == "/"
            || path
                .strip_prefix(point)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // `max_by_key` keeps the last of equals: the mount on top.
    mounts
        .iter()
        .filter(|mount| holds(&mount.point))
        .max_by_key(|mount| mount.point.len())
        .map(|mount| mount.kind.as_str())
}

/// 2 when `/sys/fs/cgroup` is the unified hierarchy, 1 when it holds the old
/// ones (with or without the unified one beside them).
pub(crate) fn cgroup_version(reader: &mut Reader, mounts: &[Mount]) -> Option<u8> {
    let at = |point: &str| {
        mounts
            .iter()
            .rfind(|mount| mount.point == point)
            .map(|mount| mount.kind.as_str())
    };
    match at(CGROUP) {
        Some("cgroup2") => return Some(2),
        Some("tmpfs" | "cgroup") => return Some(1),
        _ => {}
    }
    if reader.exists("sys/fs/cgroup/cgroup.controllers") {
        return Some(2);
    }
    reader.note(
        CGROUP.trim_start_matches('/'),
        "is no mounted control group hierarchy",
        "its version is unknown",
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(lines: &[&str]) -> Vec<Mount> {
        lines.iter().map(|line| parse(line).unwrap()).collect()
    }

    #[test]
    fn lines() {
        let mount =
            parse(r"36 35 98:0 /m /mnt/a\040b\134 rw master:1 shared:2 - fuse.sshfs h:/x rw")
                .unwrap();
        assert_eq!(mount.point, r"/mnt/a b\");
        assert_eq!(mount.kind, "fuse.sshfs");
        for odd in [
            "",
            "36 35 98:0 /m /mnt rw",
            "36 - ext4",
            "a b c d e - \u{1} x",
            "1 2 3 4 rel - ext4 x",
        ] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn escapes_that_are_none_stay() {
        for text in [r"\", r"\0", r"\999", r"\400", r"a\é40"] {
            assert_eq!(unescape(text), text);
        }
    }

    #[test]
    fn the_longest_and_last_mount_holds_a_path() {
        let mounts = mounts(&[
            "1 0 0:1 / / rw - ext4 /dev/a rw",
            "2 1 0:2 / /var rw - autofs systemd-1 rw",
            "3 1 0:3 / /var rw - xfs /dev/b rw",
            "4 1 0:4 / /var/lib/container rw - tmpfs tmpfs rw",
        ]);
        assert_eq!(holder(&mounts, "/"), Some("ext4"));
        assert_eq!(holder(&mounts, CONTAINERS), Some("xfs"));
        assert_eq!(holder(&[], "/"), None);
    }
}
