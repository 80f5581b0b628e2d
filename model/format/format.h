// SPDX-License-Identifier: MIT
// The packed weight file (.axm), version 2: on-disk structs, shared by packer/ (writes) and
// model/weights (reads). Little-endian; every struct is naturally aligned without padding holes.
//
//   FileHeader | Extent[n_extents] | u64 xxh64[n_pieces] | u8 sha256[n_pieces][32]
//   | zeros to 4096 | extent 0 | extent 1 | ...
//
// Extents are 4 KiB-aligned, ascending, disjoint, and together with the head cover the file up to
// zero padding. In order: config, tokenizer, chat, tensors (the table), embedding, then for every
// layer its own extent followed by one extent for each of its experts, then output. An extent
// holds its tensors in the order of model/format/tensor_table.h, which is the order the forward
// pass reads them in, so residency, streaming and DMA work on whole extents.
//
// Every extent is cut into pieces of 1 MiB, the last one shorter. A piece has two checksums: XXH64
// (seed 0) against accidents, checked on every arrival, and a SHA-256 Merkle leaf against forgery.
// Pieces are numbered through the file, so that any number of workers can check an extent.
// `root` is the Merkle tree hash (RFC 9162, 2.1.1) over the leaves
//   leaf 0     header (head_checksum and root taken as 0) and extent table
//   leaf 1 + i piece i
// and vouches for the whole file; its first 16 bytes are the file's id.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/gpt.h"
#include "core/quant.h"
#include "core/round.h"

namespace axiom::format {

inline constexpr char kMagic[8] = {'A', 'X', 'I', 'O', 'M', 'P', 'K', '\0'};
inline constexpr uint32_t kVersion = 2;
inline constexpr uint64_t kExtentAlignment = 4096;
inline constexpr uint64_t kTensorAlignment = 64;
inline constexpr uint64_t kPieceBytes = 1 << 20;
inline constexpr size_t kIdBytes = 16;  // of the root

// A packed file may stand raw at the start of a GPT partition of this type, which is
// dddc369f-9090-4995-90cb-c03c27034f7d; what follows it there means nothing.
inline constexpr Guid kPartitionType = {{0x9f, 0x36, 0xdc, 0xdd, 0x90, 0x90, 0x95, 0x49, 0x90, 0xcb,
                                         0xc0, 0x3c, 0x27, 0x03, 0x4f, 0x7d}};

enum class ExtentKind : uint32_t {
    config = 0,
    tokenizer = 1,
    chat = 2,
    tensors = 3,
    embedding = 4,
    layer = 5,   // all of a layer but its experts
    expert = 6,  // one expert of one layer
    output = 7
};
inline constexpr uint32_t kNExtentKinds = 8;
inline constexpr uint32_t kNFixedExtents = 6;   // all but layers and experts
const char* extent_kind_name(ExtentKind kind);  // "layer"; "unknown" for other numbers

struct FileHeader {
    char magic[8];
    uint32_t version;
    uint32_t n_extents;
    uint64_t file_bytes;     // a multiple of 4096
    uint64_t n_pieces;       // of all extents
    uint64_t head_checksum;  // XXH64 (seed 0) of everything before the padding, this field as 0
    uint8_t root[32];        // Merkle root
    uint64_t reserved[7];    // zero
};
static_assert(sizeof(FileHeader) == 128);

struct Extent {
    uint64_t offset;  // from the start of the file, 4 KiB-aligned
    uint64_t bytes;   // as used; the gap to the next extent is zeros, below 4 KiB
    ExtentKind kind;
    uint32_t layer;        // for kinds layer and expert; otherwise 0
    uint32_t expert;       // for kind expert; otherwise 0
    uint32_t first_piece;  // number of its first piece
};
static_assert(sizeof(Extent) == 32);

constexpr uint64_t n_pieces_of(uint64_t extent_bytes) {
    return extent_bytes / kPieceBytes + (extent_bytes % kPieceBytes != 0);
}
// Bytes before the padding; the limits below keep it from overflowing.
constexpr uint64_t head_bytes(uint64_t n_extents, uint64_t n_pieces) {
    return sizeof(FileHeader) + n_extents * sizeof(Extent) + n_pieces * (8 + 32);
}

// Limits that make every later product fit 64 bits and keep a hostile file from costing time.
inline constexpr uint32_t kMaxLayers = 1024;
inline constexpr uint32_t kMaxEmbd = 65536;
inline constexpr uint32_t kMaxHeads = 1024;
inline constexpr uint32_t kMaxHeadDim = 1024;
inline constexpr uint32_t kMaxFf = 1u << 20;
inline constexpr uint32_t kMaxVocab = 1u << 21;
inline constexpr uint32_t kMaxCtx = 1u << 24;
inline constexpr uint32_t kMaxExperts = 1024;  // of a layer
inline constexpr uint32_t kMaxExpertsUsed = 32;
inline constexpr uint32_t kMaxRopeTables = 4;
inline constexpr uint32_t kMaxExtents = 1u << 18;
inline constexpr uint64_t kMaxPieces = 1u << 24;  // 16 TiB

inline constexpr uint32_t kNone = 0xffffffff;  // where an index is optional

// Rotary positions: row i of the tensor rope_freqs, as [n_dims / 2] radians per position.
struct RopeTable {
    uint32_t n_dims;  // rotated dimensions of a head, even, adjacent pairs
    float magnitude;  // multiplies cosine and sine: YaRN's and longrope's attention factor
    // Contexts of more than max_ctx positions use table `longer` in its place (longrope), which is
    // for all contexts; max_ctx 0: so is this one, and `longer` is kNone. What counts is the context
    // asked for.
    uint32_t max_ctx;
    uint32_t longer;
};
static_assert(sizeof(RopeTable) == 16);

enum class ExpertGating : uint32_t { softmax = 0, sigmoid = 1 };

// Extent `config`: Config, then LayerConfig[n_layer].
struct Config {
    uint32_t n_vocab, n_embd, n_layer, n_ctx_train;
    uint32_t n_rope_tables;
    uint32_t tied_output;  // 1: the output projection is the embedding matrix
    uint32_t file_type;    // general.file_type of the source (llama.cpp's ftype), for the record
    float rms_eps;
    // Multipliers, 1 where the family has none.
    float embedding_scale;  // of the embedding's rows
    float residual_scale;   // of what a block adds to the residual stream
    float logit_scale;
    float final_softcap;  // logits = cap * tanh(logits / cap), after the scale; 0: none
    // Routing: the n_expert_used largest of softmax or sigmoid of the router's logits, divided by
    // their sum if expert_normalize, times expert_scale.
    uint32_t n_expert_used;
    ExpertGating expert_gating;
    uint32_t expert_normalize;
    float expert_scale;
    uint32_t output_bias;  // 1: the logits have one
    uint32_t reserved_word;
    RopeTable rope[kMaxRopeTables];
    uint64_t n_params;      // of the source, tied weights counted once
    uint64_t source_bytes;  // tensor data bytes of the source GGUF
    char name[64];          // general.name, UTF-8, NUL-padded
    char architecture[16];  // general.architecture, for people: nothing depends on it
    char quantization[32];  // of the source, e.g. "Q4_1", "Q4_K - Medium"
    uint64_t reserved[7];   // zero
};
static_assert(sizeof(Config) == 320);

// What keeps a layer's state from one pass to the next. Attention is all there is today; recurrent
// kinds (gated delta nets, short convolutions) are further values.
enum class LayerKind : uint32_t { attention = 0 };
enum class Activation : uint32_t { silu = 0, gelu_tanh = 1 };

struct LayerConfig {
    LayerKind kind;
    uint32_t n_head;
    uint32_t n_head_kv;  // divides n_head (grouped-query attention, Ainslie et al. 2023)
    uint32_t head_dim;   // even
    uint32_t n_ff;       // 0: no dense feed-forward block (beside experts: the shared one)
    uint32_t n_ff_expert;
    uint32_t n_expert;       // 0: none
    Activation activation;   // of the gate
    uint32_t rope;           // index of a table; kNone: positions are not rotated
    uint32_t window;         // position i sees j with i - j < window; 0: all j <= i
    uint32_t kv_layer;       // whose keys and values are read: its own index, or an earlier layer's
    uint32_t norm_whole_qk;  // 1: attn_q_norm and attn_k_norm are over all heads at once
    float attn_scale;        // multiplies q.k
    float attn_softcap;      // scores = cap * tanh(scores / cap), after the scale; 0: none
    uint64_t tensors;        // bit r: the layer has the tensor of Role r (or its experts have)
    uint64_t reserved[8];    // zero

    constexpr size_t n_q() const { return size_t{n_head} * head_dim; }      // rows of attn_q
    constexpr size_t n_kv() const { return size_t{n_head_kv} * head_dim; }  // of attn_k, attn_v
    // Cached heads are padded with zeros to the 16 lanes of the attention kernels.
    constexpr size_t head_dim_padded() const { return round_up(head_dim, 16); }
};
static_assert(sizeof(LayerConfig) == 128);

// Extent `tensors`: TensorEntry[], sorted by (extent, offset). Role: model/format/tensor_table.h.
enum class Role : uint32_t;

struct TensorEntry {
    Role role;
    uint32_t extent;  // index into the extent table
    StoredType type;  // of a matrix: any quantized one; a K format needs n_cols a multiple of 256
    uint32_t source_type;  // ggml_type of the source tensor
    uint64_t n_rows, n_cols;
    uint64_t offset;  // within the extent, 64-byte aligned
    uint64_t bytes;   // stored_bytes(type, n_rows, n_cols)
    float max_error;  // largest |stored - source| over the tensor
    float rms_error;  // root mean square of it
    uint64_t reserved;
};
static_assert(sizeof(TensorEntry) == 64);

}  // namespace axiom::format
