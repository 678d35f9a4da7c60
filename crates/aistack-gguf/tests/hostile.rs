//! Headers that mean harm: one clear error each, no panic, no memory.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

mod maker;

use std::io::{self, Read};

use aistack_gguf::{HeaderError, MAX_HEADER, Value, read_header};
use maker::{Entry, Model, header, text};
use proptest::prelude::*;

/// The start of a header with these counts.
fn start(tensors: u64, entries: u64) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(entries.to_le_bytes());
    bytes
}

fn key(bytes: &mut Vec<u8>, name: &str, kind: u32) {
    text(bytes, name);
    bytes.extend(kind.to_le_bytes());
}

fn refusal(bytes: &[u8]) -> String {
    read_header(bytes).unwrap_err().to_string()
}

/// A reader that goes on for ever with the same byte, and counts what was taken.
struct Endless<'a> {
    start: &'a [u8],
    taken: u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = if self.start.is_empty() {
            buffer.fill(0);
            buffer.len()
        } else {
            self.start.read(buffer)?
        };
        self.taken += count as u64;
        Ok(count)
    }
}

#[test]
fn another_format_is_named() {
    assert_eq!(
        refusal(b"PK\x03\x04 and so on"),
        r#"not a GGUF file: it begins with "PK\\x03\\x04""#
    );
    // The byte order of a mainframe.
    let seen = refusal(b"GGUF\0\0\0\x03\0\0\0\0");
    assert!(seen.contains("version 50331648 is not supported"), "{seen}");
}

#[test]
fn wherever_a_header_is_cut_the_error_says_so() {
    let whole = Model::of("llama")
        .with(
            "tokenizer.ggml.tokens",
            Entry::Texts(vec!["a".into(), "b".into()]),
        )
        .bytes();
    assert!(read_header(whole.as_slice()).is_ok());
    for length in 0..whole.len() {
        match read_header(&whole[..length]) {
            Err(HeaderError::Truncated { at, .. }) => assert!(at <= length as u64),
            other => panic!("cut at {length}: {other:?}"),
        }
    }
}

#[test]
fn huge_counts_and_lengths_take_no_memory() {
    let counts = "more than the 1048576 that are read";
    assert!(refusal(&start(u64::MAX, 0)).contains(counts));
    assert!(refusal(&start(0, u64::MAX)).contains("more than the 65536 that are read"));
    // Within the limits, but nothing comes.
    assert!(refusal(&start(1 << 20, 0)).contains("ends within its header"));

    let mut long_key = start(0, 1);
    long_key.extend((1_u64 << 63).to_le_bytes());
    assert!(refusal(&long_key).contains("the length of a key at byte 24 is 9223372036854775808"));

    for length in [1_u64 << 63, u64::MAX] {
        let mut long_text = start(0, 1);
        key(&mut long_text, "general.name", 8);
        long_text.extend(length.to_le_bytes());
        assert!(refusal(&long_text).contains("ends within its header"));
        for kind in [0_u32, 4, 6, 8, 11, 12] {
            let mut long_array = start(0, 1);
            key(&mut long_array, "a", 9);
            long_array.extend(kind.to_le_bytes());
            long_array.extend(length.to_le_bytes());
            assert!(
                refusal(&long_array).contains("ends within its header"),
                "{kind}"
            );
        }
    }
}

#[test]
fn a_file_without_end_is_left_after_the_limit() {
    let mut texts = start(0, 1);
    key(&mut texts, "a", 9);
    texts.extend(8_u32.to_le_bytes());
    texts.extend(u64::MAX.to_le_bytes());
    let mut reader = Endless {
        start: &texts,
        taken: 0,
    };
    let seen = read_header(io::BufReader::new(&mut reader))
        .unwrap_err()
        .to_string();
    assert!(
        seen.contains("more than the 67108864 that are read"),
        "{seen}"
    );
    // The buffer may have been filled once more.
    assert!(reader.taken <= MAX_HEADER + 8192, "{}", reader.taken);
}

#[test]
fn much_metadata_is_refused_before_it_fills_the_memory() {
    let entries: Vec<(String, Entry)> = (0..4000)
        .map(|number| (format!("key.{number}"), Entry::Text("x".repeat(512))))
        .collect();
    let seen = refusal(&header(3, &entries, &[]));
    assert!(
        seen.contains("more than the 1048576 that are read"),
        "{seen}"
    );
}

#[test]
fn arrays_in_arrays_are_refused() {
    let mut bytes = start(0, 1);
    key(&mut bytes, "a", 9);
    for _ in 0..100_000 {
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(1_u64.to_le_bytes());
    }
    assert_eq!(
        refusal(&bytes),
        "the type of an array at byte 37 is an array again"
    );
}

#[test]
fn unknown_types_and_double_keys_are_refused() {
    let mut bytes = start(0, 1);
    key(&mut bytes, "a", 13);
    assert!(
        refusal(&bytes).contains("the type of a value at byte 33 is 13, which GGUF does not have")
    );
    let twice = vec![
        ("general.name".to_owned(), Entry::text("a")),
        ("general.name".to_owned(), Entry::text("b")),
    ];
    assert!(refusal(&header(3, &twice, &[])).contains(r#""general.name" for the second time"#));
}

#[test]
fn impossible_tensors_are_refused_by_name() {
    let with = |dimensions: &[u64], kind| {
        refusal(&header(
            3,
            &[],
            &[("w".to_owned(), dimensions.to_vec(), kind, 0)],
        ))
    };
    assert!(with(&[], 0).contains(r#"tensor "w": it has 0 dimensions"#));
    assert!(with(&[1; 5], 0).contains("it has 5 dimensions"));
    assert!(with(&[32], 4).contains("its type is 4, which this aistack does not know"));
    assert!(with(&[33], 8).contains("its rows of 33 are not whole blocks of 32"));
    assert!(with(&[1 << 32, 1 << 32], 0).contains("larger than 2^64 bytes"));
    assert!(with(&[2, u64::MAX, 2], 0).contains("more than 2^64 values"));
    assert!(with(&[u64::MAX], 0).contains("larger than 2^64 bytes"));
    let both = |tensors: &[_]| refusal(&header(3, &[], tensors));
    let huge = ("w".to_owned(), vec![1_u64 << 61], 0, 0);
    assert!(both(&[huge.clone(), huge.clone()]).contains("all tensors together are larger"));
    let mut far = header(3, &[], &[huge]);
    let offset = far.len() - 8;
    far[offset..].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&far).contains("it ends after 2^64 bytes"));
}

#[test]
fn texts_that_are_no_text_do_no_harm() {
    let mut bytes = start(0, 2);
    text(&mut bytes, "");
    bytes.extend(8_u32.to_le_bytes());
    bytes.extend(2_u64.to_le_bytes());
    bytes.extend([0xff, 0xfe]);
    key(&mut bytes, "long", 8);
    bytes.extend(600_u64.to_le_bytes());
    bytes.extend([0xff; 600]);
    let seen = read_header(bytes.as_slice()).unwrap();
    assert_eq!(
        seen.metadata[""],
        Value::Text("\u{fffd}\u{fffd}".to_owned())
    );
    assert_eq!(seen.metadata["long"], Value::Other);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read_header(bytes.as_slice());
    }

    #[test]
    fn any_bytes_after_a_good_start_are_read_or_refused(
        tensors in 0_u64..4,
        entries in 0_u64..4,
        bytes in prop::collection::vec(prop_oneof![Just(0_u8), 0_u8..14, any::<u8>()], 0..600),
    ) {
        let mut whole = start(tensors, entries);
        whole.extend(bytes);
        let _ = read_header(whole.as_slice());
    }

    #[test]
    fn a_model_with_broken_bytes_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("model.gguf");
        let mut model = Model::of("gemma2")
            .with("tokenizer.ggml.tokens", Entry::Texts(vec!["a".into(), "b".into()]));
        model.tensors.truncate(1);
        let mut bytes = model.bytes();
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        model.write(&path);
        let length = std::fs::metadata(&path).unwrap().len();
        std::fs::write(&path, bytes).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
        if let Ok(shape) = aistack_gguf::read_model(&path) {
            // Whatever shape comes out, it can be estimated or is refused.
            let _ = aistack_gguf::estimate(&shape, &aistack_gguf::Settings::default());
            let _ = aistack_gguf::largest_context(&shape, &aistack_gguf::Settings::default(), 4096);
        }
    }

    #[test]
    fn what_was_written_is_read(
        numbers in prop::collection::btree_map("[a-z]{1,8}\\.[a-z_-]{1,12}", any::<u64>(), 0..20),
        sizes in prop::collection::vec(1_u64..64, 0..20),
    ) {
        let entries: Vec<(String, Entry)> =
            numbers.iter().map(|(key, number)| (key.clone(), Entry::U64(*number))).collect();
        let tensors: Vec<maker::Tensor> = sizes
            .iter()
            .enumerate()
            .map(|(n, blocks)| (format!("t{n}"), vec![32 * blocks], 2, 18 * blocks))
            .collect();
        let bytes = header(3, &entries, &tensors);
        let seen = read_header(bytes.as_slice()).unwrap();
        for (key, number) in &numbers {
            prop_assert_eq!(&seen.metadata[key], &Value::Number(*number));
        }
        prop_assert_eq!(seen.tensors, sizes.len() as u64);
        prop_assert_eq!(seen.tensor_bytes, sizes.iter().sum::<u64>() * 18);
    }
}
