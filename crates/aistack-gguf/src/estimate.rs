//! The memory that llama.cpp's server needs for a model.

use serde::Serialize;

use crate::error::EstimateError;
use crate::model::ModelShape;
use crate::types::CacheType;

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;
/// llama.cpp rounds contexts up to multiples of this.
pub const CONTEXT_STEP: u64 = 256;
/// What the server's process needs beside model and context, in bytes.
pub const SERVER_BYTES: u64 = 32 * MIB;
/// What it needs for each token of the vocabulary (the texts, their index, the sampling), in bytes.
pub const SERVER_BYTES_PER_TOKEN: u64 = 256;
/// What drivers and their libraries take of a card beside llama.cpp's own buffers, in MiB.
pub const DEVICE_MIB: u64 = 512;

/// How a model is to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Tokens of context over all slots; 0 takes the model's own.
    pub context: u64,
    /// Slots.
    pub parallel: u64,
    /// Type of the keys in the cache.
    pub cache_k: CacheType,
    /// Type of the values in the cache.
    pub cache_v: CacheType,
    /// Tokens of a physical batch.
    pub ubatch: u64,
    /// Whether flash attention is on.
    pub flash_attention: bool,
    /// Whether the model lies in a graphics card's own memory.
    pub device: bool,
}

impl Default for Settings {
    /// The defaults of `modules/services/llama-cpp`, on a machine without a card.
    fn default() -> Self {
        Self {
            context: 8192,
            parallel: 4,
            cache_k: CacheType::Q4_0,
            cache_v: CacheType::Q4_0,
            ubatch: 128,
            flash_attention: true,
            device: false,
        }
    }
}

/// What a model needs when it is served, each in MiB and rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Estimate {
    /// Tokens of context over all slots, as llama.cpp rounds them.
    pub context: u64,
    /// Tokens of context of each slot.
    pub context_per_slot: u64,
    /// The model's tensors.
    #[serde(rename = "weightsMiB")]
    pub weights_mib: u64,
    /// The cache of keys and values, and the state of recurrent layers.
    #[serde(rename = "kvCacheMiB")]
    pub kv_cache_mib: u64,
    /// What a batch needs while it is computed, and the logits.
    #[serde(rename = "computeMiB")]
    pub compute_mib: u64,
    /// The server's process or the card's driver.
    #[serde(rename = "overheadMiB")]
    pub overhead_mib: u64,
    /// All of these.
    #[serde(rename = "totalMiB")]
    pub total_mib: u64,
}

/// Estimates the memory for a model; see the crate's documentation for the formula.
///
/// # Errors
///
/// [`EstimateError`] for settings with which llama.cpp would not start.
pub fn estimate(model: &ModelShape, settings: &Settings) -> Result<Estimate, EstimateError> {
    let parallel = settings.parallel.max(1);
    check_types(model, settings)?;
    let (context, slot) = contexts(model, settings.context, parallel)?;
    let ubatch = settings.ubatch.clamp(1, context);

    let window = model.sliding_window.as_ref().map(|window| {
        let cells = slot.min(round_up(slot.min(window.tokens.saturating_add(ubatch))));
        (window, cells)
    });
    let packed = |elements: u64, cells: u64, kind: CacheType| {
        let block = kind.block();
        (wide(elements) * wide(cells) * wide(block.bytes)).div_ceil(wide(block.values))
    };
    let mut kv = packed(model.kv_elements_per_token_k, context, settings.cache_k)
        + packed(model.kv_elements_per_token_v, context, settings.cache_v)
        + wide(parallel) * wide(model.recurrent_bytes_per_slot);
    let mut seen = if model.kv_elements_per_token_k > 0 {
        slot
    } else {
        0
    };
    if let Some((window, cells)) = window {
        kv += packed(
            window.kv_elements_per_token_k,
            cells * parallel,
            settings.cache_k,
        ) + packed(
            window.kv_elements_per_token_v,
            cells * parallel,
            settings.cache_v,
        );
        seen += cells;
    }

    let logits = 4 * wide(model.vocab_size) * wide(parallel);
    let batch = wide(ubatch);
    let (mask, scores) = if settings.flash_attention {
        (2 * batch * wide(seen), 0)
    } else {
        let scores = 4 * batch * wide(model.attention_heads) * wide(slot);
        (4 * batch * wide(seen), scores)
    };
    let compute = 20 * batch * wide(model.embedding_length)
        + mask
        + (12 * batch * wide(model.feed_forward_length))
            .max(8 * batch * wide(model.attention_length) + scores)
            .max(logits)
        + logits;

    let overhead_mib = if settings.device {
        DEVICE_MIB
    } else {
        mib(wide(SERVER_BYTES) + wide(SERVER_BYTES_PER_TOKEN) * wide(model.vocab_size))
    };
    let (kv_cache_mib, compute_mib) = (mib(kv), mib(compute));
    Ok(Estimate {
        context,
        context_per_slot: slot,
        weights_mib: model.weights_mib,
        kv_cache_mib,
        compute_mib,
        overhead_mib,
        total_mib: [model.weights_mib, kv_cache_mib, compute_mib, overhead_mib]
            .into_iter()
            .fold(0, u64::saturating_add),
    })
}

/// The largest context over all slots that fits into so many MiB; none when not even
/// the smallest does. No slot gets more than the model was trained for.
///
/// # Errors
///
/// [`EstimateError`] for settings with which llama.cpp would not start at any context.
pub fn largest_context(
    model: &ModelShape,
    settings: &Settings,
    available_mib: u64,
) -> Result<Option<Estimate>, EstimateError> {
    let parallel = settings.parallel.max(1);
    let at = |steps: u64| {
        let context = steps * CONTEXT_STEP * parallel;
        estimate(
            model,
            &Settings {
                context,
                ..*settings
            },
        )
    };
    let fits = |estimate: &Estimate| estimate.total_mib <= available_mib;
    let most = (model.context_length / CONTEXT_STEP).max(1);
    // What llama.cpp can count bounds the search, too.
    let most = most
        .min(u64::from(u32::MAX) / CONTEXT_STEP / parallel)
        .max(1);
    let mut best = match at(1)? {
        smallest if fits(&smallest) => smallest,
        _ => return Ok(None),
    };
    // Everything grows with the context: `low` fits, whatever is above `high` does not.
    let (mut low, mut high) = (1, most);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let tried = at(middle)?;
        if fits(&tried) {
            (low, best) = (middle, tried);
        } else {
            high = middle - 1;
        }
    }
    Ok(Some(best))
}

/// Tokens over all slots and of one slot, as `llama_context` rounds them.
fn contexts(model: &ModelShape, asked: u64, parallel: u64) -> Result<(u64, u64), EstimateError> {
    let wanted = match asked {
        0 => model.context_length,
        tokens => tokens,
    };
    let slot = round_up(round_up(wanted) / parallel).max(CONTEXT_STEP);
    slot.checked_mul(parallel)
        .filter(|total| {
            [wanted, *total]
                .into_iter()
                .all(|tokens| u32::try_from(tokens).is_ok())
        })
        .map(|total| (total, slot))
        .ok_or(EstimateError::Context {
            context: wanted,
            parallel,
        })
}

fn check_types(model: &ModelShape, settings: &Settings) -> Result<(), EstimateError> {
    for (kind, which, length) in [
        (settings.cache_k, "keys", model.key_length),
        (settings.cache_v, "values", model.value_length),
    ] {
        let values = kind.block().values;
        if !length.is_multiple_of(values) {
            return Err(EstimateError::Block {
                kind,
                values,
                which,
                length,
            });
        }
    }
    if !settings.flash_attention && settings.cache_v.block().values > 1 {
        return Err(EstimateError::FlashAttention {
            kind: settings.cache_v,
        });
    }
    Ok(())
}

fn round_up(tokens: u64) -> u64 {
    tokens
        .checked_next_multiple_of(CONTEXT_STEP)
        .unwrap_or(u64::MAX - u64::MAX % CONTEXT_STEP)
}

fn wide(number: u64) -> u128 {
    u128::from(number)
}

fn mib(bytes: u128) -> u64 {
    u64::try_from(bytes.div_ceil(wide(MIB))).unwrap_or(u64::MAX)
}
