// SPDX-License-Identifier: MIT
// What a forward pass works in: activations, quantized activations, the paged KV cache, logits.
// All of it comes from slab classes derived from the model's shapes; nothing else allocates (law
// 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/kernels.h"
#include "core/slab.h"
#include "core/status.h"
#include "core/team.h"
#include "model/format/config.h"

namespace axiom {

// Shapes that decide every slab class.
struct StateShape {
    ModelConfig config;
    const LayerConfig& layer() const { return config.layer(0); }  // all layers are alike
    size_t n_ctx = 0;         // positions a sequence may have
    size_t n_batch = 0;       // tokens per pass at most
    size_t n_workers = 1;     // at most kMaxWorkers
    size_t n_logit_rows = 1;  // 1, or n_batch when every position's logits are wanted

    static constexpr size_t kMaxWorkers = Team::kMaxWorkers;
    static constexpr size_t kMaxLogitRows = 512;
    size_t kv_blocks_per_layer() const { return (n_ctx + kKvPositions - 1) / kKvPositions; }
    // One block: K as f16 [n_head_kv, head_dim_padded, kKvPositions], then V as f16
    // [n_head_kv, kKvPositions, head_dim_padded].
    size_t kv_block_bytes() const;
    // Everything State::create will carve, with slack for alignment; false on overflow.
    [[nodiscard]] bool total_bytes(uint64_t* out) const;
    // The classes State::create will create, in order.
    static constexpr size_t kNClasses = 6;
    void slab_shapes(Slab::Shape (&out)[kNClasses]) const;
};

class State {
  public:
    // Creates the classes in `slab` and takes every buffer except KV blocks, which a sequence takes
    // as it grows. no_memory names the class and both sizes.
    static Result<State> create(Slab& slab, const StateShape& shape);

    StateShape shape;

    float* x = nullptr;          // [n_batch, embd_stride]  the residual stream
    float* normed = nullptr;     // [n_batch, embd_stride]
    float* q = nullptr;          // [n_batch, q_stride]  queries, then what attention gathers
    float* k = nullptr;          // [n_batch, kv_stride]
    float* v = nullptr;          // [n_batch, kv_stride]
    float* projected = nullptr;  // [n_batch, embd_stride]  output of attn_output and ffn_down
    float* gate = nullptr;       // [n_batch, ff_stride]
    float* up = nullptr;         // [n_batch, ff_stride]
    float* rope_cos = nullptr;   // [n_batch, rope_dim], as Kernels::rope wants them
    float* rope_sin = nullptr;   // [n_batch, rope_dim]
    // What one worker uses alone.
    struct Own {
        float* scores = nullptr;    // [kMaxQueries, scores_stride]
        float* gathered = nullptr;  // [kMaxQueries, head_dim_padded]  what attention gathers
        float* normed = nullptr;    // [embd_stride]
        QuantizedActs acts{};       // [1, n_embd]
    };
    Own own[StateShape::kMaxWorkers];
    float* logits[StateShape::kMaxLogitRows] = {};  // each [vocab_stride]
    QuantizedActs embd_acts{};                      // [n_batch, n_embd]
    QuantizedActs attn_acts{};                      // [n_batch, n_head*head_dim]
    QuantizedActs ff_acts{};                        // [n_batch, n_ff]

    // Strides in floats: rows padded to 16 so that a kernel may write whole row groups.
    size_t embd_stride = 0, q_stride = 0, kv_stride = 0, ff_stride = 0, vocab_stride = 0;
    size_t scores_stride = 0;

    // KV blocks of a layer in position order; entries past the sequence are nullptr.
    uint16_t** kv_table = nullptr;  // [n_layer, kv_blocks_per_layer]
    size_t n_past = 0;              // positions in the cache

    // Takes the blocks that positions [n_past, n_past + n_tokens) need. no_memory when the class is
    // empty.
    Status grow(size_t n_tokens);
    // Gives every block back: an empty sequence.
    void reset();

    // [head_dim_padded, kKvPositions] and [kKvPositions, head_dim_padded].
    uint16_t* k_block(size_t layer, size_t block, size_t head_kv) const;
    uint16_t* v_block(size_t layer, size_t block, size_t head_kv) const;

  private:
    Slab* slab_ = nullptr;
    Slab::ClassId kv_class_ = 0;
};

}  // namespace axiom
