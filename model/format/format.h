// SPDX-License-Identifier: MIT
// The packed weight file (.axm), version 1: on-disk structs, shared by packer/ (writes) and
// model/weights/weights (reads). Little-endian; every struct is naturally aligned without padding holes.
//
//   FileHeader | Extent[n_extents] | ...zeros to 4096... | extent 0 | extent 1 | ...
//
// Extents are 4 KiB-aligned, ascending, disjoint, and together with the head cover the file up to
// zero padding; each has its own checksum. In order: config, tokenizer, chat, tensors (the table),
// embedding, layer 0 .. layer n-1, output. A layer's extent holds its tensors in the order the
// forward pass reads them, so residency, streaming and DMA work on whole extents.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quant.h"

namespace axiom::format {

inline constexpr char kMagic[8] = {'A', 'X', 'I', 'O', 'M', 'P', 'K', '\0'};
inline constexpr uint32_t kVersion = 1;
inline constexpr uint64_t kExtentAlignment = 4096;
inline constexpr uint64_t kTensorAlignment = 64;

enum class ExtentKind : uint32_t {
    config = 0,
    tokenizer = 1,
    chat = 2,
    tensors = 3,
    embedding = 4,
    layer = 5,
    output = 6
};
inline constexpr uint32_t kNFixedExtents = 6;  // all but the layers

struct FileHeader {
    char magic[8];
    uint32_t version;
    uint32_t n_extents;      // kNFixedExtents + n_layer
    uint64_t file_bytes;     // a multiple of 4096
    uint64_t head_checksum;  // XXH64 (seed 0) of header and extent table, this field taken as 0
    uint64_t reserved[4];    // zero
};
static_assert(sizeof(FileHeader) == 64);

struct Extent {
    uint64_t offset;    // from the start of the file, 4 KiB-aligned
    uint64_t bytes;     // as used; the gap to the next extent is zeros, below 4 KiB
    uint64_t checksum;  // XXH64 (seed 0) of those bytes
    ExtentKind kind;
    uint32_t layer;  // for kind layer; otherwise 0
};
static_assert(sizeof(Extent) == 32);

// Limits that make every later product fit 64 bits and keep a hostile file from costing time.
inline constexpr uint32_t kMaxLayers = 1024;
inline constexpr uint32_t kMaxEmbd = 65536;
inline constexpr uint32_t kMaxHeads = 1024;
inline constexpr uint32_t kMaxHeadDim = 1024;
inline constexpr uint32_t kMaxFf = 1u << 20;
inline constexpr uint32_t kMaxVocab = 1u << 21;
inline constexpr uint32_t kMaxCtx = 1u << 24;
inline constexpr uint32_t kMaxHeadBytes = 64 + 32 * (kNFixedExtents + kMaxLayers);

// Extent `config`.
struct Config {
    uint32_t n_vocab, n_embd, n_layer, n_head;
    uint32_t n_head_kv, head_dim, n_ff, n_ctx_train;
    float rms_eps;
    uint32_t rope_dim;      // rotated dimensions of a head, even, <= head_dim
    uint32_t tied_output;   // 1: the output projection is the embedding matrix
    uint32_t file_type;     // general.file_type of the source (llama.cpp's ftype), for the record
    uint64_t n_params;      // of the source, tied weights counted once
    uint64_t source_bytes;  // tensor data bytes of the source GGUF
    char name[64];          // general.name, UTF-8, NUL-padded
    char architecture[16];  // "llama"
    char quantization[16];  // of the source, e.g. "Q4_1", "Q4_K - Medium"
    uint64_t reserved[4];
};
static_assert(sizeof(Config) == 192);

// Extent `tensors`: TensorEntry[], sorted by (extent, offset).
enum class Role : uint32_t {
    // embedding extent
    token_embd = 0,
    rope_freqs =
        1,  // f64 [1, rope_dim/2]: radians per position of each rotated pair, scaling included
    // layer extents
    attn_norm = 2,
    attn_q = 3,
    attn_k = 4,
    attn_v = 5,
    attn_output = 6,
    ffn_norm = 7,
    ffn_gate = 8,
    ffn_up = 9,
    ffn_down = 10,
    // output extent
    output_norm = 11,
    output = 12,  // absent when tied
};
inline constexpr uint32_t kNRoles = 13;
const char* role_name(Role role);  // GGUF's stem: "attn_q", "token_embd"

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
