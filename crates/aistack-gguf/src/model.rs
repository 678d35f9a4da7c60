//! From headers to the shape of a model: what decides over memory.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::estimate::MIB;
use crate::header::{Header, Value, read_header};

/// Number of the schema of [`ModelShape`]'s JSON form
/// (`schemas/model-shape.schema.json`).
pub const SCHEMA: u32 = 1;

/// llama.cpp has 512 at most.
const MAX_LAYERS: u64 = 4096;
/// Widths and numbers of heads, experts …: far above any model, far below overflows.
const MAX_WIDTH: u64 = 1 << 24;
/// Tokens of a context or a window.
const MAX_TOKENS: u64 = u32::MAX as u64;
/// Parts of a split model; their names have five digits.
const MAX_PARTS: u64 = 99_999;

/// What decides over the memory that a model needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ModelShape {
    /// Always [`SCHEMA`].
    #[cfg_attr(feature = "schema", schemars(extend("const" = 1)))]
    pub schema: u32,
    /// What the model calls itself.
    pub name: Option<String>,
    /// llama.cpp's name of its architecture.
    pub architecture: String,
    /// Files that it is split into.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub files: u64,
    /// All tensors, in MiB, rounded up.
    #[serde(rename = "weightsMiB")]
    pub weights_mib: u64,
    /// Layers, without those that only predict further tokens.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub layers: u64,
    /// Values that a token adds to the cache of keys, over all layers with full attention.
    pub kv_elements_per_token_k: u64,
    /// The same for the cache of values.
    pub kv_elements_per_token_v: u64,
    /// The layers that see only the last tokens; null when all see the whole context.
    pub sliding_window: Option<SlidingWindow>,
    /// State of recurrent layers, in bytes for each slot.
    pub recurrent_bytes_per_slot: u64,
    /// Width of the stream between layers.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub embedding_length: u64,
    /// Width within a layer's feed-forward part; of a mixture, that of all experts that
    /// one token uses.
    pub feed_forward_length: u64,
    /// Heads of the queries in the widest layer.
    pub attention_heads: u64,
    /// Width of all queries of that layer.
    pub attention_length: u64,
    /// Width of a head's keys.
    pub key_length: u64,
    /// Width of a head's values.
    pub value_length: u64,
    /// Tokens in the vocabulary.
    pub vocab_size: u64,
    /// Tokens that the model was trained to see.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub context_length: u64,
    /// Where the shape is an upper bound, and why.
    pub notes: Vec<String>,
}

/// Layers that see only the last tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SlidingWindow {
    /// How many tokens they see.
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub tokens: u64,
    /// Values that a token adds to these layers' cache of keys.
    pub kv_elements_per_token_k: u64,
    /// The same for their cache of values.
    pub kv_elements_per_token_v: u64,
}

/// Reads the shape of the model in a file; of a split model, from all its files.
///
/// Only headers are read, never weights.
///
/// # Errors
///
/// [`Error`], which names the file and says what to do.
pub fn read_model(path: &Path) -> Result<ModelShape, Error> {
    let first = read_file(path)?;
    let keys = Keys {
        path,
        header: &first,
    };
    let parts = keys.number("split.count", MAX_PARTS)?.unwrap_or(1).max(1);
    let part = keys.number("split.no", MAX_PARTS)?.unwrap_or(0);
    let mut bytes = u128::from(first.tensor_bytes);
    if parts > 1 {
        if part > 0 {
            return Err(Error::NotTheFirst {
                path: path.to_path_buf(),
                part: part + 1,
                parts,
                first: sibling(path, part, 0, parts).map_or_else(
                    || format!("…-00001-of-{parts:05}.gguf"),
                    |first| first.display().to_string(),
                ),
            });
        }
        let mut tensors = first.tensors;
        for number in 1..parts {
            let (part_bytes, part_tensors) = read_part(path, number, parts)?;
            bytes += u128::from(part_bytes);
            tensors = tensors.saturating_add(part_tensors);
        }
        let declared = keys.number("split.tensors.count", u64::MAX)?;
        if let Some(declared) = declared.filter(|declared| *declared != tensors) {
            return Err(Error::Split {
                path: path.to_path_buf(),
                seen: format!("it declares {declared} tensors, its {parts} parts hold {tensors}"),
            });
        }
    }
    let weights_mib = u64::try_from(bytes.div_ceil(u128::from(MIB))).unwrap_or(u64::MAX);
    keys.shape(parts, weights_mib)
}

/// Bytes and number of the tensors of a further part.
fn read_part(first: &Path, number: u64, parts: u64) -> Result<(u64, u64), Error> {
    let path = sibling(first, 0, number, parts).ok_or_else(|| Error::Split {
        path: first.to_path_buf(),
        seen: format!(
            "it is part 1 of {parts}, but its name does not end in -00001-of-{parts:05}.gguf"
        ),
    })?;
    let header = read_file(&path)?;
    let keys = Keys {
        path: &path,
        header: &header,
    };
    let seen = (
        keys.number("split.no", MAX_PARTS)?,
        keys.number("split.count", MAX_PARTS)?,
    );
    if seen != (Some(number), Some(parts)) {
        return Err(Error::Split {
            path,
            seen: format!("it is not part {} of {parts}, as its name says", number + 1),
        });
    }
    Ok((header.tensor_bytes, header.tensors))
}

/// The file of another part, after llama.cpp's scheme of names.
fn sibling(path: &Path, part: u64, other: u64, parts: u64) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(&format!("-{:05}-of-{parts:05}.gguf", part + 1))?;
    Some(path.with_file_name(format!("{stem}-{:05}-of-{parts:05}.gguf", other + 1)))
}

fn read_file(path: &Path) -> Result<Header, Error> {
    let io = |seen| Error::Io {
        path: path.to_path_buf(),
        seen,
    };
    // Before it is opened: that of a pipe would wait for a writer.
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile {
            path: path.to_path_buf(),
        });
    }
    let file = File::open(path).map_err(io)?;
    let header =
        read_header(BufReader::with_capacity(1 << 16, file)).map_err(|problem| Error::Header {
            path: path.to_path_buf(),
            problem,
        })?;
    if header.needed > u128::from(metadata.len()) {
        return Err(Error::CutOff {
            path: path.to_path_buf(),
            needed: header.needed,
            has: metadata.len(),
        });
    }
    Ok(header)
}

/// How an architecture lays out layers with a sliding window, where the file doesn't say.
///
/// After the calls of `set_swa_pattern` below llama.cpp's `src/models/`: one layer in
/// so many sees everything, the last of them (or the first). The window is only given
/// where it is not in the file.
fn window_layout(architecture: &str) -> Option<(u64, bool, Option<u64>)> {
    Some(match architecture {
        "gemma2" => (2, false, Some(4096)),
        "gpt-oss" => (2, false, None),
        "gemma3" => (6, false, None),
        "gemma3n" => (5, false, None),
        "llama4" => (4, false, Some(8192)),
        "afmoe" | "cohere2" | "exaone-moe" | "exaone4" | "olmo2" => (4, false, None),
        "smallthinker" => (4, true, None),
        "plamo3" => (8, false, None),
        _ => return None,
    })
}

/// A file's metadata, read with the checks that shapes need.
struct Keys<'a> {
    path: &'a Path,
    header: &'a Header,
}

impl Keys<'_> {
    fn value(&self, key: &str) -> Option<&Value> {
        self.header.metadata.get(key)
    }

    fn wrong(&self, key: &str, seen: impl Into<String>) -> Error {
        Error::Key {
            path: self.path.to_path_buf(),
            key: key.to_owned(),
            seen: seen.into(),
        }
    }

    fn number(&self, key: &str, limit: u64) -> Result<Option<u64>, Error> {
        match self.value(key) {
            None => Ok(None),
            Some(&Value::Number(number)) if number <= limit => Ok(Some(number)),
            Some(Value::Number(number)) => {
                Err(self.wrong(key, format!("it is {number}, more than {limit}")))
            }
            Some(_) => Err(self.wrong(key, "it is no whole number")),
        }
    }

    /// A number for each layer, or one for all.
    fn per_layer(&self, key: &str, layers: u64) -> Result<Option<Vec<u64>>, Error> {
        let count = usize::try_from(layers).unwrap_or(usize::MAX);
        match self.value(key) {
            Some(Value::Numbers(numbers)) => {
                let Some(numbers) = numbers.get(..count) else {
                    return Err(self.wrong(
                        key,
                        format!("it has {} numbers for {layers} layers", numbers.len()),
                    ));
                };
                match numbers.iter().find(|number| **number > MAX_WIDTH) {
                    Some(number) => {
                        Err(self.wrong(key, format!("it holds {number}, more than {MAX_WIDTH}")))
                    }
                    None => Ok(Some(numbers.to_vec())),
                }
            }
            _ => Ok(self
                .number(key, MAX_WIDTH)?
                .map(|number| vec![number; count])),
        }
    }

    fn shape(&self, files: u64, weights_mib: u64) -> Result<ModelShape, Error> {
        let architecture = match self.value("general.architecture") {
            Some(Value::Text(text)) => text.clone(),
            Some(_) => return Err(self.wrong("general.architecture", "it is no text")),
            None => return Err(self.wrong("general.architecture", "it is missing")),
        };
        let name = match self.value("general.name") {
            Some(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let key = |name: &str| format!("{architecture}.{name}");
        let number = |name: &str, limit| self.number(&key(name), limit);
        let needed = |name: &str, limit| {
            number(name, limit)?
                .filter(|number| *number > 0)
                .ok_or_else(|| self.wrong(&key(name), "it is missing or 0"))
        };

        let all_layers = needed("block_count", MAX_LAYERS)?;
        let further = number("nextn_predict_layers", MAX_LAYERS)?.unwrap_or(0);
        let layers = all_layers.saturating_sub(further).max(1);
        let context_length = needed("context_length", MAX_TOKENS)?;
        let embedding_length = needed("embedding_length", MAX_WIDTH)?;
        let vocab_size = match self.value("tokenizer.ggml.tokens") {
            Some(Value::Array(length)) => Some(*length),
            _ => number("vocab_size", MAX_WIDTH)?.or(self.header.embedding_rows),
        }
        .filter(|size| *size <= MAX_WIDTH)
        .ok_or_else(|| self.wrong("tokenizer.ggml.tokens", "no vocabulary of a sound size"))?;

        let mut notes = Vec::new();
        let attention = self.attention(&architecture, layers, embedding_length, &mut notes)?;
        let recurrent_bytes_per_slot =
            self.recurrent(&architecture, &attention, embedding_length, &mut notes)?;
        Ok(ModelShape {
            schema: SCHEMA,
            name,
            files,
            weights_mib,
            layers,
            kv_elements_per_token_k: attention.full.0,
            kv_elements_per_token_v: attention.full.1,
            sliding_window: attention.window.map(|tokens| SlidingWindow {
                tokens,
                kv_elements_per_token_k: attention.sliding.0,
                kv_elements_per_token_v: attention.sliding.1,
            }),
            recurrent_bytes_per_slot,
            embedding_length,
            feed_forward_length: self.feed_forward(&architecture, layers)?,
            attention_heads: attention.heads,
            attention_length: attention.length,
            key_length: attention.key_length,
            value_length: attention.value_length,
            vocab_size,
            context_length,
            notes,
            architecture,
        })
    }

    fn feed_forward(&self, architecture: &str, layers: u64) -> Result<u64, Error> {
        let key = |name: &str| format!("{architecture}.{name}");
        let dense = self
            .per_layer(&key("feed_forward_length"), layers)?
            .and_then(|lengths| lengths.into_iter().max())
            .unwrap_or(0);
        let used = self.per_layer(&key("expert_used_count"), layers)?;
        let used = used
            .and_then(|counts| counts.into_iter().max())
            .unwrap_or(0);
        let expert = self.per_layer(&key("expert_feed_forward_length"), layers)?;
        let expert = expert.and_then(|lengths| lengths.into_iter().max());
        let shared = self
            .number(&key("expert_shared_feed_forward_length"), MAX_WIDTH)?
            .unwrap_or(0);
        Ok(dense.max(expert.unwrap_or(dense) * used).max(shared))
    }

    fn attention(
        &self,
        architecture: &str,
        layers: u64,
        embedding: u64,
        notes: &mut Vec<String>,
    ) -> Result<Attention, Error> {
        let key = |name: &str| format!("{architecture}.attention.{name}");
        let heads = self
            .per_layer(&key("head_count"), layers)?
            .unwrap_or_default();
        let most = heads.iter().copied().max().unwrap_or(0);
        let mut attention = Attention {
            heads: most,
            ..Attention::default()
        };
        if most == 0 {
            // Purely recurrent.
            attention.recurrent_layers = layers;
            return Ok(attention);
        }
        let heads_kv = self
            .per_layer(&key("head_count_kv"), layers)?
            .unwrap_or_else(|| heads.clone());
        let width = |name: &str, default| {
            Ok::<u64, Error>(self.number(&key(name), MAX_WIDTH)?.unwrap_or(default))
        };
        let key_length = width("key_length", embedding / most)?;
        let value_length = width("value_length", embedding / most)?;
        let key_length_swa = width("key_length_swa", key_length)?;
        let value_length_swa = width("value_length_swa", value_length)?;
        // Multi-head latent attention: the values are part of what is kept as keys.
        let latent = self.value(&key("key_length_mla")).is_some()
            && self.value(&key("value_length_mla")).is_some();

        let interval = self
            .number(
                &format!("{architecture}.full_attention_interval"),
                MAX_LAYERS,
            )?
            .filter(|interval| *interval > 0);
        let shared = width("shared_kv_layers", 0)?;
        let own_kv = match architecture {
            "gemma3n" => 20,
            _ => layers.saturating_sub(shared),
        };
        let layout = self.layout(architecture, layers, notes)?;
        attention.window = layout.as_ref().map(|(tokens, _)| *tokens);
        attention.key_length = key_length;
        attention.value_length = value_length;
        attention.length = most * key_length.max(key_length_swa);
        for (layer, heads) in (0..layers).zip(heads_kv) {
            let recurrent = heads == 0
                || interval.is_some_and(|interval| !(layer + 1).is_multiple_of(interval));
            if recurrent {
                attention.recurrent_layers += 1;
                continue;
            }
            if layer >= own_kv {
                continue;
            }
            let slides = layout
                .as_ref()
                .is_some_and(|(_, slides)| slides.get(index(layer)) == Some(&true));
            let (sum, key_length, value_length) = if slides {
                (&mut attention.sliding, key_length_swa, value_length_swa)
            } else {
                (&mut attention.full, key_length, value_length)
            };
            sum.0 += heads * key_length;
            if !latent {
                sum.1 += heads * value_length;
            }
        }
        if attention.sliding == (0, 0) {
            attention.window = None;
        }
        Ok(attention)
    }

    /// The window, and which layers have it.
    fn layout(
        &self,
        architecture: &str,
        layers: u64,
        notes: &mut Vec<String>,
    ) -> Result<Option<(u64, Vec<bool>)>, Error> {
        let key = |name: &str| format!("{architecture}.attention.{name}");
        let known = window_layout(architecture);
        let window = self
            .number(&key("sliding_window"), MAX_TOKENS)?
            .or(known.and_then(|(_, _, window)| window))
            .unwrap_or(0);
        if window == 0 {
            return Ok(None);
        }
        let pattern = key("sliding_window_pattern");
        let (period, full_first) = match (self.value(&pattern), known) {
            (Some(Value::Numbers(_)), _) => {
                let slides = self.per_layer(&pattern, layers)?.unwrap_or_default();
                return Ok(Some((window, slides.iter().map(|s| *s != 0).collect())));
            }
            (Some(_), _) => {
                let period = self.number(&pattern, MAX_LAYERS)?.unwrap_or(1);
                (period, known.is_some_and(|(_, full_first, _)| full_first))
            }
            (None, Some((period, full_first, _))) => (period, full_first),
            (None, None) => {
                notes.push(format!(
                    "which layers of {architecture} have the sliding window of {window} tokens is not known: all are counted with the whole context"
                ));
                return Ok(None);
            }
        };
        let slides = (0..layers)
            .map(|layer| match (period, full_first) {
                (0, _) => true,
                (_, true) => layer % period != 0,
                (_, false) => layer % period < period - 1,
            })
            .collect();
        Ok(Some((window, slides)))
    }

    /// Bytes of all recurrent layers' state, for each slot: numbers of 32 bits, as
    /// `n_embd_r` and `n_embd_s` of llama.cpp count them.
    fn recurrent(
        &self,
        architecture: &str,
        attention: &Attention,
        embedding: u64,
        notes: &mut Vec<String>,
    ) -> Result<u64, Error> {
        let key = |name: &str| format!("{architecture}.{name}");
        let number = |name: &str| self.number(&key(name), MAX_WIDTH);
        let inner = number("ssm.inner_size")?;
        // Every layer of falcon-h1 has both.
        let layers = if architecture == "falcon-h1" {
            number("block_count")?.unwrap_or(0)
        } else {
            attention.recurrent_layers
        };
        if layers == 0 {
            return Ok(0);
        }
        let values = match (inner, number("shortconv.l_cache")?) {
            (Some(inner), _) => {
                let state = number("ssm.state_size")?.unwrap_or(0);
                let groups = number("ssm.group_count")?.unwrap_or(0);
                let conv = number("ssm.conv_kernel")?.unwrap_or(0).saturating_sub(1);
                let channels = u128::from(inner) + 2 * u128::from(groups) * u128::from(state);
                u128::from(conv) * channels + u128::from(state) * u128::from(inner)
            }
            (None, Some(cache)) => u128::from(embedding) * u128::from(cache.saturating_sub(1)),
            (None, None) => {
                notes.push(format!(
                    "the state of {layers} recurrent layers of {architecture} is not known and not counted"
                ));
                0
            }
        };
        u64::try_from(values * 4 * u128::from(layers))
            .ok()
            .filter(|bytes| *bytes <= 1 << 40)
            .ok_or_else(|| self.wrong(&key("ssm.state_size"), "the state is larger than 1 TiB"))
    }
}

/// What the attention of all layers adds up to.
#[derive(Default)]
struct Attention {
    heads: u64,
    length: u64,
    key_length: u64,
    value_length: u64,
    /// Values of keys and of values that a token adds.
    full: (u64, u64),
    sliding: (u64, u64),
    window: Option<u64>,
    recurrent_layers: u64,
}

fn index(layer: u64) -> usize {
    usize::try_from(layer).unwrap_or(usize::MAX)
}
