#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seed corpora of the fuzz targets: OUT/<target>/<seed>. Small valid inputs of every kind, so
that mutation starts behind the first checks. Files of test/fuzz/seeds/<target>/ are added as they are."""
import argparse
import os
import shutil
import struct
import subprocess
import uuid

ARGUMENTS = [
    ["-m", "a.axm", "-p", "Hello", "-n", "4"],
    ["--temp", "0.7", "--top-k", "40", "--top-p", "0.9", "--min-p", "0.05", "-s", "1"],
    ["--repeat-penalty", "1.1", "--repeat-last-n", "-1", "-n", "-1", "-c", "512", "-b", "8", "-t", "2"],
    ["--isa", "scalar", "--raw", "--special", "--ignore-eos", "--quiet", "-sys", ""],
    ["--prompt=a=b", "--n-predict=0x10", "--raw=false", "--on-exit", "halt"],
    ["--json", "f", "--logits", "g", "--tokenize", "", "--perplexity", "t", "--help", "--version"],
    ["--tmep", "1"],
]
CONFIGS = [
    b"# comment\r\nmodel \\axiom\\model.axm\r\nprompt What is\\nthis?\\s\r\nn-predict 64\r\n",
    b"\xef\xbb\xbftemp 0.7\ntop-k 40\nraw\nspecial false\non-exit reboot\nquiet true",
    b"n 5\nn 6\n\n  seed 0xffffffffffffffff  \nsystem-prompt \\\\ \nisa avx2\n",
    b"prompt\nctx-size 99999999999\n",
]
COMMAND_LINES = [
    b"-m \\axiom\\model.axm -p \"two words\" -n 3",
    b"-p \"say ^\"hi^\"\" -n ^1 a^ b \"\"",
    b"-p \"open",
]

CHAT_TEMPLATES = [
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "{{- bos_token }}{%- for m in messages if m.role != 'system' %}{% if m.role == 'user' %}[I]{{ m.content | trim }}"
    "[/I]{% else %}{{ m.content.split('</think>')[-1].lstrip('\\n') ~ eos_token }}{% endif %}{%- endfor -%}",
    "{% macro turn(role, text='x') %}<{{ role | upper }}>{{ text }}{% endmacro %}{% set n = namespace(i=0) %}"
    "{% for m in messages %}{{ turn(m.role, text=m.content) }}{% set n.i = n.i + 1 %}{% endfor %}<ASSISTANT>",
    "{{ strftime_now('%d %b %Y') }}{% if messages[0].role == 'system' %}{{ messages[0].content.replace('/no_think', '')"
    ".strip() }}{% set messages = messages[1:] %}{% endif %}{% for m in messages[::-1] %}{{ loop.index0 }}{% endfor %}"
    "{% for m in messages %}\n{{ m['role'] }}: {{ m.content }}{% endfor %}\nassistant:",
    "{% if messages[0].role == 'system' %}{{ raise_exception('none') }}{% elif messages | length is divisibleby 2 %}"
    "{# x #}{% endif %}{% for k, v in {'a': 1}.items() %}{{ k in ['a', \"b\"] and not v == 2 or -1 }}{% endfor %}"
    "{% for i in range(messages|length) %}{{ messages[i].content if true else 'x' }};{% endfor %}",
]


PROMPTS = [
    b"\xef\xbb\xbfplain text\r\n\r\nanother \xff\n",
    b'{"prompt":"a\\n\\u00e9\\ud83d\\ude00","id":-1.5e3,"n":-1,"seed":7,"temp":0.5,"stop":["x","y"],"system":""}\n',
    b' { "id" : "x" , "prompt" : "" , "stop" : "z" }\n{"prompt":1}\n{"prompt":"x","foo":[null,true,false]}',
    b'{"prompt":"\\ud83d"}\n{"prompt":"x"\n{"prompt":"x","n":01}\n{}',
]


def options_seeds():
    for words in ARGUMENTS:
        yield b"\x02" + "\0".join(words).encode()
        yield b"\x80" + "\0".join(words).encode()  # 0x80 % 3 == 2, as the EFI image
    for text in CONFIGS:
        yield b"\x00" + text
    for text in COMMAND_LINES:
        yield b"\x01" + text
        yield b"\x82" + text  # 0x82 % 3 == 1


def gguf_string(text):
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_seeds():
    u32 = lambda key, value: gguf_string(key) + struct.pack("<II", 4, value)
    f32 = lambda key, value: gguf_string(key) + struct.pack("<If", 6, value)
    string = lambda key, value: gguf_string(key) + struct.pack("<I", 8) + gguf_string(value)
    strings = lambda key, values: (gguf_string(key) + struct.pack("<IIQ", 9, 8, len(values))
                                   + b"".join(map(gguf_string, values)))
    scalars = lambda key, kind, code, values: (gguf_string(key) + struct.pack("<IIQ", 9, kind, len(values))
                                               + struct.pack(f"<{len(values)}{code}", *values))
    keys = [
        string("general.architecture", "llama"), u32("general.alignment", 32),
        u32("llama.block_count", 1), f32("llama.rope.freq_base", 10000.0),
        gguf_string("some.flag") + struct.pack("<IB", 7, 1),
        gguf_string("some.wide") + struct.pack("<IQ", 10, 1 << 40),
    ]
    bpe = [
        string("tokenizer.ggml.model", "gpt2"), string("tokenizer.ggml.pre", "smollm"),
        strings("tokenizer.ggml.tokens", ["<|endoftext|>", "a", "b", "ab", "\u0120", "\u0120a"]),
        scalars("tokenizer.ggml.token_type", 5, "i", [3, 1, 1, 1, 1, 1]),
        strings("tokenizer.ggml.merges", ["a b", "\u0120 a"]), u32("tokenizer.ggml.eos_token_id", 0),
        string("tokenizer.chat_template", "{% for m in messages %}{{'<|im_start|>' + m['role']}}{% endfor %}"),
    ]
    spm = [
        string("tokenizer.ggml.model", "llama"),
        strings("tokenizer.ggml.tokens", ["<unk>", "<s>", "</s>", "<0x41>", "\u2581", "a", "\u2581a"]),
        scalars("tokenizer.ggml.scores", 6, "f", [0, 0, 0, 0, -1, -2, -3]),
        scalars("tokenizer.ggml.token_type", 5, "i", [2, 3, 3, 6, 1, 1, 1]),
        u32("tokenizer.ggml.bos_token_id", 1), u32("tokenizer.ggml.eos_token_id", 2),
    ]
    tensors = [("token_embd.weight", [32, 2], 0, 256), ("blk.0.attn_q.weight", [32, 2], 2, 36),
               ("output_norm.weight", [32], 0, 128)]
    for version in (2, 3):
        for extra in ([], bpe, spm):
            kept = tensors if version == 3 else []
            infos, data = b"", b""
            for name, shape, kind, n_bytes in kept:
                infos += gguf_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
                data += bytes(n_bytes) + bytes(-n_bytes % 32)
            head = struct.pack("<4sIQQ", b"GGUF", version, len(kept), len(keys) + len(extra))
            head += b"".join(keys + extra) + infos
            yield head + bytes(-len(head) % 32) + data


def pack(arguments, *source):
    path = os.path.join(arguments.out, "seed.axm")
    subprocess.run([arguments.pack, *source, "-o", path], check=True, capture_output=True)
    with open(path, "rb") as f:
        data = f.read()
    os.remove(path)
    return data


def extent(data, kind):
    """The first extent of a kind (model/format/format.h: header of 128 bytes, extents of 32)."""
    n_extents = struct.unpack_from("<I", data, 12)[0]
    for i in range(n_extents):
        offset, n_bytes, k = struct.unpack_from("<QQI", data, 128 + 32 * i)
        if k == kind:
            return data[offset:offset + n_bytes]
    raise ValueError(f"no extent of kind {kind}")


def experts_gguf():
    """A llama of two layers of three experts, Q8_0 zeros: no synthetic shape has experts."""
    tensors = [("token_embd.weight", [32, 4]), ("output_norm.weight", [32])]
    for i in range(2):
        blk = f"blk.{i}."
        tensors += [(blk + "attn_norm.weight", [32]), (blk + "ffn_norm.weight", [32])]
        tensors += [(blk + f"attn_{x}.weight", [32, 32]) for x in ("q", "k", "v", "output")]
        tensors += [(blk + "ffn_gate_inp.weight", [32, 3])]
        tensors += [(blk + f"ffn_{x}_exps.weight", [32, 32, 3]) for x in ("gate", "up", "down")]
    keys = [gguf_string("general.architecture") + struct.pack("<I", 8) + gguf_string("llama")]
    for key, value in (("block_count", 2), ("context_length", 64), ("embedding_length", 32),
                       ("feed_forward_length", 32), ("attention.head_count", 2),
                       ("expert_count", 3), ("expert_used_count", 2)):
        keys.append(gguf_string("llama." + key) + struct.pack("<II", 4, value))
    keys.append(gguf_string("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, 1e-5))
    infos, data = b"", b""
    for name, shape in tensors:
        plain = len(shape) == 1 or "gate_inp" in name
        n = 1
        for side in shape:
            n *= side
        infos += gguf_string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape,
                                                 0 if plain else 8, len(data))
        n_bytes = n * 4 if plain else n // 32 * 34
        data += bytes(n_bytes) + bytes(-n_bytes % 32)
    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)) + b"".join(keys) + infos
    return head + bytes(-len(head) % 32) + data


def gpt_seeds():
    """Disks as test/fuzz/gpt_fuzz.cpp takes them: flags, number of blocks, both headers, entries."""
    kind = uuid.UUID("dddc369f-9090-4995-90cb-c03c27034f7d").bytes_le  # model/format/format.h

    def header(own, other, n_blocks, entries):
        return struct.pack("<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, 0, 0, own, other, 3, n_blocks - 2,
                           bytes(16), entries, 4, 128, 0)

    def entry(number, first, last, kind=kind):
        return kind + bytes([number] * 16) + struct.pack("<QQQ", first, last, 0) + bytes(72)

    n = 100
    headers = header(1, n - 1, n, 2) + header(n - 1, 1, n, n - 4)
    table = entry(1, 10, 20) + entry(2, 30, 40, bytes(16)) + entry(3, 41, 50) + bytes(128)
    for flags in (0xfc, 0xbd, 0xfe, 0xc0):
        yield bytes([flags, n, 0]) + headers + table
    yield bytes([0xfc, n, 0]) + headers + entry(1, 20, 10) + bytes(384)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", required=True, help="axiom-pack")
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.out, ignore_errors=True)
    os.makedirs(arguments.out)
    tiny = pack(arguments, "--synthetic", "tiny")
    small = [pack(arguments, "--synthetic", "16,1,1,1,16,300,tied", "--type", t) for t in ("q4", "q4m", "q8", "q5")]
    small += [pack(arguments, "--synthetic", "256,1,4,1,256,16,tied", "--type", t, "--output-type", t)
              for t in ("q4k", "q5k", "q6k")]
    path = os.path.join(arguments.out, "experts.gguf")
    with open(path, "wb") as f:
        f.write(experts_gguf())
    small.append(pack(arguments, path))
    os.remove(path)
    seeds = {
        "options_fuzz": list(options_seeds()),
        "prompts_fuzz": PROMPTS,
        "gguf_fuzz": [*gguf_seeds(), experts_gguf()],
        "gpt_fuzz": list(gpt_seeds()),
        "axm_fuzz": [tiny, tiny[:4096], tiny[:-4096], *small],
        "chat_fuzz": [b"\1" + bytes(range(9)), *[b"\2" + t.encode() for t in CHAT_TEMPLATES]],
        "tokenizer_fuzz": [extent(tiny, 1), extent(tiny, 1) + b" Hello world 123", b"Hello \xe4\xbd\xa0 <|im_end|>"],
    }
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "seeds")
    for target, values in seeds.items():
        folder = os.path.join(arguments.out, target)
        os.makedirs(folder)
        for i, value in enumerate(values):
            with open(os.path.join(folder, f"seed-{i:02}"), "wb") as f:
                f.write(value)
        if os.path.isdir(os.path.join(here, target)):
            shutil.copytree(os.path.join(here, target), folder, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
