// SPDX-License-Identifier: MIT
// The packed file's bytes -> validated, typed views. Copies nothing; every offset, size and count
// is checked before it is used, so that what stands behind a TensorView may be read without checks.
// Must not know: where the bytes came from, or when they were read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/hash.h"
#include "core/quant.h"
#include "core/status.h"
#include "model/format/config.h"
#include "model/format/format.h"
#include "model/text/tokenizer.h"

namespace axiom {

// A stored matrix [n_rows, n_cols] (core/quant.h gives the layout). data is 64-byte aligned.
struct TensorView {
    const void* data = nullptr;
    StoredType type = StoredType::f32;
    size_t n_rows = 0;
    size_t n_cols = 0;
    size_t bytes = 0;

    const float* f32() const { return static_cast<const float*>(data); }
    const double* f64() const { return static_cast<const double*>(data); }
};

struct LayerWeights {
    TensorView attn_norm;         // f32 [1, n_embd]
    TensorView attn_q;            // [n_head*head_dim, n_embd]
    TensorView attn_k, attn_v;    // [n_head_kv*head_dim, n_embd]
    TensorView attn_output;       // [n_embd, n_head*head_dim]
    TensorView ffn_norm;          // f32 [1, n_embd]
    TensorView ffn_gate, ffn_up;  // [n_ff, n_embd]
    TensorView ffn_down;          // [n_embd, n_ff]
};

// The head of the file: header and extent table, before any extent has been read. It is what the
// loader needs to know how much to read and what checksum to expect.
struct FileLayout {
    format::FileHeader header{};
    std::span<const format::Extent> extents;  // into the given bytes

    // `head` holds at least the first min(file_bytes, kMaxHeadBytes) bytes of a file whose true
    // size is `actual_file_bytes`; 8-byte aligned. Checks magic, version, sizes, order, alignment,
    // overlap, kinds and the head checksum.
    static Result<FileLayout> parse(std::string_view file, std::span<const uint8_t> head,
                                    uint64_t actual_file_bytes);
};

// Verifies extent checksums over a file that arrives in order, in pieces of any size.
class ChecksumStream {
  public:
    ChecksumStream(std::string_view file, const FileLayout& layout)
        : file_(file), layout_(layout) {}
    // The next bytes of the file, starting at offset 0. Fails at the first wrong extent.
    Status feed(std::span<const uint8_t> bytes);
    // After the last byte.
    Status finish() const;

  private:
    std::string_view file_;
    const FileLayout& layout_;
    uint64_t position_ = 0;
    size_t i_extent_ = 0;
    Xxh64 hash_;
};

struct Weights {
    std::string_view file;  // name for messages
    format::Config source;  // as stored
    ModelConfig config;
    FileLayout layout;
    std::span<const format::TensorEntry> entries;
    std::span<const uint8_t> tokenizer;  // extent bytes, for Tokenizer::open
    std::span<const uint8_t> chat;       // extent bytes, for ChatTemplate::open

    TensorView token_embd;   // [n_vocab, n_embd]
    TensorView rope_freqs;   // f64 [1, rope_dim/2]
    TensorView output_norm;  // f32 [1, n_embd]
    TensorView output;       // [n_vocab, n_embd]; the embedding when tied

    LayerWeights layer(size_t i) const;
    // Bytes of weights that decoding one token reads: every layer, output norm and output matrix.
    uint64_t bytes_per_token() const;
    uint64_t macs_per_token() const;  // multiply-adds in the matrices of one token, output included

    // `bytes`: the whole file, 64-byte aligned, outliving the Weights. Validates everything except
    // the extent checksums, which verify_checksums() or a ChecksumStream did or will do.
    static Result<Weights> open(std::string_view file, std::span<const uint8_t> bytes);

    // Every id a tokenizer yields must be a row of the embedding.
    Status check_vocabulary(const Tokenizer& ids) const;

  private:
    std::span<const uint8_t> bytes_;
    size_t first_layer_entry_ = 0;  // entries of layer i: first_layer_entry_ + i*9, role order
};

Status verify_checksums(std::string_view file, std::span<const uint8_t> bytes);

}  // namespace axiom
