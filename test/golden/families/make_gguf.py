#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Write the random-weight GGUFs of the cases in families.py.

usage: make_gguf.py CASE FORMAT OUT.gguf
       make_gguf.py --all FOLDER           every case, as FOLDER/CASE-FORMAT.gguf

Python's standard library only, no floating-point arithmetic but the four operations and square roots, and
random bytes from SHAKE-128 of a name: the same bytes on every machine, which cases.txt proves by a hash.
"""
import hashlib
import pathlib
import struct
import sys

import families
from families import Array

F32, Q5_0, Q8_0, Q4_K, Q6_K = 0, 6, 8, 12, 14  # ggml's numbers
BLOCK = {F32: (1, 4), Q5_0: (32, 22), Q8_0: (32, 34), Q4_K: (256, 144), Q6_K: (256, 210)}  # columns, bytes
ALIGNMENT = 32


def random_bytes(name, n):
    return hashlib.shake_128(name.encode()).digest(n)


# ---- Weights. Blocks are drawn as they are stored; nothing is quantized. Their scales vary from half to
# ---- one and a half times what gives the whole matrix the standard deviation asked for.

N_HEADS = 64  # different scales in one matrix


def scales_around(name, mean):
    return [mean * (0.5 + byte / 255) for byte in random_bytes(name, N_HEADS)]


def f16(value):
    return struct.pack("<e", value)


# The root mean square of a block's scale is RMS_SCALE times its mean (uniform on 0.5 to 1.5).
RMS_SCALE = 1.0408


def q8_0(name, n_blocks, std):
    # -128 never comes from llama.cpp's quantizer, so it is not drawn either. Uniform on -127..127: 73.3.
    heads = [f16(s) for s in scales_around(name + "/scale", std / (73.3 * RMS_SCALE))]
    which = random_bytes(name + "/which", n_blocks)
    values = random_bytes(name + "/values", n_blocks * 32).replace(b"\x80", b"\x00")
    return b"".join(heads[w % N_HEADS] + values[i * 32 : i * 32 + 32] for i, w in enumerate(which))


def q5_0(name, n_blocks, std):
    # w = d * (q - 16), q uniform on 0..31: 9.23 d.
    heads = [f16(s) for s in scales_around(name + "/scale", std / (9.23 * RMS_SCALE))]
    which = random_bytes(name + "/which", n_blocks)
    values = random_bytes(name + "/values", n_blocks * 20)
    return b"".join(heads[w % N_HEADS] + values[i * 20 : i * 20 + 20] for i, w in enumerate(which))


def pack_6bit(scale, minimum):
    """ggml's 12 bytes of eight 6-bit scales and eight 6-bit minimums."""
    out = bytearray(12)
    for j in range(4):
        out[j] = scale[j] | (scale[j + 4] >> 4) << 6
        out[j + 4] = minimum[j] | (minimum[j + 4] >> 4) << 6
        out[j + 8] = (scale[j + 4] & 15) | (minimum[j + 4] & 15) << 4
    return bytes(out)


def q4_k(name, n_blocks, std):
    # w = d * scale * q - dmin * minimum, q uniform on 0..15 (mean 7.5, standard deviation 4.61). With
    # dmin = 7.5 d a minimum equal to the scale makes the mean 0; it is moved by up to 2, so that minimums
    # that are lost or taken from the wrong sub-block show. Scales of 24..63 have a root mean square of 45.
    heads = []
    small = random_bytes(name + "/small", N_HEADS * 16)
    for i, mean in enumerate(scales_around(name + "/scale", std / (4.61 * 45.0 * RMS_SCALE))):
        scale = [24 + b % 40 for b in small[i * 16 : i * 16 + 8]]
        minimum = [min(63, s + b % 5 - 2) for s, b in zip(scale, small[i * 16 + 8 : i * 16 + 16])]
        heads.append(f16(mean) + f16(7.5 * mean) + pack_6bit(scale, minimum))
    which = random_bytes(name + "/which", n_blocks)
    values = random_bytes(name + "/values", n_blocks * 128)
    return b"".join(heads[w % N_HEADS] + values[i * 128 : i * 128 + 128] for i, w in enumerate(which))


def q6_k(name, n_blocks, std):
    # w = d * scale * (q - 32), q uniform on 0..63: 18.5. Scales of +-(64..127) have a root mean square of 97.
    tails = []
    small = random_bytes(name + "/small", N_HEADS * 16)
    for i, mean in enumerate(scales_around(name + "/scale", std / (18.5 * 97.0 * RMS_SCALE))):
        scale = [(64 + b % 64) * (1 if b < 128 else -1) for b in small[i * 16 : i * 16 + 16]]
        tails.append(struct.pack("<16b", *scale) + f16(mean))
    which = random_bytes(name + "/which", n_blocks)
    values = random_bytes(name + "/values", n_blocks * 192)
    return b"".join(values[i * 192 : i * 192 + 192] + tails[w % N_HEADS] for i, w in enumerate(which))


def f32_around(name, n, center, spread):
    """n numbers, uniform on center +- spread in 65536 steps."""
    raw = struct.unpack(f"<{n}H", random_bytes(name, 2 * n))
    return struct.pack(f"<{n}f", *(center + spread * ((r - 32767.5) / 32767.5) for r in raw))


DRAW = {Q8_0: q8_0, Q5_0: q5_0, Q4_K: q4_k, Q6_K: q6_k}


def matrix_type(tensor, n_cols, file_format, tied):
    """What llama.cpp's quantizer would choose: columns that are no multiple of 256 get the smaller block."""
    if file_format == "q8_0":
        return Q8_0
    is_output = tensor == "output.weight" or (tied and tensor == "token_embd.weight")
    if is_output:
        return Q6_K if n_cols % 256 == 0 else Q8_0
    return Q4_K if n_cols % 256 == 0 else Q5_0


def draw(case, tensor, file_format):
    """(ggml type, bytes) of one tensor."""
    seed = f"{case.weights}/{case.seed}/{file_format}/{tensor.name}"
    n_cols, n_rows = tensor.shape[0], 1
    for n in tensor.shape[1:]:
        n_rows *= n
    if tensor.values is not None:
        return F32, struct.pack(f"<{n_cols}f", *tensor.values)
    if tensor.kind == "vector":
        return F32, f32_around(seed, n_cols, tensor.center, tensor.spread)
    if tensor.kind == "router":  # kept in F32, as llama.cpp's converter and quantizer do
        return F32, f32_around(seed, n_cols * n_rows, 0.0, tensor.std * 1.7320508)
    kind = matrix_type(tensor.name, n_cols, file_format, case.tied)
    block_cols = BLOCK[kind][0]
    assert n_cols % block_cols == 0, (case.name, tensor.name, n_cols)
    return kind, DRAW[kind](seed, n_cols // block_cols * n_rows, tensor.std)


# ---- The container.

U8, U32, I32, FLOAT32, BOOL, STRING, ARRAY = 0, 4, 5, 6, 7, 8, 9
SCALAR = {U8: "<B", U32: "<I", I32: "<i", FLOAT32: "<f", BOOL: "<?"}


def gguf_string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    """bool, int (u32), float (f32), str, or an Array: type and bytes."""
    if isinstance(value, bool):
        return BOOL, struct.pack("<?", value)
    if isinstance(value, int):
        return U32, struct.pack("<I", value)
    if isinstance(value, float):
        return FLOAT32, struct.pack("<f", value)
    if isinstance(value, str):
        return STRING, gguf_string(value)
    kind, items = value.kind, value.items
    if kind == STRING:
        data = b"".join(gguf_string(item) for item in items)
    else:
        data = b"".join(struct.pack(SCALAR[kind], item) for item in items)
    return ARRAY, struct.pack("<IQ", kind, len(items)) + data


def write_gguf(path, keys, tensors):
    """keys: name -> value. tensors: [(name, shape as in ggml, columns first, type, bytes)]."""
    head = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)))
    for name, value in keys.items():
        kind, data = gguf_value(value)
        head += gguf_string(name) + struct.pack("<I", kind) + data
    offset = 0
    for name, shape, kind, data in tensors:
        head += gguf_string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        head += struct.pack("<IQ", kind, offset)
        offset += -(-len(data) // ALIGNMENT) * ALIGNMENT
    with open(path, "wb") as out:
        out.write(head)
        out.write(bytes(-len(head) % ALIGNMENT))
        for _, _, _, data in tensors:
            out.write(data)
            out.write(bytes(-len(data) % ALIGNMENT))


# ---- The vocabulary: only what makes the file complete. No two tokens are alike.


def vocabulary(kind, n_vocab):
    normal, unknown, control, byte = 1, 2, 3, 6
    if kind in ("spm", "phi3"):
        tokens, types = ["<unk>", "<s>", "</s>"], [unknown, control, control]
        tokens += [f"<0x{i:02X}>" for i in range(256)]
        types += [byte] * 256
        words = [a + b for a in ("\u2581", "\u2581t", "e", "n") for b in "etaoinshrdlucmfwypvbgkjqxz" + "0123456789"]
        tokens += words[: n_vocab - len(tokens)]
        types += [normal] * (n_vocab - len(types))
        if kind == "phi3":  # llama.cpp looks for this token when a model is named so
            tokens[-1], types[-1] = "<|endoftext|>", control
        scores = [0.0] * 259 + [-1.0 - i for i in range(n_vocab - 259)]
        keys = {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": Array(STRING, tokens),
            "tokenizer.ggml.scores": Array(FLOAT32, scores),
            "tokenizer.ggml.token_type": Array(I32, types),
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0,
        }
    else:
        itself = [b for b in range(256) if 0x21 <= b <= 0x7E or (b >= 0xA1 and b != 0xAD)]
        tokens = [chr(b) for b in itself] + [chr(256 + i) for i in range(256 - len(itself))]
        pairs = [(a, b) for a in "etaoinshrdlucmfwypvbgk" for b in "etaoinshrdluc"][: n_vocab - 258]
        tokens += [a + b for a, b in pairs] + ["<|endoftext|>", "<|im_start|>"]
        keys = {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": kind,
            "tokenizer.ggml.tokens": Array(STRING, tokens),
            "tokenizer.ggml.token_type": Array(I32, [normal] * (n_vocab - 2) + [control] * 2),
            "tokenizer.ggml.merges": Array(STRING, [f"{a} {b}" for a, b in pairs]),
            "tokenizer.ggml.bos_token_id": n_vocab - 1,
            "tokenizer.ggml.eos_token_id": n_vocab - 2,
            "tokenizer.ggml.add_bos_token": False,
        }
    assert len(tokens) == n_vocab == len(set(tokens)), (kind, n_vocab, len(tokens), len(set(tokens)))
    return keys


def build(case, file_format):
    """All keys and tensors of a case: what write_gguf takes."""
    keys = {
        "general.architecture": case.arch,
        "general.name": f"{case.weights} {file_format}",
        "general.file_type": 7 if file_format == "q8_0" else 15,
        "general.quantization_version": 2,
    }
    keys.update({f"{case.arch}.{name}": value for name, value in case.keys.items()})
    keys.update(vocabulary(case.tokenizer, case.n_vocab))
    tensors = [(t.name, t.shape, *draw(case, t, file_format)) for t in case.tensors()]
    return keys, tensors


def expected_hash(name, file_format):
    """The SHA-256 that cases.txt has for the file."""
    for line in (pathlib.Path(__file__).parent / "cases.txt").read_text().splitlines():
        fields = line.split()
        if fields[:2] == [name, file_format]:
            return next(f for f in fields if f.startswith("sha256=")).removeprefix("sha256=")
    return None


def make(name, file_format, path):
    write_gguf(path, *build(families.case(name, file_format), file_format))
    found, wanted = hashlib.sha256(path.read_bytes()).hexdigest(), expected_hash(name, file_format)
    if found != wanted:
        sys.exit(f"{path}: SHA-256 is {found}, the golden logits are those of {wanted}")


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--all":
        folder = pathlib.Path(sys.argv[2])
        folder.mkdir(parents=True, exist_ok=True)
        for name, file_format in families.all_cases():
            make(name, file_format, folder / f"{name}-{file_format}.gguf")
    elif len(sys.argv) == 4:
        make(sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
