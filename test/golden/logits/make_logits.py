#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write llama.cpp's next-token distributions of one model for some of the texts beside this script.

usage: make_logits.py NAME MODEL.gguf [--axiom AXIOM-HOST MODEL.axm | --llama OTHER.gguf]

NAME is one of TEXTS. Needs the PyPI packages llama-cpp-python 0.3.36 and numpy. Each text is one sequence
from an empty cache, one thread. Output, little-endian, in NAME/TEXT.bin beside this script:
    char magic[8] "AXGOLD2\\0"; u32 n_tokens, n_top, n_drawn
    u32 token[n_tokens]
    f32 next_logprob[n_tokens - 1]      natural log of the probability given to the token that follows
    then for each of the n_tokens - 1 positions:
        u32 id[n_top]; f32 logprob[n_top]         most probable first
        f32 rest                                  the probability of all others together
        u32 id[n_drawn]; f32 logprob[n_drawn]     drawn from the others by their probabilities, with repeats
--axiom writes nothing: it runs axiom-host over the same tokens and prints a line of README.md's table. There
the divergence over the full vocabulary stands beside what the stored part of the distributions gives.
--llama does this with llama.cpp on another file of the same model.
"""
import argparse
import pathlib
import subprocess
import tempfile

import llama_cpp
import numpy as np

HERE = pathlib.Path(__file__).parent
TEXTS = {"smollm2": ("story", "article"), "qwen2.5-coder": ("story", "article", "code")}
N_TOP, N_DRAWN = 32, 16
N_TOKENS = 768


def log_softmax(logits):
    logprobs = logits.astype(np.float64)
    logprobs -= logprobs.max(axis=1, keepdims=True)
    return logprobs - np.log(np.exp(logprobs).sum(axis=1, keepdims=True))


def reference(llm, text):
    """Token ids and log probabilities [n_tokens - 1, n_vocab] of llama.cpp."""
    llm.reset()
    tokens = llm.tokenize((HERE / f"{text}.txt").read_bytes(), add_bos=False, special=False)[:N_TOKENS]
    assert len(tokens) == N_TOKENS, f"{text}.txt has {len(tokens)} tokens"
    llm.eval(tokens)
    return np.array(tokens), log_softmax(llm.scores[: N_TOKENS - 1])


def stored_part(text, row_number, logprobs):
    """(ids of the most probable tokens, probability of the rest, ids drawn from the rest)."""
    order = np.argsort(-logprobs, kind="stable")
    top, others = order[:N_TOP], order[N_TOP:]
    p = np.exp(logprobs[others])
    rest = p.sum()
    random = np.random.Generator(np.random.PCG64([*text.encode(), row_number]))
    return top, rest, random.choice(others, N_DRAWN, p=p / rest)


def write_golden(path, text, tokens, logprobs):
    next_logprob = logprobs[np.arange(len(logprobs)), tokens[1:]]
    rests = []
    with open(path, "wb") as out:
        out.write(b"AXGOLD2\0" + np.array([len(tokens), N_TOP, N_DRAWN], "<u4").tobytes())
        out.write(tokens.astype("<u4").tobytes() + next_logprob.astype("<f4").tobytes())
        for i, row in enumerate(logprobs):
            top, rest, drawn = stored_part(text, i, row)
            out.write(top.astype("<u4").tobytes() + row[top].astype("<f4").tobytes())
            out.write(np.array(rest, "<f4").tobytes())
            out.write(drawn.astype("<u4").tobytes() + row[drawn].astype("<f4").tobytes())
            rests.append(rest)
    print(f"{path.name}: {len(tokens)} tokens, perplexity {np.exp(-next_logprob.mean()):.4f}, "
          f"top-{N_TOP} hold {1 - np.mean(rests):.4f} of the mass")


def axiom(host, model, text, n_vocab):
    """AXIOM's log probabilities at the same positions."""
    with tempfile.NamedTemporaryFile(suffix=".f32") as file:
        subprocess.run([host, "-m", model, "--perplexity", HERE / f"{text}.txt", "-c", str(N_TOKENS),
                        "--logits", file.name], check=True, stdout=subprocess.DEVNULL)
        return log_softmax(np.fromfile(file.name, "<f4").reshape(-1, n_vocab)[: N_TOKENS - 1])


class Comparison:
    def __init__(self):
        self.columns = {key: [] for key in ("nll", "nll_other", "kl", "kl_stored", "same")}

    def add(self, text, tokens, logprobs, other):
        for i, (p, q) in enumerate(zip(logprobs, other)):
            top, rest, drawn = stored_part(text, i, p)
            # A sum over the others, as its mean over draws: README.md.
            log_ratio = p[drawn] - q[drawn]
            others = rest * (log_ratio + np.exp(-log_ratio) - 1).mean() + rest - (1 - np.exp(q[top]).sum())
            row = {"nll": -p[tokens[i + 1]], "nll_other": -q[tokens[i + 1]],
                   "kl": (np.exp(p) * (p - q)).sum(),
                   "kl_stored": (np.exp(p[top]) * (p[top] - q[top])).sum() + others,
                   "same": p.argmax() == q.argmax()}
            for key, values in self.columns.items():
                values.append(row[key])

    def show(self, text):
        mean = {key: np.mean(values) for key, values in self.columns.items()}
        ppl, ppl_other = np.exp(mean["nll"]), np.exp(mean["nll_other"])
        print(f"| {text} | {len(self.columns['kl'])} | {ppl:.3f} | {ppl_other:.3f} | {100 * (ppl_other / ppl - 1):+.2f} % "
              f"| {mean['kl']:.5f} | {mean['kl_stored']:.5f} | {100 * mean['same']:.1f} % |", flush=True)


def load(path):
    return llama_cpp.Llama(str(path), n_ctx=1024, n_batch=512, n_threads=1, n_threads_batch=1, logits_all=True,
                           verbose=False)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=TEXTS)
    parser.add_argument("model")
    beside = parser.add_mutually_exclusive_group()
    beside.add_argument("--axiom", nargs=2, metavar=("AXIOM-HOST", "MODEL.axm"))
    beside.add_argument("--llama", type=load, metavar="OTHER.gguf")
    args = parser.parse_args()
    llm = load(args.model)
    (HERE / args.name).mkdir(exist_ok=True)
    together = Comparison()
    for text in TEXTS[args.name]:
        tokens, logprobs = reference(llm, text)
        if not args.axiom and not args.llama:
            write_golden(HERE / args.name / f"{text}.bin", text, tokens, logprobs)
            continue
        other = axiom(*args.axiom, text, logprobs.shape[1]) if args.axiom else reference(args.llama, text)[1]
        alone = Comparison()
        for comparison in (alone, together):
            comparison.add(text, tokens, logprobs, other)
        alone.show(text)
    if args.axiom or args.llama:
        together.show("all")


if __name__ == "__main__":
    main()
