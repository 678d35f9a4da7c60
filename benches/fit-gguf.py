#!/usr/bin/env python3
"""Writes a GGUF with random weights and a chosen shape, for benches/fit.sh. No dependencies.

fit-gguf.py OUT.gguf [--arch llama|gemma2] [--layers N] [--embd N] [--heads N]
            [--kv-heads N] [--head-dim N] [--ff N] [--experts N] [--vocab N]
            [--ctx N] [--window N] [--weights f32|f16|q8_0|q4_0] [--tied]

A real server loads it and reserves the memory that it would for a trained model of
that shape; what it says is nonsense.
"""

import argparse
import random
import struct

U32, I32, F32, STR, ARR = 4, 5, 6, 8, 9
ALIGN = 32
CHUNK = 1 << 20
TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8}
BLOCKS = {"f32": (1, 4), "f16": (1, 2), "q4_0": (32, 18), "q8_0": (32, 34)}


def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def scalar(kind, value):
    return text(value) if kind == STR else struct.pack({U32: "<I", I32: "<i", F32: "<f"}[kind], value)


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + scalar(kind, value)


def pairs(key, kind, values):
    return text(key) + struct.pack("<IIQ", ARR, kind, len(values)) + b"".join(scalar(kind, v) for v in values)


def weights(kind, rnd):
    """About a MiB of small random weights, repeated by the caller as often as needed."""
    values, size = BLOCKS[kind]
    count = CHUNK // size
    if values == 1:
        form = {4: "f", 2: "e"}[size]
        return struct.pack(f"<{count}{form}", *(rnd.gauss(0, 0.02) for _ in range(count)))
    # One scale, then the quants, whatever their bits are.
    scale = struct.pack("<e", 0.0003 if kind == "q8_0" else 0.004)
    quants = random.Random(rnd.random()).randbytes(count * (size - 2))
    return b"".join(scale + quants[i * (size - 2) : (i + 1) * (size - 2)] for i in range(count))


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("out")
    args.add_argument("--arch", choices=["llama", "gemma2"], default="llama")
    args.add_argument("--weights", choices=sorted(TYPES), default="q8_0")
    args.add_argument("--tied", action="store_true", help="the token embedding is the output, too")
    numbers = {"layers": 8, "embd": 1024, "heads": 16, "kv-heads": 4, "head-dim": 64, "ff": 2816}
    numbers |= {"experts": 0, "vocab": 32000, "ctx": 32768, "window": 1024}
    for name, default in numbers.items():
        args.add_argument(f"--{name}", type=int, default=default)
    o = args.parse_args()
    rnd = random.Random(7)
    arch, gemma = o.arch, o.arch == "gemma2"
    q_width, kv_width = o.heads * o.head_dim, o.kv_heads * o.head_dim

    tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tokens += [f"w{n}" for n in range(o.vocab - len(tokens))]
    kinds = [2, 3, 3] + [6] * 256 + [1] * (o.vocab - 259)
    meta = [
        pair("general.architecture", STR, arch),
        pair("general.name", STR, "random weights"),
        pair("general.alignment", U32, ALIGN),
        pair(f"{arch}.context_length", U32, o.ctx),
        pair(f"{arch}.embedding_length", U32, o.embd),
        pair(f"{arch}.block_count", U32, o.layers),
        pair(f"{arch}.feed_forward_length", U32, o.ff),
        pair(f"{arch}.attention.head_count", U32, o.heads),
        pair(f"{arch}.attention.head_count_kv", U32, o.kv_heads),
        pair(f"{arch}.attention.key_length", U32, o.head_dim),
        pair(f"{arch}.attention.value_length", U32, o.head_dim),
        pair(f"{arch}.rope.dimension_count", U32, o.head_dim),
        pair(f"{arch}.attention.layer_norm_rms_epsilon", F32, 1e-5),
        pair("tokenizer.ggml.model", STR, "llama"),
        pairs("tokenizer.ggml.tokens", STR, tokens),
        pairs("tokenizer.ggml.scores", F32, [0.0] * 259 + [-float(n) for n in range(o.vocab - 259)]),
        pairs("tokenizer.ggml.token_type", I32, kinds),
        pair("tokenizer.ggml.bos_token_id", U32, 1),
        pair("tokenizer.ggml.eos_token_id", U32, 2),
        pair("tokenizer.ggml.unknown_token_id", U32, 0),
        pair("tokenizer.chat_template", STR, "{% for m in messages %}{{ m['content'] }}{% endfor %}"),
    ]
    if gemma:
        meta.append(pair(f"{arch}.attention.sliding_window", U32, o.window))
    if o.experts:
        meta += [pair(f"{arch}.expert_count", U32, o.experts), pair(f"{arch}.expert_used_count", U32, 2)]

    shapes = [("token_embd.weight", (o.embd, o.vocab))]
    for n in range(o.layers):
        b = f"blk.{n}."
        shapes += [
            (b + "attn_norm.weight", (o.embd,)),
            (b + "attn_q.weight", (o.embd, q_width)),
            (b + "attn_k.weight", (o.embd, kv_width)),
            (b + "attn_v.weight", (o.embd, kv_width)),
            (b + "attn_output.weight", (q_width, o.embd)),
            (b + "ffn_norm.weight", (o.embd,)),
        ]
        if gemma:
            shapes += [(b + "post_attention_norm.weight", (o.embd,)), (b + "post_ffw_norm.weight", (o.embd,))]
        each = (o.experts,) if o.experts else ()
        kind = "_exps" if o.experts else ""
        if o.experts:
            shapes.append((b + "ffn_gate_inp.weight", (o.embd, o.experts)))
        shapes += [
            (b + f"ffn_gate{kind}.weight", (o.embd, o.ff, *each)),
            (b + f"ffn_up{kind}.weight", (o.embd, o.ff, *each)),
            (b + f"ffn_down{kind}.weight", (o.ff, o.embd, *each)),
        ]
    shapes.append(("output_norm.weight", (o.embd,)))
    if not (o.tied or gemma):
        shapes.append(("output.weight", (o.embd, o.vocab)))

    infos, sizes, offset = [], [], 0
    for name, dims in shapes:
        # Norms and the experts' router are f32, as converters write them.
        kind = "f32" if len(dims) == 1 or "gate_inp" in name else o.weights
        count = 1
        for dim in dims:
            count *= dim
        values, size = BLOCKS[kind]
        length = count // values * size
        infos.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, TYPES[kind], offset))
        sizes.append((kind, length, len(dims) == 1))
        offset += length + -length % ALIGN
    head = b"GGUF" + struct.pack("<IQQ", 3, len(shapes), len(meta)) + b"".join(meta + infos)
    chunks = {kind: weights(kind, rnd) for kind in {"f32", o.weights}}
    with open(o.out, "wb") as out:
        out.write(head + b"\0" * (-len(head) % ALIGN))
        for kind, length, norm in sizes:
            left = length
            if norm:
                out.write(struct.pack("<f", 1.0) * (length // 4))
                left = 0
            while left > 0:
                out.write(chunks[kind][:left])
                left -= min(left, len(chunks[kind]))
            out.write(b"\0" * (-length % ALIGN))


if __name__ == "__main__":
    main()
