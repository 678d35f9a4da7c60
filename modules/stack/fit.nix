# The memory that llama.cpp needs for a model, by the formula of `aistack fit`. The documentation
# of the crate aistack-gguf states the formula, docs/performance.md states its accuracy. Shape:
# schemas/model-shape.schema.json.
{ lib }:
let
  inherit (lib) max min;

  mib = 1024 * 1024;
  divUp = a: b: (a + b - 1) / b;
  toMiB = bytes: divUp bytes mib;
  up = tokens: 256 * divUp tokens 256;

  # Size of 32 values in the KV cache, in bytes.
  bytesOf32 = {
    f32 = 128;
    f16 = 64;
    bf16 = 64;
    q8_0 = 34;
    q5_1 = 24;
    q5_0 = 22;
    q4_1 = 20;
    q4_0 = 18;
    iq4_nl = 18;
  };
  packed =
    type: elements: tokens:
    divUp (elements * tokens * bytesOf32.${type}) 32;
in
{
  shape,
  contextSize,
  parallel,
  ubatchSize,
  cacheTypeK,
  cacheTypeV,
  flashAttention,
  device,
}:
let
  wanted = if contextSize == 0 then shape.contextLength else contextSize;
  slot = max 256 (up (up wanted / parallel));
  context = slot * parallel;
  ubatch = min ubatchSize context;

  window = shape.slidingWindow or null;
  windowCells = if window == null then 0 else min slot (up (min slot (window.tokens + ubatch)));

  kv =
    packed cacheTypeK shape.kvElementsPerTokenK context
    + packed cacheTypeV shape.kvElementsPerTokenV context
    + parallel * shape.recurrentBytesPerSlot
    + (
      if window == null then
        0
      else
        packed cacheTypeK window.kvElementsPerTokenK (windowCells * parallel)
        + packed cacheTypeV window.kvElementsPerTokenV (windowCells * parallel)
    );
  seen = (if shape.kvElementsPerTokenK > 0 then slot else 0) + windowCells;

  logits = 4 * shape.vocabSize * parallel;
  attention =
    8 * ubatch * shape.attentionLength
    + (if flashAttention then 0 else 4 * ubatch * shape.attentionHeads * slot);
  compute =
    20 * ubatch * shape.embeddingLength
    + (if flashAttention then 2 else 4) * ubatch * seen
    + logits
    + max (12 * ubatch * shape.feedForwardLength) (max attention logits);
  overhead = if device then 512 else toMiB (32 * mib + 256 * shape.vocabSize);
in
shape.weightsMiB + toMiB kv + toMiB compute + overhead
