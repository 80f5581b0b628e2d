#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ggml_blocks.json: a few blocks of every GGUF tensor type axiom-pack reads, and the weights
they stand for by llama.cpp's own Python package (gguf.quants), as bits.

usage: make_blocks.py > ggml_blocks.json      needs: numpy, gguf (PyPI; made with gguf 0.19.0)
"""
import json
import sys

import numpy as np
from gguf import GGMLQuantizationType as T
from gguf import quants

# Byte offsets of the binary16 fields of a block; everything else may hold any bits.
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0],
    T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208],
}
BYTES = {
    T.F32: 4, T.F16: 2, T.BF16: 2, T.Q4_0: 18, T.Q4_1: 20, T.Q5_0: 22, T.Q5_1: 24, T.Q8_0: 34,
    T.Q4_K: 144, T.Q5_K: 176, T.Q6_K: 210,
}
N_BLOCKS = 4


def blocks_of(kind, rng):
    if kind in HALVES:
        blocks = rng.integers(0, 256, (N_BLOCKS, BYTES[kind]), dtype=np.uint8)
        for row, block in enumerate(blocks):
            for offset in HALVES[kind]:
                value = np.float16(rng.normal() * 0.02) if row else np.float16(3e-7)  # subnormal first
                block[offset:offset + 2] = np.frombuffer(value.tobytes(), dtype=np.uint8)
        return blocks.reshape(1, -1)
    values = (rng.normal(size=(1, 32)) * 0.02).astype(np.float32)
    if kind == T.F16:
        return values.astype(np.float16).view(np.uint8)
    if kind == T.BF16:
        return (values.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    return values.view(np.uint8)


def main():
    rng = np.random.default_rng(7)
    out = {"source": "gguf.quants.dequantize of llama.cpp's gguf package", "blocks": []}
    for kind in BYTES:
        data = blocks_of(kind, rng)
        typed = data.view(np.float32) if kind == T.F32 else data.view(np.float16) if kind == T.F16 else data
        weights = quants.dequantize(typed, kind).astype(np.float32).reshape(-1)
        out["blocks"].append({
            "type": kind.name,
            "ggml_type": int(kind),
            "data": data.tobytes().hex(),
            "weights": weights.astype(">f4").tobytes().hex(),  # 8 digits each, most significant first
        })
    json.dump(out, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
