//! The header of a GGUF file: metadata and tensor table, versions 2 and 3, little-endian
//! (`docs/gguf.md` of ggml).
//!
//! The header is read from its start to its end and never mapped. What is not needed
//! (the vocabulary, the merges, long texts) is passed over without being kept.

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::error::HeaderError;
use crate::types::block;

/// The longest header that is read, in bytes. Those of the largest models, with
/// vocabularies of 260 000 tokens and twice as many merges, are below 20 MiB.
pub const MAX_HEADER: u64 = 64 << 20;
/// The most that is kept of a header, in bytes.
pub const MAX_KEPT: u64 = 1 << 20;
/// Metadata entries.
const MAX_ENTRIES: u64 = 65_536;
/// Tensors.
const MAX_TENSORS: u64 = 1 << 20;
/// Longest key; the format's own limit.
const MAX_KEY: u64 = 65_535;
/// Longest text and array that are kept; longer ones are passed over.
const MAX_TEXT: u64 = 512;
const MAX_ARRAY: u64 = 1024;
/// ggml's own limits of a tensor.
const MAX_NAME: u64 = 64;
const MAX_DIMENSIONS: u32 = 4;

/// A metadata value, as far as shapes are concerned.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An integer or a bool; negative ones are [`Value::Other`].
    Number(u64),
    /// A short text.
    Text(String),
    /// A short array of integers or bools.
    Numbers(Vec<u64>),
    /// Any other array: its length.
    Array(u64),
    /// Anything else.
    Other,
}

/// What a header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The format's version, 2 or 3.
    pub version: u32,
    /// Metadata by key.
    pub metadata: BTreeMap<String, Value>,
    /// Number of tensors.
    pub tensors: u64,
    /// Bytes of all tensors, without the padding between them.
    pub tensor_bytes: u64,
    /// Rows of the token embedding, that is the size of the vocabulary.
    pub embedding_rows: Option<u64>,
    /// Bytes that the file must have for its header and all its tensors.
    pub needed: u128,
}

/// Reads a header.
///
/// Takes at most [`MAX_HEADER`] bytes from the reader, keeps at most [`MAX_KEPT`] of
/// them, and never trusts a length before the bytes are there.
///
/// # Errors
///
/// [`HeaderError`], for whatever no sound model has.
pub fn read_header(reader: impl Read) -> Result<Header, HeaderError> {
    let mut source = Source {
        reader: reader.take(MAX_HEADER),
        at: 0,
        kept: 0,
    };
    let magic: [u8; 4] = source.bytes("the magic number")?;
    if &magic != b"GGUF" {
        return Err(HeaderError::Magic {
            seen: magic.escape_ascii().to_string(),
        });
    }
    let version = source.u32("the version")?;
    if !(2..=3).contains(&version) {
        return Err(HeaderError::Version { seen: version });
    }
    let tensors = source.count("the number of tensors", MAX_TENSORS)?;
    let entries = source.count("the number of metadata entries", MAX_ENTRIES)?;

    let mut metadata = BTreeMap::new();
    for _ in 0..entries {
        let length = source.count("the length of a key", MAX_KEY)?;
        let at = source.at;
        let key = source.text("a key", length)?;
        let value = source.value()?;
        source.keep(at, length + 64)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(HeaderError::Odd {
                at,
                what: "a key",
                seen: format!("{key:?} for the second time"),
            });
        }
    }

    let mut header = Header {
        version,
        metadata,
        tensors,
        tensor_bytes: 0,
        embedding_rows: None,
        needed: 0,
    };
    let mut end: u64 = 0;
    for _ in 0..tensors {
        let tensor = source.tensor()?;
        header.tensor_bytes = header
            .tensor_bytes
            .checked_add(tensor.bytes)
            .ok_or_else(|| tensor.problem("all tensors together are larger than 2^64 bytes"))?;
        end = end.max(
            tensor
                .offset
                .checked_add(tensor.bytes)
                .ok_or_else(|| tensor.problem("it ends after 2^64 bytes"))?,
        );
        if tensor.name == "token_embd.weight" {
            header.embedding_rows = Some(tensor.rows);
        }
    }
    let alignment = match header.metadata.get("general.alignment") {
        None => 32,
        Some(&Value::Number(number)) if number.is_power_of_two() && number <= 1 << 20 => number,
        Some(other) => {
            return Err(HeaderError::Odd {
                at: source.at,
                what: "general.alignment, read before,",
                seen: format!("{other:?}, not a power of two up to 2^20"),
            });
        }
    };
    header.needed = if tensors == 0 {
        u128::from(source.at)
    } else {
        u128::from(source.at.next_multiple_of(alignment)) + u128::from(end)
    };
    Ok(header)
}

/// A line of the tensor table.
struct Tensor {
    name: String,
    rows: u64,
    bytes: u64,
    offset: u64,
}

impl Tensor {
    fn problem(&self, seen: &str) -> HeaderError {
        HeaderError::Tensor {
            name: self.name.clone(),
            seen: seen.to_owned(),
        }
    }
}

/// The reader, where it is, and how much was kept of what it gave.
struct Source<R> {
    reader: io::Take<R>,
    at: u64,
    kept: u64,
}

impl<R: Read> Source<R> {
    fn bytes<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], HeaderError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], what: &'static str) -> Result<(), HeaderError> {
        match self.reader.read_exact(bytes) {
            Ok(()) => {
                self.at += bytes.len() as u64;
                Ok(())
            }
            Err(error) => Err(self.failed(&error, what)),
        }
    }

    fn failed(&self, error: &io::Error, what: &'static str) -> HeaderError {
        let at = self.at;
        if error.kind() != io::ErrorKind::UnexpectedEof {
            let seen = crate::error::said(error);
            return HeaderError::Io { at, what, seen };
        }
        if self.reader.limit() == 0 {
            return HeaderError::TooMuch {
                at,
                what: "the length of the header",
                seen: MAX_HEADER + 1,
                limit: MAX_HEADER,
            };
        }
        HeaderError::Truncated { at, what }
    }

    fn u32(&mut self, what: &'static str) -> Result<u32, HeaderError> {
        self.bytes(what).map(u32::from_le_bytes)
    }

    fn u64(&mut self, what: &'static str) -> Result<u64, HeaderError> {
        self.bytes(what).map(u64::from_le_bytes)
    }

    /// A number of things, of which no sound model has more than `limit`.
    fn count(&mut self, what: &'static str, limit: u64) -> Result<u64, HeaderError> {
        let at = self.at;
        let seen = self.u64(what)?;
        if seen > limit {
            return Err(HeaderError::TooMuch {
                at,
                what,
                seen,
                limit,
            });
        }
        Ok(seen)
    }

    /// Accounts for memory that is held until the end.
    fn keep(&mut self, at: u64, bytes: u64) -> Result<(), HeaderError> {
        self.kept += bytes;
        if self.kept > MAX_KEPT {
            return Err(HeaderError::TooMuch {
                at,
                what: "the metadata, in bytes, up to the entry",
                seen: self.kept,
                limit: MAX_KEPT,
            });
        }
        Ok(())
    }

    /// Text of a length that was checked; bytes that are no UTF-8 are replaced.
    fn text(&mut self, what: &'static str, length: u64) -> Result<String, HeaderError> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, what)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Passes over bytes; `length` may be any number.
    fn skip(&mut self, length: u64, what: &'static str) -> Result<(), HeaderError> {
        // Tokens are short: a copy for each would cost more than all the rest.
        let mut short = [0; 64];
        if let Some(bytes) = usize::try_from(length)
            .ok()
            .and_then(|length| short.get_mut(..length))
        {
            return self.fill(bytes, what);
        }
        let passed = io::copy(&mut (&mut self.reader).take(length), &mut io::sink())
            .map_err(|error| self.failed(&error, what))?;
        self.at += passed;
        if passed < length {
            return Err(self.failed(&io::ErrorKind::UnexpectedEof.into(), what));
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Value, HeaderError> {
        const WHAT: &str = "a value";
        let kind = self.kind("the type of a value")?;
        match kind {
            Kind::Text => {
                let length = self.u64("the length of a text")?;
                if length > MAX_TEXT {
                    self.skip(length, "a text")?;
                    return Ok(Value::Other);
                }
                self.keep(self.at, length)?;
                Ok(Value::Text(self.text("a text", length)?))
            }
            Kind::Array => self.array(),
            Kind::Float(size) => self.skip(size, WHAT).map(|()| Value::Other),
            Kind::Signed(_) | Kind::Unsigned(_) => Ok(self
                .integer(kind, WHAT)?
                .map_or(Value::Other, Value::Number)),
        }
    }

    fn array(&mut self) -> Result<Value, HeaderError> {
        const WHAT: &str = "an array";
        let at = self.at;
        let kind = self.kind("the type of an array")?;
        let length = self.u64("the length of an array")?;
        match kind {
            // llama.cpp refuses these, too; and nothing here is then recursive.
            Kind::Array => {
                return Err(HeaderError::Odd {
                    at,
                    what: "the type of an array",
                    seen: "an array again".to_owned(),
                });
            }
            Kind::Text => {
                for _ in 0..length {
                    let bytes = self.u64("the length of a text")?;
                    self.skip(bytes, WHAT)?;
                }
            }
            Kind::Signed(_) | Kind::Unsigned(_) if length <= MAX_ARRAY => {
                self.keep(at, length * 8)?;
                let mut numbers = Vec::new();
                let mut negative = false;
                for _ in 0..length {
                    match self.integer(kind, WHAT)? {
                        Some(number) => numbers.push(number),
                        None => negative = true,
                    }
                }
                if !negative {
                    return Ok(Value::Numbers(numbers));
                }
            }
            Kind::Float(size) | Kind::Signed(size) | Kind::Unsigned(size) => {
                self.skip(length.saturating_mul(size), WHAT)?;
            }
        }
        Ok(Value::Array(length))
    }

    fn kind(&mut self, what: &'static str) -> Result<Kind, HeaderError> {
        let at = self.at;
        Ok(match self.u32(what)? {
            0 | 7 => Kind::Unsigned(1),
            1 => Kind::Signed(1),
            2 => Kind::Unsigned(2),
            3 => Kind::Signed(2),
            4 => Kind::Unsigned(4),
            5 => Kind::Signed(4),
            6 => Kind::Float(4),
            8 => Kind::Text,
            9 => Kind::Array,
            10 => Kind::Unsigned(8),
            11 => Kind::Signed(8),
            12 => Kind::Float(8),
            other => {
                return Err(HeaderError::Odd {
                    at,
                    what,
                    seen: format!("{other}, which GGUF does not have"),
                });
            }
        })
    }

    /// An integer; none when it is negative.
    fn integer(&mut self, kind: Kind, what: &'static str) -> Result<Option<u64>, HeaderError> {
        let signed = match kind {
            Kind::Unsigned(1) => return Ok(Some(u64::from(u8::from_le_bytes(self.bytes(what)?)))),
            Kind::Unsigned(2) => return Ok(Some(u64::from(u16::from_le_bytes(self.bytes(what)?)))),
            Kind::Unsigned(4) => return Ok(Some(u64::from(self.u32(what)?))),
            Kind::Signed(1) => i64::from(i8::from_le_bytes(self.bytes(what)?)),
            Kind::Signed(2) => i64::from(i16::from_le_bytes(self.bytes(what)?)),
            Kind::Signed(4) => i64::from(i32::from_le_bytes(self.bytes(what)?)),
            Kind::Signed(_) => i64::from_le_bytes(self.bytes(what)?),
            _ => return Ok(Some(self.u64(what)?)),
        };
        Ok(u64::try_from(signed).ok())
    }

    fn tensor(&mut self) -> Result<Tensor, HeaderError> {
        let length = self.count("the length of a tensor's name", MAX_NAME)?;
        let mut tensor = Tensor {
            name: self.text("a tensor's name", length)?,
            rows: 1,
            bytes: 0,
            offset: 0,
        };
        let dimensions = self.u32("a tensor's number of dimensions")?;
        if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
            return Err(tensor.problem(&format!("it has {dimensions} dimensions, not 1 to 4")));
        }
        let row = self.u64("a tensor's dimension")?;
        for _ in 1..dimensions {
            tensor.rows = tensor
                .rows
                .checked_mul(self.u64("a tensor's dimension")?)
                .ok_or_else(|| tensor.problem("its dimensions make more than 2^64 values"))?;
        }
        let number = self.u32("a tensor's type")?;
        let block = block(number).ok_or_else(|| {
            tensor.problem(&format!(
                "its type is {number}, which this aistack does not know"
            ))
        })?;
        if !row.is_multiple_of(block.values) {
            return Err(tensor.problem(&format!(
                "its rows of {row} are not whole blocks of {}",
                block.values
            )));
        }
        tensor.bytes = (row / block.values)
            .checked_mul(block.bytes)
            .and_then(|bytes| bytes.checked_mul(tensor.rows))
            .ok_or_else(|| tensor.problem("it is larger than 2^64 bytes"))?;
        tensor.offset = self.u64("a tensor's offset")?;
        Ok(tensor)
    }
}

/// Types of metadata values, with their size in bytes.
#[derive(Clone, Copy)]
enum Kind {
    Unsigned(u64),
    Signed(u64),
    Float(u64),
    Text,
    Array,
}
