#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Make the golden logits of the cases in families.py with llama.cpp.

usage: make_logits.py [--write] [--ablate] [--work FOLDER] [CASE[:FORMAT] ...]

For every case: the GGUF (make_gguf.py), the same weights dequantized to an F32 GGUF, and llama.cpp's logits
of both. Prints llama.cpp's own error, the error of int8 activations (reference.py), and that reference.py
computes what llama.cpp computes. --write stores NAME-FORMAT.bin and the case's line of cases.txt, --ablate
measures what switching off each feature does. See README.md for the packages needed and the file's layout.
"""
import argparse
import ctypes
import hashlib
import pathlib
import struct

import llama_cpp
import numpy as np

import families
import make_gguf
import reference

HERE = pathlib.Path(__file__).parent
GGML_TYPE_F32 = 0
FLASH_ATTENTION_OFF = 0


@llama_cpp.llama_log_callback
def log(level, text, _):
    if level == 4:  # errors
        print(text.decode(errors="replace"), end="")


llama_cpp.llama_log_set(log, None)


class GgmlTensor(ctypes.Structure):
    """The beginning of ggml.h's struct ggml_tensor, checked by `name` below."""
    _fields_ = [("type", ctypes.c_int), ("buffer", ctypes.c_void_p), ("ne", ctypes.c_int64 * 4),
                ("nb", ctypes.c_size_t * 4)]


def ggml_library():
    folder = pathlib.Path(llama_cpp.llama_cpp._lib._name).parent
    return ctypes.CDLL(str(folder / "libggml-base.so"))


ggml = ggml_library()
ggml.ggml_get_name.restype = ctypes.c_char_p
ggml.ggml_get_name.argtypes = [ctypes.c_void_p]
ggml.ggml_backend_tensor_get.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]


class RouteCollector:
    """llama.cpp's choice of experts, from the tensors ffn_moe_topk-LAYER as they are computed."""

    def __init__(self):
        self.by_layer = {}
        self.callback = llama_cpp.ggml_backend_sched_eval_callback(self.see)

    def see(self, address, ask, _):
        name = ggml.ggml_get_name(address).decode()
        if not name.startswith("ffn_moe_topk-"):
            return not ask
        if not ask:
            t = GgmlTensor.from_address(address)
            n_used, n_tokens = t.ne[0], t.ne[1]
            row = np.empty(n_used, "<i4")
            rows = np.empty((n_tokens, n_used), np.int64)
            for i in range(n_tokens):  # a view: rows are n_expert apart
                ggml.ggml_backend_tensor_get(address, row.ctypes.data, i * t.nb[1], 4 * n_used)
                rows[i] = row
            self.by_layer.setdefault(int(name.rsplit("-", 1)[1]), []).append(rows)
        return True

    def routes(self):
        """[n_positions, n_layer, n_expert_used], or None."""
        if not self.by_layer:
            return None
        return np.stack([np.concatenate(self.by_layer[i]) for i in sorted(self.by_layer)], axis=1)


def run(path, tokens, n_ctx, routes=False):
    """llama.cpp's logits [n_positions, n_vocab], everything in one batch on an F32 cache; and its routes."""
    mp = llama_cpp.llama_model_default_params()
    mp.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), mp)
    assert model, path
    cp = llama_cpp.llama_context_default_params()
    cp.n_ctx, cp.n_batch, cp.n_ubatch = n_ctx, len(tokens), len(tokens)
    cp.n_threads = cp.n_threads_batch = 2
    cp.type_k = cp.type_v = GGML_TYPE_F32
    cp.flash_attn_type = FLASH_ATTENTION_OFF
    collector = RouteCollector()
    if routes:
        cp.cb_eval = collector.callback
    ctx = llama_cpp.llama_init_from_model(model, cp)
    assert ctx, path
    assert llama_cpp.llama_n_ctx(ctx) == n_ctx, "llama.cpp rounds contexts up to multiples of 256"
    batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = int(token), i, 1, 1
        batch.seq_id[i][0] = 0
    assert llama_cpp.llama_decode(ctx, batch) == 0
    n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(ctx), (len(tokens), n_vocab)).copy()
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(ctx)
    llama_cpp.llama_model_free(model)
    return logits, collector.routes()


def as_f32(tensors):
    """The same tensors, dequantized."""
    return [(name, shape, make_gguf.F32, reference.dequantize(kind, data, shape[0]).astype("<f4").tobytes())
            for name, shape, kind, data in tensors]


def token_ids(case):
    """Little-endian 16-bit words of SHAKE-128, modulo the vocabulary."""
    words = np.frombuffer(make_gguf.random_bytes(f"{case.weights}/tokens", 2 * case.n_positions), "<u2")
    return (words % case.n_vocab).astype(np.int64)


def same_sets(a, b):
    """Share of positions x layers whose chosen experts are the same set."""
    return float((np.sort(a, axis=2) == np.sort(b, axis=2)).all(axis=2).mean())


def write_golden(path, tokens, logits, routes):
    n_positions, n_vocab = logits.shape
    n_layer, n_used = (0, 0) if routes is None else routes.shape[1:]
    scale = np.float32(np.abs(logits).max() / 32767)
    data = struct.pack("<8s4If", b"AXFAM1\0\0", n_positions, n_vocab, n_layer, n_used, scale)
    data += tokens.astype("<u2").tobytes()
    data += np.rint(logits.astype(np.float64) / float(scale)).astype("<i2").tobytes()
    if routes is not None:
        data += routes.astype("u1").tobytes()
    path.write_bytes(data)


def write_case_line(case, gguf, own, moves):
    """Replaces the case's line of cases.txt. The lines stand in the order of families.py."""
    path = HERE / "cases.txt"
    lines = [line for line in path.read_text().splitlines()] if path.exists() else []
    head = [line for line in lines if line.startswith("#")]
    by_case = {tuple(line.split()[:2]): line for line in lines if line and not line.startswith("#")}
    measure = "median" if case.n_expert else "all"
    by_case[case.name, case.format] = " ".join(
        [case.name, case.format, f"arch={case.arch}", f"n_ctx={case.n_ctx}", f"n_positions={case.n_positions}",
         f"n_vocab={case.n_vocab}", f"measure={measure}", f"own={own[case.n_expert > 0]:.5f}",
         "sha256=" + hashlib.sha256(gguf).hexdigest()] + [f"off:{what}={moved:.3f}" for what, moved in moves])
    path.write_text("\n".join(head + [by_case[key] for key in families.all_cases() if key in by_case]) + "\n")


def measure(name, file_format, args):
    case = families.case(name, file_format)
    keys, tensors = make_gguf.build(case, file_format)
    stem = f"{name}-{file_format}"
    path, path32 = args.work / f"{stem}.gguf", args.work / f"{stem}-f32.gguf"
    make_gguf.write_gguf(path, keys, tensors)
    make_gguf.write_gguf(path32, {**keys, "general.file_type": 0}, as_f32(tensors))
    tokens = token_ids(case)
    wanted, routes = run(path32, tokens, case.n_ctx, routes=case.n_expert > 0)
    found, own_routes = run(path, tokens, case.n_ctx, routes=case.n_expert > 0)
    own = reference.relative_error(found, wanted)

    model = reference.Model(keys, tensors, case.n_ctx)
    exact = model.forward(tokens)
    agree = reference.relative_error(exact, wanted)[0]
    trace = model.trace
    int8 = reference.relative_error(model.forward(tokens, quantize=True), wanted)
    line = (f"{stem:22} own {100 * own[0]:5.2f} % median {100 * own[1]:5.2f} %  int8 {100 * int8[0]:5.2f} % "
            f"{100 * int8[1]:5.2f} % ratio {int8[0] / own[0]:4.2f} {int8[1] / own[1]:4.2f}  numpy {agree:.1e}  "
            f"{path.stat().st_size / 1e6:.1f} MB")
    if routes is not None:
        line += f"  routes {same_sets(own_routes, routes):.3f} int8 {same_sets(model.routes, routes):.3f}"
    print(line, flush=True)
    if args.trace:
        print("    residual, then what each branch adds:", " ".join(f"{x:.2f}" for x in trace),
              f" logits {reference.rms(wanted):.2f}, largest {np.abs(wanted).max():.1f}")
    moves = []
    if args.ablate or args.write:
        basis = 1 if case.n_expert else 0
        for what in case.off:
            other = reference.Model(keys, tensors, case.n_ctx)
            other.switch_off(what)
            moved = reference.relative_error(other.forward(tokens), wanted)[basis]
            moves.append((what, moved))
            low = " LOW" if moved < 4 * max(own[basis], int8[basis]) else ""
            print(f"    without {what:22} {100 * moved:6.1f} % = {moved / own[basis]:5.1f} x{low}", flush=True)
    if args.write:
        write_golden(HERE / f"{stem}.bin", tokens, wanted, routes)
        write_case_line(case, path.read_bytes(), own, moves)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("build/families"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    for name, file_format in families.all_cases():
        if not args.cases or name in args.cases or f"{name}:{file_format}" in args.cases:
            measure(name, file_format, args)


if __name__ == "__main__":
    main()
