# SPDX-License-Identifier: MIT
# Hostile packed files, each made from a small valid one by one change, with checksums repaired
# where the change should be found behind them (layout: model/format/format.h). Each says what the error
# must name.
# Must not know: who reads them. The host test and the boot test share this one list.
import dataclasses
import struct

from xxh64 import xxh64

HEADER, EXTENT, ENTRY = 64, 32, 64
KINDS = ("config", "tokenizer", "chat", "tensors", "embedding", "layer", "output")
CONFIG_FIELDS = (
    "n_vocab",
    "n_embd",
    "n_layer",
    "n_head",
    "n_head_kv",
    "head_dim",
    "n_ff",
    "n_ctx_train",
    "rms_eps",
    "rope_dim",
    "tied_output",
    "file_type",
)
ENTRY_FIELDS = {
    "role": (0, "<I"),
    "extent": (4, "<I"),
    "type": (8, "<I"),
    "n_rows": (16, "<Q"),
    "n_cols": (24, "<Q"),
    "offset": (32, "<Q"),
    "bytes": (40, "<Q"),
}
TOKENIZER_FIELDS = {
    "kind": 0,
    "pre": 4,
    "n_vocab": 8,
    "n_merges": 12,
    "bos": 16,
    "eos": 20,
    "n_eog": 32,
    "string_bytes": 112,
}
TOKENIZER_HEADER = 128


@dataclasses.dataclass
class BadFile:
    name: str  # of the file, without extension
    title: str  # a sentence for the test
    data: bytes
    field: str  # the error must name this field
    offset: int  # and this offset in the file


class Packed:
    """A packed file taken apart just enough to patch it."""

    def __init__(self, data):
        self.data = bytearray(data)
        if self.data[:8] != b"AXIOMPK\0" or self.u32(8) != 1:
            raise ValueError("the valid file to start from is not a packed file of version 1")
        self.n_extents = self.u32(12)

    def u32(self, offset):
        return struct.unpack_from("<I", self.data, offset)[0]

    def u64(self, offset):
        return struct.unpack_from("<Q", self.data, offset)[0]

    def put(self, offset, layout, value):
        struct.pack_into(layout, self.data, offset, value)
        return offset

    def extent_entry(self, i):
        return HEADER + EXTENT * i

    def extent(self, i):
        """(offset, bytes) in the file."""
        return self.u64(self.extent_entry(i)), self.u64(self.extent_entry(i) + 8)

    def repair_extent(self, i):
        offset, size = self.extent(i)
        self.put(self.extent_entry(i) + 16, "<Q", xxh64(bytes(self.data[offset : offset + size])))

    def repair_head(self):
        self.put(24, "<Q", 0)
        self.put(24, "<Q", xxh64(bytes(self.data[: HEADER + EXTENT * self.n_extents])))


def kind_of(packed, i):
    return KINDS[min(i, 5)] if i + 1 < packed.n_extents else "output"


class Maker:
    def __init__(self, valid):
        self.valid = bytes(valid)
        self.files = []

    def add(self, name, title, data, field, offset):
        self.files.append(
            BadFile(f"{len(self.files):02}-{name}", title, bytes(data), field, offset)
        )

    def patch_head(self, name, title, at, layout, value, field, repair=True):
        packed = Packed(self.valid)
        packed.put(at, layout, value)
        if repair:
            packed.repair_head()
        self.add(name, title, packed.data, field, at)

    def patch_extent(self, i, name, title, at, layout, value, field, reported_at=None):
        """`at` counts from the start of extent i, whose checksum is repaired."""
        packed = Packed(self.valid)
        start, _ = packed.extent(i)
        packed.put(start + at, layout, value)
        packed.repair_extent(i)
        packed.repair_head()
        self.add(
            name, title, packed.data, field, start + (at if reported_at is None else reported_at)
        )


def head_files(make):
    valid = Packed(make.valid)
    size = len(make.valid)
    make.add("empty", "an empty file", b"", "file size", 0)
    make.add("short", "a file shorter than its header", make.valid[:63], "file size", 0)
    make.patch_head("magic", "a wrong magic", 0, "<8s", b"NOTAXIOM", "header.magic", repair=False)
    make.patch_head(
        "gguf",
        "a GGUF file that was not packed",
        0,
        "<8s",
        b"GGUF\3\0\0\0",
        "header.magic",
        repair=False,
    )
    make.patch_head("version", "a newer version", 8, "<I", 2, "header.version")
    make.patch_head(
        "extents-huge",
        "a huge number of extents",
        12,
        "<I",
        0xFFFFFFFF,
        "header.n_extents",
        repair=False,
    )
    make.patch_head(
        "extents-none", "no layer extents", 12, "<I", 6, "header.n_extents", repair=False
    )
    make.patch_head(
        "grown",
        "a header that promises more bytes than there are",
        16,
        "<Q",
        size + 4096,
        "header.file_bytes",
    )
    make.patch_head(
        "size-huge", "a file size near 2^64", 16, "<Q", (1 << 64) - 4096, "header.file_bytes"
    )
    packed = Packed(make.valid)
    packed.data[HEADER + EXTENT * 4] ^= 0x10
    make.add(
        "head-flip", "a flipped bit in the extent table", packed.data, "header.head_checksum", 24
    )


def truncated_files(make):
    packed = Packed(make.valid)
    cuts = {"header": HEADER, "table": HEADER + EXTENT * 3, "last-byte": len(make.valid) - 1}
    for i in range(packed.n_extents):
        start, size = packed.extent(i)
        cuts[f"{kind_of(packed, i)}{i}"] = start
        if i == 6:
            cuts["mid-tensor"] = start + size // 2 + 1
    for where, cut in cuts.items():
        make.add(
            f"cut-{where}",
            f"a file cut at {where}, {cut} bytes",
            make.valid[:cut],
            "header.file_bytes",
            16,
        )
    # The header agrees with the shorter file, so only the extent table can tell.
    for i in (1, 4, 6, packed.n_extents - 1):
        start, size = packed.extent(i)
        cut = max(start + size // 2 // 64 * 64, start + 1)
        shorter = Packed(make.valid[:cut])
        shorter.put(16, "<Q", cut)
        shorter.repair_head()
        kind = kind_of(packed, i)
        make.add(
            f"ends-in-{kind}{i}",
            f"a file whose header agrees that it ends inside extent {i}, {kind}",
            shorter.data,
            f"extent[{i}] ({kind}).bytes",
            packed.extent_entry(i) + 8,
        )


def extent_files(make):
    packed = Packed(make.valid)
    last = packed.n_extents - 1
    for i in (0, 1, 2, 3, 4, 5, last):
        start, size = packed.extent(i)
        flipped = Packed(make.valid)
        flipped.data[start + size // 2] ^= 1
        make.add(
            f"flip-{kind_of(packed, i)}",
            f"a flipped bit in extent {i}, {kind_of(packed, i)}",
            flipped.data,
            f"extent[{i}] ({kind_of(packed, i)}",
            packed.extent_entry(i) + 16,
        )
    at = packed.extent_entry(6)
    make.patch_head(
        "overlap",
        "two extents at the same place",
        at,
        "<Q",
        packed.extent(5)[0],
        "extent[6] (layer).offset",
    )
    make.patch_head(
        "overlap-head",
        "an extent over the header",
        packed.extent_entry(0),
        "<Q",
        0,
        "extent[0] (config).offset",
    )
    make.patch_head(
        "outside",
        "an extent far outside the file",
        packed.extent_entry(last),
        "<Q",
        1 << 40,
        f"extent[{last}] (output).offset",
    )
    make.patch_head(
        "offset-huge",
        "an extent offset near 2^64",
        at,
        "<Q",
        (1 << 64) - 4096,
        "extent[6] (layer).offset",
    )
    make.patch_head(
        "bytes-huge",
        "an extent whose end overflows",
        at + 8,
        "<Q",
        (1 << 64) - 64,
        "extent[6] (layer).bytes",
    )
    make.patch_head(
        "bytes-zero", "an extent without bytes", at + 8, "<Q", 0, "extent[6] (layer).bytes"
    )
    make.patch_head(
        "unaligned",
        "an extent that is not page-aligned",
        at,
        "<Q",
        packed.extent(6)[0] + 64,
        "extent[6] (layer).offset",
    )
    make.patch_head(
        "kind", "an extent of an unknown kind", at + 24, "<I", 99, "extent[6] (layer).kind"
    )


def config_files(make):
    for field, value, title in (
        ("n_head", 0, "n_head = 0"),
        ("n_layer", 0xFFFFFFFF, "n_layer = 4294967295"),
        ("n_layer", 1000, "more layers than layer extents"),
        ("n_layer", 0, "n_layer = 0"),
        ("n_head_kv", 0, "n_head_kv = 0"),
        ("n_head_kv", 3, "n_head_kv that does not divide n_head"),
        ("n_embd", 0xFFFFFFF0, "n_embd near 2^32"),
        ("n_embd", 0, "n_embd = 0"),
        ("n_ff", 0xFFFFFFFF, "n_ff = 4294967295"),
        ("n_vocab", 0xFFFFFFFF, "n_vocab = 4294967295"),
        ("head_dim", 0, "head_dim = 0"),
        ("n_ctx_train", 0xFFFFFFFF, "n_ctx_train = 4294967295"),
        ("rms_eps", 0x7FC00000, "rms_eps that is no number"),
        ("rope_dim", 0, "rope_dim = 0"),
        ("tied_output", 7, "tied_output = 7"),
    ):
        make.patch_extent(
            0,
            f"{field}-{value & 0xFFFF:x}",
            title,
            4 * CONFIG_FIELDS.index(field),
            "<I",
            value,
            f"config.{field}",
        )
    make.patch_extent(
        0,
        "architecture",
        "another architecture",
        64 + 64,
        "<16s",
        b"gptneox",
        "config.architecture",
    )


def tensor_files(make):
    packed = Packed(make.valid)
    start, _ = packed.extent(3)

    def patch(index, field, value, name, title, reported=None):
        at, layout = ENTRY_FIELDS[field]
        make.patch_extent(
            3,
            name,
            title,
            ENTRY * index + at,
            layout,
            value,
            f".{reported or field}",
            ENTRY * index + ENTRY_FIELDS[reported or field][0],
        )

    patch(0, "role", 40, "role", "a tensor of an unknown role")
    patch(3, "extent", 0xFFFFFFFF, "tensor-extent", "a tensor in an extent that does not exist")
    patch(3, "type", 77, "type", "a tensor of an unknown stored type")
    patch(2, "type", 4, "norm-type", "a norm stored as a quantized matrix")
    patch(3, "n_rows", 1 << 61, "rows-huge", "rows times columns overflows")
    patch(3, "n_cols", (1 << 64) - 1, "cols-huge", "columns near 2^64")
    patch(3, "bytes", (1 << 64) - 64, "tensor-bytes", "a tensor size near 2^64")
    previous = packed.u64(start + ENTRY * 3 + ENTRY_FIELDS["offset"][0])
    patch(4, "offset", previous, "tensor-overlap", "two tensors at the same place")
    patch(4, "offset", 1 << 40, "tensor-outside", "a tensor outside its extent")
    patch(4, "offset", (1 << 64) - 64, "tensor-wrap", "a tensor whose end overflows")
    patch(4, "offset", previous + 4, "tensor-unaligned", "a tensor that is not aligned")


def tokenizer_files(make):
    packed = Packed(make.valid)
    start, _ = packed.extent(1)
    n_vocab = packed.u32(start + TOKENIZER_FIELDS["n_vocab"])

    def patch(field, value, title, layout="<I"):
        make.patch_extent(
            1,
            f"tok-{field.replace('_', '-')}-{value & 0xFFFF:x}",
            title,
            TOKENIZER_FIELDS[field],
            layout,
            value,
            f"tokenizer {field}",
        )

    patch("kind", 9, "an unknown kind of tokenizer")
    patch("n_vocab", 0, "a tokenizer without tokens")
    patch("n_vocab", 0xFFFFFFFF, "a tokenizer of 4294967295 tokens")
    patch("n_merges", 0xFFFFFFFF, "a tokenizer of 4294967295 merges")
    patch("eos", n_vocab, "an end-of-text token outside the vocabulary")
    patch("n_eog", 17, "too many end-of-generation tokens")
    patch("string_bytes", (1 << 64) - 1, "pieces of nearly 2^64 bytes", "<Q")
    make.patch_extent(
        1,
        "tok-size",
        "a token count that the extent's size contradicts",
        TOKENIZER_FIELDS["n_vocab"],
        "<I",
        n_vocab + 8,
        "tokenizer extent size",
        0,
    )
    # Piece 1 begins after piece 0, a single byte; ending it there leaves it empty.
    offsets = TOKENIZER_HEADER
    first_end = packed.u32(start + offsets + 4)
    make.patch_extent(
        1,
        "tok-empty",
        "an empty piece",
        offsets + 8,
        "<I",
        first_end,
        "tokenizer piece 1",
        piece_offset(packed, 1),
    )
    make.patch_extent(
        1,
        "tok-order",
        "pieces in descending order",
        offsets + 4 * 5,
        "<I",
        0xFFFFFF00,
        "tokenizer string_offset[5]",
        offsets + 4 * 5,
    )
    make.patch_extent(
        1,
        "tok-by-text",
        "an index by text that names no token",
        offsets + 4 * round_even(n_vocab + 1),
        "<I",
        n_vocab,
        "tokenizer by_text[0]",
    )
    special = next(i for i in range(n_vocab) if piece(packed, i).startswith(b"<|"))
    make.patch_extent(
        1,
        "tok-utf8",
        "a special token that is not UTF-8",
        piece_offset(packed, special),
        "<2s",
        b"\xff\xfe",
        f"tokenizer piece {special}",
    )


def round_even(n):
    """Arrays of 32-bit words are 8-byte aligned."""
    return (n + 1) // 2 * 2


def strings_offset(packed):
    """Of the pieces, from the start of the tokenizer extent."""
    start, _ = packed.extent(1)
    n_vocab = packed.u32(start + TOKENIZER_FIELDS["n_vocab"])
    n_merges = packed.u32(start + TOKENIZER_FIELDS["n_merges"])
    kind = packed.u32(start)
    at = TOKENIZER_HEADER + 4 * round_even(n_vocab + 1) + 4 * round_even(n_vocab)
    at += 4 * round_even(n_vocab) if kind == 1 else 0
    at += (n_vocab + 7) // 8 * 8
    return at + 16 * n_merges


def piece_offset(packed, i):
    start, _ = packed.extent(1)
    return strings_offset(packed) + packed.u32(start + TOKENIZER_HEADER + 4 * i)


def piece(packed, i):
    start, _ = packed.extent(1)
    end = strings_offset(packed) + packed.u32(start + TOKENIZER_HEADER + 4 * (i + 1))
    return bytes(packed.data[start + piece_offset(packed, i) : start + end])


CHAT_MODES = 16  # format::ChatHeader::modes; eight spans to a mode


def chat_files(make):
    make.patch_extent(2, "chat-kind", "an unknown chat template", 0, "<I", 99, "chat")
    make.patch_extent(
        2, "chat-text", "a chat text longer than its extent", 4, "<I", 0xFFFFFFFF, "chat"
    )
    make.patch_extent(
        2,
        "chat-span",
        "a chat part outside the text",
        CHAT_MODES + 8 * 5 + 4,
        "<I",
        0xFFFFFFF0,
        "chat user",
        CHAT_MODES + 8 * 5,
    )


def all_files(valid):
    """`valid`: bytes of a packed file with two layers and a byte-level BPE tokenizer."""
    make = Maker(valid)
    for part in (
        head_files,
        truncated_files,
        extent_files,
        config_files,
        tensor_files,
        tokenizer_files,
        chat_files,
    ):
        part(make)
    return make.files


def larger_than(valid, n_bytes):
    """A packed file of at least n_bytes whose head is valid; its last extent is zeros and fails its
    checksum, if anybody comes to read it. Returns the beginning and the total size."""
    packed = Packed(valid)
    last = packed.n_extents - 1
    start, size = packed.extent(last)
    total = (max(n_bytes, len(valid)) + 4095) // 4096 * 4096
    packed.put(packed.extent_entry(last) + 8, "<Q", total - start)
    packed.put(16, "<Q", total)
    packed.repair_head()
    return bytes(packed.data), total
