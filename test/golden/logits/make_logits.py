#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the golden next-token distributions of llama.cpp for story.txt and article.txt.

usage: make_logits.py MODEL.gguf [--full PREFIX]

Needs the PyPI packages llama-cpp-python (0.3.7 was used) and numpy. Each text is one sequence from an
empty cache, one thread. Output, little-endian, in story.bin and article.bin beside this script:
    char magic[8] "AXGOLD1\\0"; u32 n_tokens, n_top
    u32 token[n_tokens]
    f32 next_logprob[n_tokens - 1]      natural log of the probability given to the token that follows
    then for each of the n_tokens - 1 positions:
        u32 id[n_top]; f32 logprob[n_top]   most probable first
--full also writes every logit to PREFIX-<text>.f32 as [n_tokens - 1, n_vocab], for computing exact divergences by hand.
"""
import argparse
import pathlib
import struct

import llama_cpp
import numpy as np

N_TOP = 64
N_TOKENS = 768


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--full")
    args = parser.parse_args()
    llm = llama_cpp.Llama(args.model, n_ctx=1024, n_batch=512, n_threads=1, logits_all=True, verbose=False)
    for name in ("story", "article"):
        write_golden(llm, pathlib.Path(__file__).parent / name, args.full and f"{args.full}-{name}.f32")


def write_golden(llm, stem, full):
    llm.reset()
    tokens = llm.tokenize(stem.with_suffix(".txt").read_bytes(), add_bos=False, special=False)[:N_TOKENS]
    llm.eval(tokens)
    logits = llm.scores[: len(tokens) - 1].astype(np.float64)
    logprobs = logits - logits.max(axis=1, keepdims=True)
    logprobs -= np.log(np.exp(logprobs).sum(axis=1, keepdims=True))
    following = np.array(tokens[1:])
    next_logprob = logprobs[np.arange(len(following)), following]
    print(f"{stem.name}: {len(tokens)} tokens, perplexity {np.exp(-next_logprob.mean()):.4f}, "
          f"top-{N_TOP} hold {np.exp(np.sort(logprobs, axis=1)[:, -N_TOP:]).sum(axis=1).mean():.4f} of the mass")

    with open(stem.with_suffix(".bin"), "wb") as out:
        out.write(b"AXGOLD1\0" + struct.pack("<II", len(tokens), N_TOP))
        out.write(np.array(tokens, "<u4").tobytes())
        out.write(next_logprob.astype("<f4").tobytes())
        for row in logprobs:
            top = np.argsort(-row, kind="stable")[:N_TOP]
            out.write(top.astype("<u4").tobytes() + row[top].astype("<f4").tobytes())
    if full:
        logits.astype("<f4").tofile(full)


if __name__ == "__main__":
    main()
