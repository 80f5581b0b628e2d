// SPDX-License-Identifier: MIT
// The packed file's bytes -> validated, typed views. Copies nothing; every offset, size and count
// is checked before it is used, so that what stands behind a TensorView may be read without checks.
// Must not know: where the bytes came from, or when they were read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/quant.h"
#include "core/status.h"
#include "model/format/config.h"
#include "model/format/format.h"
#include "model/format/tensor_table.h"
#include "model/text/tokenizer.h"
#include "model/weights/layout.h"

namespace axiom {

using format::Role;

// A stored matrix [n_rows, n_cols] (core/quant.h gives the layout). data is 64-byte aligned;
// nullptr: the model has no such tensor.
struct TensorView {
    const void* data = nullptr;
    StoredType type = StoredType::f32;
    size_t n_rows = 0;
    size_t n_cols = 0;
    size_t bytes = 0;

    explicit operator bool() const { return data != nullptr; }
    const float* f32() const { return static_cast<const float*>(data); }
    const double* f64() const { return static_cast<const double*>(data); }
};

// The tensors of one extent, by role; shapes: model/format/tensor_table.h.
struct TensorSet {
    TensorView views[format::kNRoles];

    const TensorView& operator[](Role role) const { return views[uint32_t(role)]; }
    TensorView& operator[](Role role) { return views[uint32_t(role)]; }
};
using LayerWeights = TensorSet;  // of a layer, experts left out
struct ExpertWeights {
    TensorView gate, up, down;
};

struct Weights {
    std::string_view file;                   // name for messages
    const format::Config* source = nullptr;  // as stored
    ModelConfig config;
    FileLayout layout;
    std::span<const format::TensorEntry> entries;
    std::span<const uint8_t> tokenizer;  // extent bytes, for Tokenizer::open
    std::span<const uint8_t> chat;       // extent bytes, for ChatTemplate::open

    TensorView token_embd;   // [n_vocab, n_embd]
    TensorView rope_freqs;   // f64 [n_rope_tables, rope_pairs]; none where nothing is rotated
    TensorView output_norm;  // f32 [1, n_embd]
    TensorView output;       // [n_vocab, n_embd]; the embedding when tied
    TensorView output_bias;  // f32 [1, n_vocab], or none

    // Whether layers are in memory; otherwise only the frame is, and layers arrive somewhere else.
    bool has_layers() const { return bytes_.size() == layout.header.file_bytes; }
    // Views into these: with has_layers().
    LayerWeights layer(size_t i) const;
    ExpertWeights expert(size_t layer, size_t i) const;
    // Views into the bytes of that extent, 64-byte aligned, wherever they are.
    LayerWeights layer(size_t i, const uint8_t* extent) const;
    ExpertWeights expert(size_t layer, size_t i, const uint8_t* extent) const;
    // The entries of one extent, in the order of the file.
    std::span<const format::TensorEntry> entries_of(size_t i_extent) const;
    // Bytes of weights that decoding one token reads: every layer with as many experts as it uses,
    // output norm and output matrix.
    uint64_t bytes_per_token() const;
    uint64_t macs_per_token() const;  // multiply-adds in the matrices of one token, output included

    // `bytes`: a file of `file_bytes`, whole or its frame (FileLayout::frame_bytes()), 64-byte
    // aligned, outliving the Weights. Validates everything, for layers that are still to arrive, too,
    // except the pieces' checksums, which load_packed() or load_frame() did, or whoever gets a layer
    // will do. `root` as FileLayout::parse() takes it.
    static Result<Weights> open(std::string_view file, std::span<const uint8_t> bytes,
                                uint64_t file_bytes, RootCheck root = {});
    // The same of a whole file.
    static Result<Weights> open(std::string_view file, std::span<const uint8_t> bytes) {
        return open(file, bytes, bytes.size());
    }

    // Every id a tokenizer yields must be a row of the embedding.
    Status check_vocabulary(const Tokenizer& ids) const;

  private:
    // Where the extent begins, in `bytes`.
    const uint8_t* extent_data(size_t i_extent) const;
    TensorSet bind(size_t i_extent, const uint8_t* extent) const;
    // Sum over what one token reads of of_entry(entry).
    template <class F>
    uint64_t sum_per_token(F of_entry) const;

    std::span<const uint8_t> bytes_;
};

// Limits and consistency of a configuration and its layers as stored at `offset` of the file:
// after it every shape of model/format/tensor_table.h is small enough to multiply.
Status check_config(std::string_view file, uint64_t offset, const format::Config& config,
                    std::span<const format::LayerConfig> layers);

}  // namespace axiom
