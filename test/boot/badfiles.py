# SPDX-License-Identifier: MIT
# Hostile packed files, each made from a small valid one by one change, with checksums repaired
# where the change should be found behind them (layout: model/format/format.h). Each says what the
# error must name.
# Must not know: who reads them. The host test and the boot test share this one list.
import dataclasses
import hashlib
import struct

from xxh64 import xxh64

HEADER, EXTENT, ENTRY, PAGE, PIECE = 128, 32, 64, 4096, 1 << 20
# Of the header.
VERSION, N_EXTENTS, FILE_BYTES, N_PIECES, HEAD_CHECKSUM, ROOT, RESERVED = 8, 12, 16, 24, 32, 40, 72
EXTENT_FIELDS = {
    "offset": (0, "<Q"),
    "bytes": (8, "<Q"),
    "kind": (16, "<I"),
    "layer": (20, "<I"),
    "expert": (24, "<I"),
    "first_piece": (28, "<I"),
}
KINDS = ("config", "tokenizer", "chat", "tensors", "embedding", "layer", "expert", "output")
CONFIG, LAYER = 320, 128
CONFIG_FIELDS = {
    "n_vocab": 0,
    "n_embd": 4,
    "n_layer": 8,
    "n_ctx_train": 12,
    "n_rope_tables": 16,
    "tied_output": 20,
    "rms_eps": 28,
    "logit_scale": 40,
    "n_expert_used": 48,
    "rope[0].n_dims": 64,
    "rope[0].longer": 76,
    "reserved": 256,
}
LAYER_FIELDS = {
    "kind": 0,
    "n_head": 4,
    "n_head_kv": 8,
    "head_dim": 12,
    "n_ff": 16,
    "n_ff_expert": 20,
    "n_expert": 24,
    "rope": 32,
    "window": 36,
    "kv_layer": 40,
    "attn_scale": 48,
    "tensors": 56,
    "reserved": 64,
}
ENTRY_FIELDS = {
    "role": (0, "<I"),
    "extent": (4, "<I"),
    "type": (8, "<I"),
    "n_rows": (16, "<Q"),
    "n_cols": (24, "<Q"),
    "offset": (32, "<Q"),
    "bytes": (40, "<Q"),
    "reserved": (56, "<Q"),
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
    allowed: str = ""  # a part of what it must say is allowed


class Packed:
    """A packed file taken apart just enough to patch it."""

    def __init__(self, data):
        self.data = bytearray(data)
        if self.data[:8] != b"AXIOMPK\0" or self.u32(VERSION) != 2:
            raise ValueError("the valid file to start from is not a packed file of version 2")
        self.n_extents = self.u32(N_EXTENTS)
        self.n_pieces = self.u64(N_PIECES)

    def u32(self, offset):
        return struct.unpack_from("<I", self.data, offset)[0]

    def u64(self, offset):
        return struct.unpack_from("<Q", self.data, offset)[0]

    def put(self, offset, layout, value):
        struct.pack_into(layout, self.data, offset, value)
        return offset

    def extent_field(self, i, field):
        """Where it stands in the file."""
        return HEADER + EXTENT * i + EXTENT_FIELDS[field][0]

    def extent(self, i):
        """(offset, bytes) in the file."""
        return self.u64(self.extent_field(i, "offset")), self.u64(self.extent_field(i, "bytes"))

    def part(self, i):
        """(kind, layer, expert, contents), as build() takes them."""
        place = struct.unpack_from("<III", self.data, self.extent_field(i, "kind"))
        offset, size = self.extent(i)
        return (*place, bytes(self.data[offset : offset + size]))

    def name(self, i):
        """As messages name an extent."""
        kind, layer, expert, _ = self.part(i)
        place = {5: f"layer {layer}", 6: f"expert {expert} of layer {layer}"}
        offset, size = self.extent(i)
        return f"extent[{i}] ({place.get(kind, KINDS[kind])} at {offset:#x}, {size} bytes)"

    def pieces(self, i):
        """(number, contents) of each piece of an extent."""
        offset, size = self.extent(i)
        first = self.u32(self.extent_field(i, "first_piece"))
        for n, at in enumerate(range(0, size, PIECE)):
            yield first + n, bytes(self.data[offset + at : offset + min(at + PIECE, size)])

    def sum_at(self, piece):
        return HEADER + EXTENT * self.n_extents + 8 * piece

    def digest_at(self, piece):
        return self.sum_at(self.n_pieces) + 32 * piece

    def repair_extent(self, i):
        """The sums against accidents alone: a digest would have to be forged."""
        for piece, contents in self.pieces(i):
            self.put(self.sum_at(piece), "<Q", xxh64(contents))

    def repair_head(self):
        n_head = HEADER + EXTENT * self.u32(N_EXTENTS) + 40 * self.u64(N_PIECES)
        self.put(HEAD_CHECKSUM, "<Q", 0)
        self.put(HEAD_CHECKSUM, "<Q", xxh64(bytes(self.data[:n_head])))


def round_up(n, step):
    return (n + step - 1) // step * step


def merkle_root(leaves):
    """RFC 9162, section 2.1.1."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + merkle_root(leaves[:k]) + merkle_root(leaves[k:])).digest()


def build(parts):
    """A packed file of (kind, layer, expert, contents), with every checksum right."""
    pieces = [part[3][at : at + PIECE] for part in parts for at in range(0, len(part[3]), PIECE)]
    end = HEADER + EXTENT * len(parts) + 40 * len(pieces)
    table, body, first = b"", b"", 0
    for kind, layer, expert, contents in parts:
        begin = round_up(end, PAGE)
        body += bytes(begin - end) + contents
        end = begin + len(contents)
        table += struct.pack("<QQIIII", begin, len(contents), kind, layer, expert, first)
        first += -(-len(contents) // PIECE)
    body += bytes(-end % PAGE)
    counts = struct.pack("<IIQQ", 2, len(parts), end + -end % PAGE, len(pieces))
    header = b"AXIOMPK\0" + counts + bytes(HEADER - HEAD_CHECKSUM)
    digests = [hashlib.sha256(b"\0" + piece).digest() for piece in pieces]
    head_leaf = hashlib.sha256(b"\0" + header + table).digest()
    sums = b"".join(struct.pack("<Q", xxh64(piece)) for piece in pieces)
    packed = Packed(header + table + sums + b"".join(digests) + body)
    packed.data[ROOT:RESERVED] = merkle_root([head_leaf, *digests])
    packed.repair_head()
    return packed


class Maker:
    def __init__(self, valid):
        self.valid = bytes(valid)
        self.files = []

    def add(self, name, title, data, field, offset, allowed=""):
        self.files.append(
            BadFile(f"{len(self.files):02}-{name}", title, bytes(data), field, offset, allowed)
        )

    def patch_head(self, name, title, at, layout, value, field, repair=True):
        packed = Packed(self.valid)
        packed.put(at, layout, value)
        if repair:
            packed.repair_head()
        self.add(name, title, packed.data, field, at)

    def patch_extent_field(self, i, field, value, name, title):
        """A field of the extent table."""
        at = Packed(self.valid).extent_field(i, field)
        layout = EXTENT_FIELDS[field][1]
        self.patch_head(name, title, at, layout, value, f"extent[{i}].{field}")

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
    make.add("short", "a file shorter than its header", make.valid[: HEADER - 1], "file size", 0)
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
    make.patch_head("version", "a newer version", VERSION, "<I", 3, "header.version")
    # As axiom-pack wrote it: a header of 64 bytes, and an extent table behind it.
    version_1 = struct.pack("<8sIIQQ32x", b"AXIOMPK\0", 1, 8, size, 0) + make.valid[64:]
    make.add(
        "version-1",
        "a file of version 1, with the command that packs it again",
        version_1,
        "header.version",
        VERSION,
        "2 (pack the model again: axiom-pack MODEL.gguf -o MODEL.axm)",
    )
    make.patch_head(
        "extents-huge",
        "a huge number of extents",
        N_EXTENTS,
        "<I",
        0xFFFFFFFF,
        "header.n_extents",
        repair=False,
    )
    make.patch_head(
        "extents-none", "no layer extents", N_EXTENTS, "<I", 6, "header.n_extents", repair=False
    )
    make.patch_head(
        "grown",
        "a header that promises more bytes than there are",
        FILE_BYTES,
        "<Q",
        size + PAGE,
        "header.file_bytes",
    )
    make.patch_head(
        "size-huge",
        "a file size near 2^64",
        FILE_BYTES,
        "<Q",
        (1 << 64) - PAGE,
        "header.file_bytes",
    )
    for value, name, title in (
        (valid.n_pieces + 1, "more", "a piece more than the extents have"),
        (valid.n_pieces - 1, "fewer", "a piece less than the extents have"),
        (1 << 24, "many", "tables of pieces that end outside the file"),
        ((1 << 64) - 1, "huge", "nearly 2^64 pieces"),
    ):
        packed = Packed(make.valid)
        packed.put(N_PIECES, "<Q", value)
        if value < 1 << 10:
            packed.repair_head()
        make.add(f"pieces-{name}", title, packed.data, "header.n_pieces", N_PIECES)
    make.patch_head(
        "reserved", "a reserved word of the header", RESERVED + 48, "<Q", 1, "header.reserved"
    )
    for at, name, what in (
        (valid.extent_field(4, "first_piece"), "table", "the extent table"),
        (valid.sum_at(valid.n_pieces - 1), "sums", "the pieces' sums"),
        (valid.digest_at(valid.n_pieces) - 1, "digests", "the pieces' digests"),
        (ROOT, "root", "the root"),
    ):
        packed = Packed(make.valid)
        packed.data[at] ^= 0x10
        make.add(
            f"head-flip-{name}",
            f"a flipped bit in {what}",
            packed.data,
            "header.head_checksum",
            HEAD_CHECKSUM,
        )


def truncated_files(make):
    packed = Packed(make.valid)
    cuts = {"header": HEADER, "table": HEADER + EXTENT * 3, "last-byte": len(make.valid) - 1}
    for i in range(packed.n_extents):
        start, size = packed.extent(i)
        cuts[f"{KINDS[packed.part(i)[0]]}{i}"] = start
        if i == 6:
            cuts["mid-tensor"] = start + size // 2 + 1
    for where, cut in cuts.items():
        make.add(
            f"cut-{where}",
            f"a file cut at {where}, {cut} bytes",
            make.valid[:cut],
            "header.file_bytes",
            FILE_BYTES,
        )
    # The header agrees with the shorter file, so only the extent table can tell.
    for i in (1, 4, 6, packed.n_extents - 1):
        start, size = packed.extent(i)
        cut = max(start + size // 2 // 64 * 64, start + 1)
        shorter = Packed(make.valid[:cut])
        shorter.put(FILE_BYTES, "<Q", cut)
        shorter.repair_head()
        kind = KINDS[packed.part(i)[0]]
        make.add(
            f"ends-in-{kind}{i}",
            f"a file whose header agrees that it ends inside extent {i}, {kind}",
            shorter.data,
            f"extent[{i}].bytes",
            packed.extent_field(i, "bytes"),
        )


def extent_files(make):
    packed = Packed(make.valid)
    last = packed.n_extents - 1
    for i in (0, 1, 2, 3, 4, 5, last):
        start, size = packed.extent(i)
        kind = KINDS[packed.part(i)[0]]
        flipped = Packed(make.valid)
        flipped.data[start + size // 2] ^= 1
        make.add(
            f"flip-{kind}",
            f"a flipped bit in extent {i}, {kind}",
            flipped.data,
            f"{packed.name(i)} piece 0 checksum",
            start,
        )
    wrong_sum = Packed(make.valid)
    wrong_sum.data[wrong_sum.sum_at(6)] ^= 1
    wrong_sum.repair_head()
    make.add(
        "sum",
        "a wrong sum of a piece under a right checksum of the head",
        wrong_sum.data,
        f"{packed.name(6)} piece 0 checksum",
        packed.extent(6)[0],
    )

    def patch(i, field, value, name, title):
        make.patch_extent_field(i, field, value, name, title)

    patch(6, "offset", packed.extent(5)[0], "overlap", "two extents at the same place")
    patch(0, "offset", 0, "overlap-head", "an extent over the header")
    patch(last, "offset", 1 << 40, "outside", "an extent far outside the file")
    patch(6, "offset", (1 << 64) - PAGE, "offset-huge", "an extent offset near 2^64")
    patch(6, "bytes", (1 << 64) - 64, "bytes-huge", "an extent whose end overflows")
    patch(6, "bytes", 0, "bytes-zero", "an extent without bytes")
    patch(6, "offset", packed.extent(6)[0] + 64, "unaligned", "an extent that is not page-aligned")
    patch(6, "kind", 99, "kind", "an extent of an unknown kind")
    patch(6, "kind", 4, "kind-embedding", "a second embedding among the layers")
    patch(1, "kind", 2, "kind-chat", "a chat extent in the tokenizer's place")
    patch(6, "layer", 0, "layer-twice", "the same layer twice")
    patch(6, "layer", 2, "layer-skipped", "a layer left out")
    patch(2, "layer", 1, "layer-of-chat", "a chat extent with a layer's number")
    patch(6, "expert", 1, "expert-of-layer", "a layer with an expert's number")
    patch(4, "first_piece", 5, "piece-later", "an extent whose first piece is one too large")
    patch(4, "first_piece", 3, "piece-before", "an extent whose first piece is one too small")
    patch(last, "first_piece", 0xFFFFFFFF, "piece-huge", "a first piece of 4294967295")


def with_experts(packed, experts, **layer_1):
    """The file with extents of experts after layer 1, and fields of that layer's configuration."""
    parts = [packed.part(i) for i in range(packed.n_extents)]
    config = bytearray(parts[0][3])
    for field, value in layer_1.items():
        struct.pack_into("<I", config, CONFIG + LAYER + LAYER_FIELDS[field], value)
    parts[0] = (*parts[0][:3], bytes(config))
    at = next(i for i, part in enumerate(parts) if part[:2] == (5, 1)) + 1
    parts[at:at] = [(6, layer, expert, bytes(64)) for layer, expert in experts]
    return build(parts)


def expert_files(make):
    valid = Packed(make.valid)
    layer_1 = CONFIG + LAYER
    routed = struct.unpack_from("<Q", valid.part(0)[3], layer_1 + LAYER_FIELDS["tensors"])[0]

    def add_config(name, title, experts, **fields):
        packed = with_experts(valid, experts, **fields)
        start, _ = packed.extent(0)
        at = start + layer_1 + LAYER_FIELDS["n_expert"]
        make.add(name, title, packed.data, "config.layer[1].n_expert", at)

    add_config("experts-too-many", "experts of a layer that has none", [(1, 0)])
    add_config("experts-and-dense", "experts beside a dense block", [], n_expert=2)
    # A layer of two experts by its configuration, with all that it must have: only the extents
    # are not there, or too few, or too many.
    dense = sum(1 << role for role in (15, 17, 19))  # ffn_gate, ffn_up, ffn_down
    experts = sum(1 << role for role in (21, 23, 24, 25))  # router, expert_gate, _up, _down
    fields = {"n_ff": 0, "n_ff_expert": 32, "n_expert": 2, "tensors": routed & ~dense | experts}
    for n, name, title in (
        (0, "missing", "experts without extents"),
        (1, "one-missing", "one extent of experts too few"),
        (3, "one-more", "one extent of experts too many"),
    ):
        packed = with_experts(valid, [(1, i) for i in range(n)], **fields)
        start, _ = packed.extent(0)
        packed.put(start + CONFIG_FIELDS["n_expert_used"], "<I", 1)
        packed.repair_extent(0)
        packed.repair_head()
        at = start + layer_1 + LAYER_FIELDS["n_expert"]
        allowed = f"{n} (its extents of experts)"
        make.add(f"experts-{name}", title, packed.data, "config.layer[1].n_expert", at, allowed)
    for experts, field, name, title in (
        ([(1, 1)], "expert", "first", "experts that begin with number 1"),
        ([(1, 0), (1, 2)], "expert", "hole", "a hole in the experts' numbers"),
        ([(0, 0)], "layer", "other", "an expert of another layer"),
    ):
        packed = with_experts(valid, experts)
        i = 6 + len(experts)
        at = packed.extent_field(i, field)
        make.add(f"experts-{name}", title, packed.data, f"extent[{i}].{field}", at)


def config_files(make):
    for field, value, title in (
        ("layer[0].n_head", 0, "n_head = 0"),
        ("n_layer", 0xFFFFFFFF, "n_layer = 4294967295"),
        ("n_layer", 1000, "more layers than layer extents"),
        ("n_layer", 0, "n_layer = 0"),
        ("layer[0].n_head_kv", 0, "n_head_kv = 0"),
        ("layer[1].n_head_kv", 3, "n_head_kv that does not divide n_head"),
        ("n_embd", 0xFFFFFFF0, "n_embd near 2^32"),
        ("n_embd", 0, "n_embd = 0"),
        ("layer[1].n_ff", 0xFFFFFFFF, "n_ff = 4294967295"),
        ("n_vocab", 0xFFFFFFFF, "n_vocab = 4294967295"),
        ("layer[0].head_dim", 0, "head_dim = 0"),
        ("n_ctx_train", 0xFFFFFFFF, "n_ctx_train = 4294967295"),
        ("rms_eps", 0x7FC00000, "rms_eps that is no number"),
        ("rope[0].n_dims", 0, "no rotated dimensions"),
        ("tied_output", 7, "tied_output = 7"),
        ("n_rope_tables", 5, "more rotary tables than there is room for"),
        ("rope[0].longer", 0, "a rotary table that is its own longer one"),
        ("logit_scale", 0xFF800000, "a logit scale of minus infinity"),
        ("reserved", 1, "a reserved word of the configuration"),
        ("layer[1].kind", 1, "a layer of an unknown kind"),
        ("layer[0].rope", 1, "a rotary table outside the tables"),
        ("layer[0].window", 0xFFFFFFFF, "a window of 4294967295 positions"),
        ("layer[1].kv_layer", 0, "keys of another layer"),
        ("layer[1].attn_scale", 0x7FC00000, "an attention scale that is no number"),
        ("layer[1].tensors", 0, "a layer without tensors"),
        ("layer[1].tensors", 0xFFFFFFFF, "a layer with every tensor"),
        ("layer[0].reserved", 1, "a reserved word of a layer"),
    ):
        if field.startswith("layer"):
            at = CONFIG + LAYER * int(field[6]) + LAYER_FIELDS[field.split(".")[1]]
        else:
            at = CONFIG_FIELDS[field]
        name = field.replace("[", "").replace("].", "-").replace("_", "-")
        make.patch_extent(
            0, f"{name}-{value & 0xFFFF:x}", title, at, "<I", value, f"config.{field}"
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
    patch(4, "reserved", 1, "tensor-reserved", "a reserved word of a tensor")


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
        expert_files,
        config_files,
        tensor_files,
        tokenizer_files,
        chat_files,
    ):
        part(make)
    return make.files


def forged_files(valid):
    """A bit changed in each extent of weights, its XXH64 and the head's repaired: only the digests
    can tell, which `axiom-pack --verify` looks at."""
    packed = Packed(valid)
    for i in range(4, packed.n_extents):
        forged = Packed(valid)
        start, _ = packed.extent(i)
        forged.data[start] ^= 1
        forged.repair_extent(i)
        forged.repair_head()
        field = f"{packed.name(i)} piece 0 SHA-256"
        yield BadFile(f"forged-{i}", f"a forged {packed.name(i)}", forged.data, field, start)
    forged = Packed(valid)
    forged.data[ROOT] ^= 1
    forged.repair_head()
    yield BadFile("forged-root", "a forged root", forged.data, "header.root", ROOT)


def larger_than(valid, n_bytes):
    """A packed file of at least n_bytes by its header, which nobody comes to read where memory is
    too small. Returns the beginning and the total size."""
    packed = Packed(valid)
    total = round_up(max(n_bytes, len(valid)), PAGE)
    packed.put(FILE_BYTES, "<Q", total)
    packed.repair_head()
    return bytes(packed.data), total
