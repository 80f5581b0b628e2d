# SPDX-License-Identifier: MIT
"""GGUF files of a llama shape with random F16 weights and no vocabulary, and what a token costs in
one: run by peers.py with the Python of build/peers/venv, which has numpy and gguf.
Must not know: what is done with the files."""
import json
import os
import sys

import gguf
import numpy as np

# std 0.5/sqrt(columns): activations stay of the order of one through any number of layers.
SCALE = 0.5


def tensors(s):
    """(name, rows, columns) in file order; rows 0: a norm."""
    n_kv = s["n_embd"] // s["n_head"] * s["n_head_kv"]
    yield "token_embd.weight", s["n_vocab"], s["n_embd"]
    for i in range(s["n_layer"]):
        yield f"blk.{i}.attn_norm.weight", 0, s["n_embd"]
        yield f"blk.{i}.attn_q.weight", s["n_embd"], s["n_embd"]
        yield f"blk.{i}.attn_k.weight", n_kv, s["n_embd"]
        yield f"blk.{i}.attn_v.weight", n_kv, s["n_embd"]
        yield f"blk.{i}.attn_output.weight", s["n_embd"], s["n_embd"]
        yield f"blk.{i}.ffn_norm.weight", 0, s["n_embd"]
        yield f"blk.{i}.ffn_gate.weight", s["n_ff"], s["n_embd"]
        yield f"blk.{i}.ffn_up.weight", s["n_ff"], s["n_embd"]
        yield f"blk.{i}.ffn_down.weight", s["n_embd"], s["n_ff"]
    yield "output_norm.weight", 0, s["n_embd"]
    if not s["tied"]:
        yield "output.weight", s["n_vocab"], s["n_embd"]


def write(shape, path):
    random = np.random.Generator(np.random.SFC64(1))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(shape["name"] + " random")
    writer.add_context_length(shape["n_ctx"])
    writer.add_embedding_length(shape["n_embd"])
    writer.add_block_count(shape["n_layer"])
    writer.add_feed_forward_length(shape["n_ff"])
    writer.add_head_count(shape["n_head"])
    writer.add_head_count_kv(shape["n_head_kv"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(shape["n_embd"] // shape["n_head"])
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(shape["n_vocab"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("no_vocab")
    for name, n_rows, n_cols in tensors(shape):
        dims = (n_rows, n_cols) if n_rows else (n_cols,)
        kind = np.dtype(np.float16 if n_rows else np.float32)
        n_bytes = int(np.prod(dims)) * kind.itemsize
        writer.add_tensor_info(name, dims, kind, n_bytes)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, n_rows, n_cols in tensors(shape):  # one at a time: a 1.1B model is 2.2 GB
        if n_rows == 0:
            writer.write_tensor_data(np.ones(n_cols, np.float32))
            continue
        data = random.standard_normal((n_rows, n_cols), np.float32)
        data *= SCALE / np.sqrt(n_cols)
        writer.write_tensor_data(data.astype(np.float16))
    writer.close()


def info(path):
    """Bytes of weights that one token reads: all but the embedding, which is one row, unless it is
    the output matrix as well."""
    reader = gguf.GGUFReader(path)
    sizes = {t.name: int(t.n_bytes) for t in reader.tensors}
    kinds = {}
    for t in reader.tensors:
        kinds[t.tensor_type.name] = kinds.get(t.tensor_type.name, 0) + int(t.n_bytes)
    n_bytes = sum(sizes.values())
    if "output.weight" in sizes:
        n_bytes -= sizes["token_embd.weight"]
    return {"bytes_per_token": n_bytes, "bytes_by_type": kinds}


def main():
    if sys.argv[1] == "write":
        shape, path = json.loads(sys.argv[2]), sys.argv[3]
        temporary = path + ".part"
        write(shape, temporary)
        os.replace(temporary, path)
    else:
        print(json.dumps(info(sys.argv[2])))


if __name__ == "__main__":
    main()
