//! Which claims of a tree are for one port of one host at one time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use aistack_machine::address;

use crate::portscan::paths;
use crate::portscan::walk::{Enable, FileFacts, RawClaim, State, Strength};

/// One claim: number of its file, number in the file.
pub(crate) type Id = (usize, usize);

/// A claim with everything that must hold for it.
struct Standing<'a> {
    id: Id,
    claim: &'a RawClaim,
    conditions: Vec<&'a str>,
}

/// One user's or the system's, and the option or the program.
type Whose<'a> = (&'a Option<String>, &'a [String]);

/// A file's facts and the files that it names, by their numbers.
pub(crate) struct Node {
    pub facts: FileFacts,
    pub imports: Vec<usize>,
    pub hosts: Vec<(String, Vec<usize>)>,
    /// Tests and examples: read, but not compared.
    pub aside: bool,
}

/// Sets of claims that are in each other's way.
pub(crate) fn duplicates(nodes: &[Node]) -> Vec<Vec<Id>> {
    let mut pairs = BTreeSet::new();
    // Within a file, each host of it by itself.
    for (file, node) in nodes.iter().enumerate().filter(|(_, node)| !node.aside) {
        let mut frames: BTreeMap<&str, Vec<Id>> = BTreeMap::new();
        for (at, claim) in node.facts.claims.iter().enumerate() {
            frames.entry(&claim.frame).or_default().push((file, at));
        }
        for (frame, ids) in frames {
            meet(nodes, &ids, &[(file, frame)], &mut pairs);
        }
    }
    // Across files, where one file brings them together in any case.
    let mut imported = BTreeSet::new();
    for node in nodes {
        imported.extend(node.imports.iter().copied());
        imported.extend(
            node.hosts
                .iter()
                .flat_map(|(_, files)| files.iter().copied()),
        );
    }
    for (file, node) in nodes.iter().enumerate() {
        if !imported.contains(&file) && !node.imports.is_empty() {
            together(nodes, &[file], None, &mut pairs);
        }
        for (frame, files) in &node.hosts {
            if !files.is_empty() {
                together(nodes, files, Some((file, frame)), &mut pairs);
            }
        }
    }
    clusters(&pairs)
}

/// Compares everything that a host's first files bring along.
fn together(
    nodes: &[Node],
    first: &[usize],
    inline: Option<(usize, &str)>,
    pairs: &mut BTreeSet<(Id, Id)>,
) {
    let mut seen = BTreeSet::new();
    let mut left = first.to_vec();
    while let Some(file) = left.pop() {
        if let Some(node) = nodes.get(file)
            && !node.aside
            && seen.insert(file)
        {
            left.extend(&node.imports);
        }
    }
    let mut parts: Vec<(usize, &str)> = seen.into_iter().map(|file| (file, "")).collect();
    parts.extend(inline);
    let ids: Vec<Id> = parts
        .iter()
        .flat_map(|&(file, frame)| {
            nodes
                .get(file)
                .into_iter()
                .flat_map(|node| node.facts.claims.iter().enumerate())
                .filter(move |(_, claim)| claim.frame == frame)
                .map(move |(at, _)| (file, at))
        })
        .collect();
    meet(nodes, &ids, &parts, pairs);
}

fn get(nodes: &[Node], (file, at): Id) -> Option<&RawClaim> {
    nodes.get(file)?.facts.claims.get(at)
}

/// Adds each pair of one host's claims that can't both be had.
fn meet(nodes: &[Node], ids: &[Id], parts: &[(usize, &str)], pairs: &mut BTreeSet<(Id, Id)>) {
    if ids.len() < 2 {
        return;
    }
    let mut switches: HashMap<Whose<'_>, Vec<&Enable>> = HashMap::new();
    for &(file, frame) in parts {
        for enable in nodes
            .get(file)
            .into_iter()
            .flat_map(|node| &node.facts.enables)
            .filter(|enable| enable.frame == frame)
        {
            switches
                .entry((&enable.user, &enable.owner))
                .or_default()
                .push(enable);
        }
    }
    let claims = standing(nodes, ids);
    let mut by_port: BTreeMap<u16, Vec<Standing<'_>>> = BTreeMap::new();
    for (id, claim) in claims {
        let mut conditions: Vec<&str> = claim.conditions.iter().map(String::as_str).collect();
        let mut off = false;
        for enable in switches
            .get(&(&claim.user, claim.owner.as_slice()))
            .into_iter()
            .flatten()
        {
            match &enable.state {
                State::On => {}
                State::Off => off = true,
                State::When(text) => conditions.push(text),
            }
        }
        if off {
            continue;
        }
        conditions.sort_unstable();
        conditions.dedup();
        for port in claim.ports.first..=claim.ports.last {
            by_port.entry(port).or_default().push(Standing {
                id,
                claim,
                conditions: conditions.clone(),
            });
        }
    }
    for claims in by_port.values() {
        for (at, one) in claims.iter().enumerate() {
            for other in claims.iter().skip(at + 1) {
                // Conditions of different files may be about different things.
                let at_one_time = one.conditions == other.conditions
                    && (one.conditions.is_empty() || one.id.0 == other.id.0);
                if at_one_time && clash(one.claim, other.claim) {
                    pairs.insert((one.id.min(other.id), one.id.max(other.id)));
                }
            }
        }
    }
}

/// Of several values of one option those that count; none where that can't be told.
fn standing<'a>(nodes: &'a [Node], ids: &[Id]) -> Vec<(Id, &'a RawClaim)> {
    let mut options: BTreeMap<Whose<'_>, Vec<(Id, &RawClaim)>> = BTreeMap::new();
    for &id in ids {
        if let Some(claim) = get(nodes, id) {
            options
                .entry((&claim.user, &claim.option))
                .or_default()
                .push((id, claim));
        }
    }
    let mut standing = Vec::new();
    for claims in options.into_values() {
        let strongest = claims
            .iter()
            .map(|(_, claim)| claim.strength)
            .max()
            .unwrap_or(Strength::Normal);
        let strong: Vec<_> = claims
            .into_iter()
            .filter(|(_, claim)| claim.strength == strongest)
            .collect();
        // Lists add up; two single values exclude each other.
        let files: BTreeSet<usize> = strong.iter().map(|(id, _)| id.0).collect();
        let values: BTreeSet<(u16, u16)> = strong
            .iter()
            .map(|(_, claim)| (claim.ports.first, claim.ports.last))
            .collect();
        let conditions: BTreeSet<&[String]> = strong
            .iter()
            .map(|(_, claim)| claim.conditions.as_slice())
            .collect();
        let is_list = strong
            .first()
            .and_then(|(_, claim)| claim.option.last())
            .is_some_and(|last| last.ends_with('s'));
        if is_list || values.len() == 1 || (files.len() == 1 && conditions.len() == strong.len()) {
            standing.extend(strong);
        }
    }
    standing
}

fn clash(one: &RawClaim, other: &RawClaim) -> bool {
    if one.ports.protocol != other.ports.protocol {
        return false;
    }
    // Two users are not logged in at one time as a matter of course.
    if one.user.is_some() && other.user.is_some() && one.user != other.user {
        return false;
    }
    if (&one.user, &one.owner) == (&other.user, &other.owner)
        || paths::same_program(&paths::program(&one.owner), &paths::program(&other.owner))
    {
        return false;
    }
    match (one.ports.address, other.ports.address) {
        (Some(a), Some(b)) => address::meet(a, b),
        // Most programs listen on loopback or on everything unless told.
        (Some(known), None) | (None, Some(known)) => known == IpAddr::from([127, 0, 0, 1]),
        (None, None) => true,
    }
}

/// Joins pairs that share a claim.
fn clusters(pairs: &BTreeSet<(Id, Id)>) -> Vec<Vec<Id>> {
    let mut clusters: Vec<BTreeSet<Id>> = Vec::new();
    for &(one, other) in pairs {
        let mut joined = BTreeSet::from([one, other]);
        clusters.retain(|cluster| {
            let shares = cluster.contains(&one) || cluster.contains(&other);
            if shares {
                joined.extend(cluster);
            }
            !shares
        });
        clusters.push(joined);
    }
    let mut clusters: Vec<Vec<Id>> = clusters
        .into_iter()
        .map(|cluster| cluster.into_iter().collect())
        .collect();
    clusters.sort();
    clusters
}
