//! Makes GGUF files for tests: headers byte by byte, and no weights.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test takes what it needs, and fails as tests do"
)]

use std::fs::{self, File};
use std::path::Path;

/// A metadata value.
#[derive(Clone, Debug)]
pub enum Entry {
    U32(u32),
    I32(i32),
    U64(u64),
    F32(f32),
    Text(String),
    U32s(Vec<u32>),
    Bools(Vec<bool>),
    Texts(Vec<String>),
}

impl Entry {
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A tensor: name, dimensions, type, bytes.
pub type Tensor = (String, Vec<u64>, u32, u64);

pub fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn entry(bytes: &mut Vec<u8>, key: &str, value: &Entry) {
    text(bytes, key);
    let array = |bytes: &mut Vec<u8>, kind: u32, length: usize| {
        bytes.extend(9_u32.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend((length as u64).to_le_bytes());
    };
    match value {
        Entry::U32(number) => {
            bytes.extend(4_u32.to_le_bytes());
            bytes.extend(number.to_le_bytes());
        }
        Entry::I32(number) => {
            bytes.extend(5_u32.to_le_bytes());
            bytes.extend(number.to_le_bytes());
        }
        Entry::F32(number) => {
            bytes.extend(6_u32.to_le_bytes());
            bytes.extend(number.to_le_bytes());
        }
        Entry::U64(number) => {
            bytes.extend(10_u32.to_le_bytes());
            bytes.extend(number.to_le_bytes());
        }
        Entry::Text(value) => {
            bytes.extend(8_u32.to_le_bytes());
            text(bytes, value);
        }
        Entry::U32s(numbers) => {
            array(bytes, 4, numbers.len());
            for number in numbers {
                bytes.extend(number.to_le_bytes());
            }
        }
        Entry::Bools(bools) => {
            array(bytes, 7, bools.len());
            bytes.extend(bools.iter().map(|one| u8::from(*one)));
        }
        Entry::Texts(texts) => {
            array(bytes, 8, texts.len());
            for one in texts {
                text(bytes, one);
            }
        }
    }
}

/// A header.
pub fn header(version: u32, entries: &[(String, Entry)], tensors: &[Tensor]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    for (key, value) in entries {
        entry(&mut bytes, key, value);
    }
    let mut offset = 0_u64;
    for (name, dimensions, kind, size) in tensors {
        text(&mut bytes, name);
        bytes.extend(u32::try_from(dimensions.len()).unwrap().to_le_bytes());
        for dimension in dimensions {
            bytes.extend(dimension.to_le_bytes());
        }
        bytes.extend(kind.to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset += size.next_multiple_of(32);
    }
    bytes
}

/// A model of 8 layers, 1024 wide, 16 heads over 4, of an architecture; and its weights
/// in `q8_0`, 57 MiB.
#[derive(Clone, Debug)]
pub struct Model {
    pub version: u32,
    pub entries: Vec<(String, Entry)>,
    pub tensors: Vec<Tensor>,
}

impl Model {
    pub fn of(architecture: &str) -> Self {
        let key = |name: &str| format!("{architecture}.{name}");
        let tokens = vec![String::new(); 32_000];
        Self {
            version: 3,
            entries: vec![
                ("general.architecture".to_owned(), Entry::text(architecture)),
                ("general.name".to_owned(), Entry::text("made for a test")),
                (key("block_count"), Entry::U32(8)),
                (key("context_length"), Entry::U32(32_768)),
                (key("embedding_length"), Entry::U32(1024)),
                (key("feed_forward_length"), Entry::U32(2816)),
                (key("attention.head_count"), Entry::U32(16)),
                (key("attention.head_count_kv"), Entry::U32(4)),
                (key("rope.freq_base"), Entry::F32(10_000.0)),
                ("tokenizer.ggml.tokens".to_owned(), Entry::Texts(tokens)),
            ],
            // 32 values in 34 bytes.
            tensors: vec![
                (
                    "token_embd.weight".to_owned(),
                    vec![1024, 32_000],
                    8,
                    34_816_000,
                ),
                (
                    "blk.0.ffn_up.weight".to_owned(),
                    vec![1024, 2816, 8],
                    8,
                    24_510_464,
                ),
            ],
        }
    }

    /// Sets or replaces an entry.
    #[must_use]
    pub fn with(mut self, key: &str, value: Entry) -> Self {
        self.entries.retain(|(known, _)| known != key);
        self.entries.push((key.to_owned(), value));
        self
    }

    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.entries.retain(|(known, _)| known != key);
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        header(self.version, &self.entries, &self.tensors)
    }

    /// Writes the model; its weights are a hole in the file.
    pub fn write(&self, path: &Path) {
        let bytes = self.bytes();
        let weights: u64 = self
            .tensors
            .iter()
            .map(|(_, _, _, size)| size.next_multiple_of(32))
            .sum();
        let length = (bytes.len() as u64).next_multiple_of(32) + weights;
        fs::write(path, bytes).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(length).unwrap();
    }
}
