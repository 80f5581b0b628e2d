// SPDX-License-Identifier: MIT
// What one forward pass works in, whatever sequences its rows are of: activations and logits of a
// whole batch, and each worker's scratch. Nothing in it outlives the pass but the logits, which
// stand until the next one.
// Must not know: sequences, or what the arrays are used for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/kernels.h"
#include "core/slab_plan.h"
#include "core/team.h"
#include "model/engine/engine_shape.h"
#include "model/engine/kv_format.h"
#include "model/engine/pass.h"
#include "model/format/config.h"
#include "model/weights/weights.h"

namespace axiom {

// Where the rows of a batch go in a layer of experts. An assignment is one row's turn at one
// expert; those of an expert are neighbours, so that it sees them as a batch of its own. Rank 0
// writes it at a barrier.
struct Routes {
    struct Expert {
        uint32_t id;
        uint32_t first, n;  // its places: [first, first + n) of places
    };
    size_t n_experts = 0;              // that any row uses
    Expert* experts = nullptr;         // [n_experts], ids ascending
    ExpertWeights* weights = nullptr;  // of each of them
    uint32_t* row_of = nullptr;        // [places] the row at a place
    uint32_t* place_of = nullptr;  // [n_batch, n_expert_used] of a row's turns, best expert first
    float* weight_of = nullptr;    // [n_batch, n_expert_used]
};

// What one worker uses alone.
struct Scratch {
    float* scores = nullptr;    // [kMaxQueries, scores_stride]  of attention, by position
    float* gathered = nullptr;  // [kMaxQueries, kv_columns]  what attention gathers
    float* normed = nullptr;    // [embd_stride]
    void* acts = nullptr;       // [1, n_embd] quantized
    void* kv = nullptr;         // what attention has of the cache (kv_format.h)
};

class Workspace {
  public:
    Workspace() = default;
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    // Adds the classes to a plan; the workspace stays where it is.
    void plan(const ModelConfig& config, const EngineShape& shape, SlabPlan& plan);
    // After SlabPlan::create().
    void bind();

    const EngineShape& shape() const { return shape_; }
    // Row i of the logits of the last pass: of the i-th row of its batch that wanted them.
    std::span<const float> logits_row(size_t i) const {
        return {logits + i * vocab_stride, n_vocab_};
    }

    // Strides in floats: rows padded to 16 so that a kernel may write whole row groups. Where
    // layers differ the widest decides.
    size_t embd_stride = 0, q_stride = 0, kv_stride = 0, ff_stride = 0, vocab_stride = 0;
    size_t scores_stride = 0, rope_stride = 0;

    float* x = nullptr;          // [n_batch, embd_stride]  the residual stream
    float* normed = nullptr;     // [n_batch, embd_stride]
    float* q = nullptr;          // [n_batch, q_stride]  queries, then what attention gathers
    float* k = nullptr;          // [n_batch, kv_stride]
    float* v = nullptr;          // [n_batch, kv_stride]
    float* projected = nullptr;  // [n_batch, embd_stride]  output of attn_output and ffn_down
    float* gate = nullptr;       // [n_batch, ff_stride]
    float* up = nullptr;         // [n_batch, ff_stride]
    float* logits = nullptr;     // [n_logit_rows, vocab_stride]
    // Quantized activations, [n_batch, n_embd], [n_batch, n_q] and [n_batch, n_ff]; a pass decides
    // their layout.
    void* embd_acts = nullptr;
    void* attn_acts = nullptr;
    void* ff_acts = nullptr;
    // Layers of experts. Places are a batch's assignments by expert; an expert's first place is a
    // multiple of QuantizedActs::kTileWidth, so that its rows have a layout of their own.
    Routes routes;
    float* router = nullptr;         // [n_batch, router_stride] logits, then probabilities
    float* expert_gate = nullptr;    // [n_places, expert_ff_stride]
    float* expert_up = nullptr;      // [n_places, expert_ff_stride]
    float* expert_out = nullptr;     // [n_places, embd_stride]
    void* expert_in_acts = nullptr;  // [n_places, n_embd]
    void* expert_ff_acts = nullptr;  // [n_places, n_ff_expert]
    size_t router_stride = 0, expert_ff_stride = 0;
    // Rotations of the batch's positions, as Kernels::rope wants them: cosines, then sines.
    float* cosines(uint32_t table, size_t row) const {
        return rope_ + (table * shape_.n_batch + row) * 2 * rope_stride;
    }
    float* sines(uint32_t table, size_t row) const { return cosines(table, row) + rope_stride; }

    Scratch scratch[Team::kMaxWorkers];

    Row* rows = nullptr;  // [n_batch], for whoever puts a batch together
    // What a Pass views: [n_batch] each.
    RowGroup* groups = nullptr;
    uint32_t* order = nullptr;
    uint32_t* logit_rows = nullptr;

  private:
    // One object holds the widest [n_batch, ...] array.
    static constexpr size_t kNActivations = 8;
    static constexpr size_t kNQuantized = 3;

    EngineShape shape_;
    void bind_experts();
    // Places of a batch of n rows at most, each expert's rounded up to a tile.
    size_t n_places(size_t n_rows) const;

    size_t n_embd_ = 0, n_vocab_ = 0, kv_columns_ = 0;
    size_t n_expert_ = 0, n_expert_used_ = 0, n_ff_expert_ = 0;
    void* activations_[kNActivations] = {};
    void* quantized_[kNQuantized] = {};
    void* workers_[Team::kMaxWorkers] = {};
    void* row_tables_ = nullptr;
    std::span<float> logits_array_, rope_array_, expert_floats_;
    std::span<uint8_t> expert_acts_;
    void* route_tables_ = nullptr;
    float* rope_ = nullptr;
};

}  // namespace axiom
