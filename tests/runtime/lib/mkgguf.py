#!/usr/bin/env python3
"""Write a tiny llama-architecture GGUF with random weights (no dependencies).

mkgguf.py OUT.gguf        about 1 MB: 1 layer, 128 wide, byte-level vocabulary.
It says nonsense, but llama-server loads it and answers every endpoint.
"""
import random, struct, sys

U32, F32, BOOL, STR, ARR, I32 = 4, 6, 7, 8, 9, 5
ALIGN = 32


def s(text):
    raw = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(raw)) + raw


def value(kind, v):
    if kind == STR:
        return s(v)
    return struct.pack({U32: "<I", F32: "<f", I32: "<i", BOOL: "<?"}[kind], v)


def kv(key, kind, v):
    return s(key) + struct.pack("<I", kind) + value(kind, v)


def kva(key, kind, vs):
    return s(key) + struct.pack("<IIQ", ARR, kind, len(vs)) + b"".join(value(kind, v) for v in vs)


def main(out):
    rnd = random.Random(7)
    # 64 wide heads: quantised KV caches work in blocks of 32.
    embd, ff, heads, ctx = 128, 256, 2, 8192
    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    kinds = [2, 3, 3] + [6] * 256
    for c in "\u2581abcdefghijklmnopqrstuvwxyz.,!?":          # normal pieces
        tokens.append(c); kinds.append(1)
    vocab = len(tokens)
    meta = [
        kv("general.architecture", STR, "llama"), kv("general.name", STR, "tiny-random"),
        kv("general.alignment", U32, ALIGN), kv("general.file_type", U32, 0),
        kv("llama.context_length", U32, ctx), kv("llama.embedding_length", U32, embd),
        kv("llama.block_count", U32, 1), kv("llama.feed_forward_length", U32, ff),
        kv("llama.attention.head_count", U32, heads), kv("llama.attention.head_count_kv", U32, heads),
        kv("llama.rope.dimension_count", U32, embd // heads), kv("llama.vocab_size", U32, vocab),
        kv("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        kv("tokenizer.ggml.model", STR, "llama"),
        kva("tokenizer.ggml.tokens", STR, tokens),
        kva("tokenizer.ggml.scores", F32, [0.0] * 259 + [-float(i) for i in range(vocab - 259)]),
        kva("tokenizer.ggml.token_type", I32, kinds),
        kv("tokenizer.ggml.bos_token_id", U32, 1), kv("tokenizer.ggml.eos_token_id", U32, 2),
        kv("tokenizer.ggml.unknown_token_id", U32, 0),
        kv("tokenizer.chat_template", STR,
           "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant: "),
    ]
    shapes = [("token_embd.weight", (embd, vocab)), ("blk.0.attn_norm.weight", (embd,)),
              ("blk.0.attn_q.weight", (embd, embd)), ("blk.0.attn_k.weight", (embd, embd)),
              ("blk.0.attn_v.weight", (embd, embd)), ("blk.0.attn_output.weight", (embd, embd)),
              ("blk.0.ffn_norm.weight", (embd,)), ("blk.0.ffn_gate.weight", (embd, ff)),
              ("blk.0.ffn_up.weight", (embd, ff)), ("blk.0.ffn_down.weight", (ff, embd)),
              ("output_norm.weight", (embd,)), ("output.weight", (embd, vocab))]
    infos, blobs, offset = [], [], 0
    for name, dims in shapes:
        n = 1
        for d in dims:
            n *= d
        vals = [1.0] * n if len(dims) == 1 else [rnd.gauss(0, 0.2) for _ in range(n)]
        blob = struct.pack(f"<{n}f", *vals)
        blob += b"\0" * (-len(blob) % ALIGN)
        infos.append(s(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, offset))
        blobs.append(blob); offset += len(blob)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(meta)) + b"".join(meta) + b"".join(infos)
    head += b"\0" * (-len(head) % ALIGN)
    with open(out, "wb") as f:
        f.write(head + b"".join(blobs))


if __name__ == "__main__":
    main(sys.argv[1])
