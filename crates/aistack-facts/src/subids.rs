//! Subordinate ids: `/etc/subuid` and `/etc/subgid`, subuid(5) and subgid(5).

use std::collections::BTreeMap;

use crate::facts::SubordinateIds;
use crate::reader::{Reader, printable};

/// What a container image needs: its own users and groups from 0 to 65535.
const NEEDED: u64 = 65_536;

pub(crate) fn read(reader: &mut Reader) -> SubordinateIds {
    let users = ranges(reader, "etc/subuid");
    let groups = ranges(reader, "etc/subgid");
    let enough = |counts: &BTreeMap<String, u64>, name: &str| counts.get(name) >= Some(&NEEDED);
    SubordinateIds {
        users: users
            .keys()
            .filter(|name| enough(&users, name) && enough(&groups, name))
            .cloned()
            .collect(),
    }
}

/// How many ids each user has, over all its lines `name:first:count`. podman
/// maps all of a user's ranges, so they add up.
fn ranges(reader: &mut Reader, path: &str) -> BTreeMap<String, u64> {
    let meaning = "its users are taken to have no subordinate ids";
    let mut counts = BTreeMap::new();
    let Some(text) = reader.lines_of(path, meaning) else {
        return counts;
    };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some((name, count)) = parse(line) {
            let sum: &mut u64 = counts.entry(name).or_default();
            *sum = sum.saturating_add(count);
        } else {
            let seen = format!("line {number} is not `name:first:count`");
            reader.note(path, seen, "the line is left out");
        }
    }
    counts
}

fn parse(line: &str) -> Option<(String, u64)> {
    let mut parts = line.split(':');
    let name = printable(parts.next()?)?;
    let _first: u32 = parts.next()?.parse().ok()?;
    let count = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((name, count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(parse("ann:100000:65536"), Some(("ann".to_owned(), 65_536)));
        for odd in [
            "",
            "ann",
            "ann:1",
            "ann:1:2:3",
            "ann:x:65536",
            "ann:1:-5",
            ":1:2",
            "a\u{fffd}:1:2",
        ] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }
}
