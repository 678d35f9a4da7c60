//! Reads a GGUF model's header and estimates the memory that llama.cpp needs for it.
//!
//! ```no_run
//! use aistack_gguf::{Settings, estimate, read_model};
//!
//! let model = read_model(std::path::Path::new("model.gguf"))?;
//! let needed = estimate(&model, &Settings::default())?;
//! println!("{} MiB", needed.total_mib);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Reading
//!
//! Headers come from the internet. [`read_header`] takes at most 64 MiB of a file and
//! keeps at most 1 MiB of them; it believes no length before the bytes are there, and
//! does not recurse. The weights are never read.
//!
//! No crate does this for the models that people use: `gguf-rs-lib` 0.3 (bounded, too)
//! refuses version 2 and every architecture with a hyphen in its name, as `gpt-oss`;
//! `ggus` 0.5 wants the whole file in memory and allocates by the header's counts;
//! `gguf-rs` 0.1 keeps whole arrays and takes all newer types for blocks of 256.
//!
//! # The formula
//!
//! All in whole numbers; `up(x)` is `x` rounded up to a multiple of 256, `min` and `max`
//! as usual, divisions round down unless said otherwise. `S` slots (`--parallel`), `U`
//! tokens of a physical batch (`--ubatch-size`, at most `C`), `c` the context
//! (`--ctx-size`, or the model's own when that is 0). The names are those of
//! [`ModelShape`]'s JSON form.
//!
//! ```text
//! slot     = max(256, up(up(c) / S))                     tokens of one slot
//! C        = slot · S                                    tokens of all slots
//! W        = min(slot, up(min(slot, window + U)))        of one slot, in layers with a sliding window
//! bytes(t) = f32 4, f16 2, bf16 2, q8_0 34/32, q5_1 24/32, q5_0 22/32, q4_1 20/32, q4_0 18/32, iq4_nl 18/32
//!
//! kv       = C · (kvElementsPerTokenK · bytes(K) + kvElementsPerTokenV · bytes(V))
//!          + W · S · (the same two of slidingWindow)     when there is one
//!          + S · recurrentBytesPerSlot
//! seen     = slot (0 when kvElementsPerTokenK is 0) + W (0 without slidingWindow)
//! logits   = 4 · vocabSize · S
//! compute  = 20 · U · embeddingLength + 2 · U · seen + logits
//!          + max(12 · U · feedForwardLength, 8 · U · attentionLength, logits)
//! overhead = 32 MiB + 256 · vocabSize                    in main memory
//!          = 512 MiB                                     in a card's own
//! total    = weightsMiB + MiB(kv) + MiB(compute) + MiB(overhead)     each MiB(…) rounded up
//! ```
//!
//! Without flash attention `2 · U · seen` becomes `4 · U · seen`, and
//! `8 · U · attentionLength` becomes `8 · U · attentionLength + 4 · U · attentionHeads · slot`.
//!
//! `kv` is what llama.cpp allocates, to the byte. `compute` is fitted to what its server
//! reports of itself on a processor (`benches/fit.sh` repeats that): five times the
//! embedding, the mask, and the largest of a layer's parts live at once. The overhead in
//! main memory is the process's resident memory less its buffers, after some requests;
//! that of a card is an assumption. Not counted: what the server keeps of past prompts in
//! main memory (`--cache-ram`, up to 8 GiB unless told otherwise, and of models with a
//! sliding window `--ctx-checkpoints`), and that the token embedding stays in main memory
//! when the rest is on a card.

mod error;
mod estimate;
mod header;
mod model;
mod types;

pub use error::{Error, EstimateError, HeaderError};
pub use estimate::{
    CONTEXT_STEP, DEVICE_MIB, Estimate, MIB, SERVER_BYTES, SERVER_BYTES_PER_TOKEN, Settings,
    estimate, largest_context,
};
pub use header::{Header, MAX_HEADER, MAX_KEPT, Value, read_header};
pub use model::{ModelShape, SCHEMA, SlidingWindow, read_model};
pub use types::{Block, CacheType, block};
