//! The built-in scenarios, changed at random tens of thousands of times: each is still a
//! scenario or an error on one line with a place, at once, and the types agree with the
//! schema. `AISTACK_SEED` chooses other changes; a failure names the seed and the case.
//! What a fuzzer finds beyond this is for `fuzz/`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use aistack_testdriver::builtin;
use aistack_testdriver::scenario::Scenario;
use serde_json::{Value, json};

/// Changes of bytes, in each of the two formats, and of trees.
const CASES: u32 = 10_000;
/// The longest that one may take: far more than any does, far less than a hang.
const LONGEST: Duration = Duration::from_secs(2);

/// `SplitMix64`: the same changes on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}

fn seed() -> u64 {
    std::env::var("AISTACK_SEED").map_or(7, |seed| seed.parse().unwrap())
}

fn documents() -> Vec<Value> {
    builtin::ALL
        .iter()
        .map(|(_, text)| toml::from_str(text).unwrap())
        .collect()
}

fn schema() -> jsonschema::Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas/scenario.schema.json");
    let document = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::options()
        .should_validate_formats(true)
        .build(&document)
        .unwrap()
}

/// Parses; holds the answer against what every answer must be.
fn parse(file: &str, bytes: &[u8], case: &str) -> Result<Scenario, String> {
    let begin = Instant::now();
    let parsed = catch_unwind(AssertUnwindSafe(|| Scenario::parse(Path::new(file), bytes)));
    let shown = || String::from_utf8_lossy(bytes).into_owned();
    assert!(begin.elapsed() < LONGEST, "{case} is slow: {}", shown());
    assert!(parsed.is_ok(), "{case} panics: {}", shown());
    parsed.unwrap().map_err(|error| {
        let text = error.to_string();
        assert!(text.starts_with(file), "{case}: {text}");
        assert!(!text.contains('\n'), "{case}: {text}");
        let placed = [" at ", "from index "].iter().any(|at| text.contains(at));
        assert!(placed, "{case} has no place: {text}");
        text
    })
}

/// Up to four changes: bytes turned, taken, doubled, moved, cut off, or words put in.
fn changed(random: &mut Random, text: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        let end = (at + 1 + random.below(16)).min(bytes.len());
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            4 => {
                let part: Vec<u8> = bytes.drain(at..end).collect();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            5 if random.below(8) == 0 => bytes.truncate(at),
            _ => drop(bytes.splice(at..at, random.pick(words).iter().copied())),
        }
    }
    bytes
}

const WORDS: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\n",
    b"\"",
    b"'''",
    b"\"\"\"",
    b"\\u0000",
    b"\\ud800",
    b"\xe2\x80\xa8",
    b"[[groups]]",
    b"[[groups.steps]]",
    b"[groups]",
    b"{",
    b"[[[[[[[[",
    b"}]",
    b",",
    b"1e999",
    b"-1",
    b"99999999999999999999",
    b"nan",
    b"null",
    b"timeout = 1\n",
    b"http = {}\n",
    b"\"tcp\":{\"number\":1},",
];

#[test]
fn changed_bytes_are_a_scenario_or_an_error_with_a_place() {
    let seed = seed();
    let mut random = Random(seed);
    let mut kept = BTreeMap::from([("a.toml", 0), ("a.json", 0)]);
    let texts: Vec<(&str, [(&str, String); 2])> = builtin::ALL
        .iter()
        .map(|(name, text)| {
            let tree: Value = toml::from_str(text).unwrap();
            let json = serde_json::to_string_pretty(&tree).unwrap();
            (*name, [("a.toml", (*text).to_owned()), ("a.json", json)])
        })
        .collect();
    for case in 0..CASES {
        let (name, formats) = random.pick(&texts);
        for (file, text) in formats {
            let bytes = changed(&mut random, text.as_bytes(), &WORDS);
            let case = format!("seed {seed}, case {case}, {name} in {file}");
            if parse(file, &bytes, &case).is_ok() {
                *kept.get_mut(file).unwrap() += 1;
            }
        }
    }
    // Not all are refused, so that what lies behind the syntax is reached as well.
    for (file, kept) in kept {
        assert!((CASES / 50..CASES).contains(&kept), "{file}: {kept}");
    }
}

/// Every value of the tree, by its place.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                places(field, &format!("{at}/{name}"), all);
            }
        }
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                places(item, &format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
}

#[test]
fn changed_trees_are_refused_by_types_and_schema_alike() {
    let (seed, schema, documents) = (seed(), schema(), documents());
    // Values to put in: what stands anywhere in the scenarios, and what stands nowhere.
    let mut parts = vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(0.0001),
        json!(3600),
        json!(3600.5),
        json!(65536),
        json!(1e300),
        json!(""),
        json!("a\nb"),
        json!("a\u{7f}b"),
        json!([]),
        json!({}),
        json!({ "service": "redis" }),
        json!({ "equals": "a" }),
        json!({ "number": 1 }),
    ];
    let mut names = vec!["unknown".to_owned(), String::new()];
    for document in &documents {
        let mut all = Vec::new();
        places(document, "", &mut all);
        for place in all {
            parts.push(document.pointer(&place).unwrap().clone());
            if let Some((_, name)) = place.rsplit_once('/')
                && name.parse::<usize>().is_err()
            {
                names.push(name.to_owned());
            }
        }
    }
    let mut random = Random(seed);
    let mut kept = 0;
    for case in 0..CASES {
        let mut document = random.pick(&documents).clone();
        for _ in 0..=random.below(3) {
            let mut all = Vec::new();
            places(&document, "", &mut all);
            let place = random.pick(&all).clone();
            let part = random.pick(&parts).clone();
            let target = document.pointer_mut(&place).unwrap();
            match (random.below(4), target) {
                (0, Value::Object(fields)) => {
                    fields.insert(random.pick(&names).clone(), part);
                }
                (1, Value::Object(fields)) if !fields.is_empty() => {
                    let name = fields.keys().nth(random.below(fields.len())).cloned();
                    fields.remove(&name.unwrap());
                }
                (0, Value::Array(list)) => list.push(part),
                (1, Value::Array(list)) if !list.is_empty() => {
                    drop(list.remove(random.below(list.len())));
                }
                (_, target) => *target = part,
            }
        }
        let text = document.to_string();
        let case = format!("seed {seed}, case {case}");
        let by_types = parse("a.json", text.as_bytes(), &case);
        assert_eq!(
            by_types.is_ok(),
            schema.is_valid(&document),
            "{case}: types say {by_types:?} of {text}"
        );
        kept += u32::from(by_types.is_ok());
    }
    assert!((CASES / 50..CASES).contains(&kept), "{kept}");
}
