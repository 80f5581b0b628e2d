// SPDX-License-Identifier: MIT
#include "model/engine/workspace.h"

#include <algorithm>
#include <array>

namespace axiom {
namespace {

constexpr size_t kLanes = 16;  // floats in a row group

size_t quantized_bytes(size_t n_cols, size_t n_rows) {
    const size_t padded = round_up(n_cols, kBlockCols);
    // A pass of one row has a layout of its own.
    return std::max(quantized_acts_bytes(padded, n_rows), quantized_acts_bytes(padded, 1));
}

}  // namespace

void Workspace::plan(const ModelConfig& config, const EngineShape& shape, SlabPlan& plan) {
    AXIOM_CHECK(shape.n_batch >= 1 && shape.n_logit_rows >= 1);
    AXIOM_CHECK(shape.n_workers >= 1 && shape.n_workers <= Team::kMaxWorkers);
    shape_ = shape;
    n_embd_ = config.n_embd;
    n_vocab_ = config.n_vocab;
    size_t n_q = 0, n_kv = 0, n_ff = 0;
    kv_columns_ = 0;
    n_expert_ = n_ff_expert_ = 0;
    n_expert_used_ = config.n_expert_used;
    for (const LayerConfig& layer : config.layers) {
        n_q = std::max(n_q, layer.n_q());
        n_kv = std::max(n_kv, layer.n_kv());
        n_ff = std::max<size_t>(n_ff, layer.n_ff);
        kv_columns_ = std::max(kv_columns_, kv_columns(shape.kv_type, layer.head_dim));
        n_expert_ = std::max<size_t>(n_expert_, layer.n_expert);
        n_ff_expert_ = std::max<size_t>(n_ff_expert_, layer.n_ff_expert);
    }
    embd_stride = round_up(n_embd_, kLanes);
    q_stride = round_up(n_q, kLanes);
    kv_stride = round_up(n_kv, kLanes);
    ff_stride = round_up(n_ff, kLanes);
    vocab_stride = round_up(n_vocab_, kLanes);
    // An odd number of blocks: rows of scores that are read side by side are then in different sets
    // of a cache, where a power of two would have them all in one.
    scores_stride = (round_up(shape.n_ctx, kKvPositions) / kKvPositions | 1) * kKvPositions;
    rope_stride = round_up(2 * config.rope_pairs(), kLanes);
    router_stride = round_up(n_expert_, kLanes);
    expert_ff_stride = round_up(n_ff_expert_, kLanes);

    // Sizes stay below 2^63: the configuration's limits are those of model/format/format.h.
    const size_t widest = std::max({embd_stride, q_stride, kv_stride, ff_stride});
    const size_t widest_quantized = std::max({n_embd_, n_q, n_ff});
    const size_t scratch_floats = kMaxQueries * (scores_stride + kv_columns_) + embd_stride;
    plan.add_objects("activation", shape.n_batch * widest * sizeof(float), kNActivations,
                     activations_);
    plan.add_objects("quantized", quantized_bytes(widest_quantized, shape.n_batch), kNQuantized,
                     quantized_);
    plan.add_array("rope", config.rope.size() * shape.n_batch * 2 * rope_stride, &rope_array_);
    plan.add_objects("worker",
                     scratch_floats * sizeof(float) + quantized_bytes(n_embd_, 1) +
                         kv_scratch_bytes(shape.kv_type, kv_columns_),
                     shape.n_workers, workers_);
    plan.add_array("logits", shape.n_logit_rows * vocab_stride, &logits_array_);
    plan.add_objects("rows",
                     shape.n_batch * (sizeof(Row) + sizeof(RowGroup) + 2 * sizeof(uint32_t)), 1,
                     &row_tables_);
    if (n_expert_ == 0) return;
    const size_t n = n_places(shape.n_batch), n_turns = shape.n_batch * n_expert_used_;
    plan.add_array("experts",
                   shape.n_batch * router_stride + n * (2 * expert_ff_stride + embd_stride),
                   &expert_floats_);
    plan.add_array("expert_acts", quantized_bytes(n_embd_, n) + quantized_bytes(n_ff_expert_, n),
                   &expert_acts_);
    plan.add_objects("routes",
                     n_expert_ * (sizeof(Routes::Expert) + sizeof(ExpertWeights)) +
                         (n + n_turns) * sizeof(uint32_t) + n_turns * sizeof(float),
                     1, &route_tables_);
}

size_t Workspace::n_places(size_t n_rows) const {
    const size_t n_turns = n_rows * n_expert_used_;
    return n_turns + std::min(n_turns, n_expert_) * (QuantizedActs::kTileWidth - 1);
}

void Workspace::bind() {
    const std::array arrays = {&x, &normed, &q, &k, &v, &projected, &gate, &up};
    static_assert(arrays.size() == kNActivations);
    for (size_t i = 0; i < kNActivations; i++) *arrays[i] = static_cast<float*>(activations_[i]);
    const std::array acts = {&embd_acts, &attn_acts, &ff_acts};
    static_assert(acts.size() == kNQuantized);
    for (size_t i = 0; i < kNQuantized; i++) *acts[i] = quantized_[i];
    rope_ = rope_array_.data();
    logits = logits_array_.data();
    for (size_t i = 0; i < shape_.n_workers; i++) {
        Scratch& s = scratch[i];
        s.scores = static_cast<float*>(workers_[i]);
        s.gathered = s.scores + kMaxQueries * scores_stride;
        s.normed = s.gathered + kMaxQueries * kv_columns_;
        s.acts = s.normed + embd_stride;
        s.kv = static_cast<uint8_t*>(s.acts) + quantized_bytes(n_embd_, 1);
    }
    rows = static_cast<Row*>(row_tables_);
    groups = reinterpret_cast<RowGroup*>(rows + shape_.n_batch);
    order = reinterpret_cast<uint32_t*>(groups + shape_.n_batch);
    logit_rows = order + shape_.n_batch;
    if (n_expert_ != 0) bind_experts();
}

void Workspace::bind_experts() {
    const size_t n = n_places(shape_.n_batch), n_turns = shape_.n_batch * n_expert_used_;
    router = expert_floats_.data();
    expert_gate = router + shape_.n_batch * router_stride;
    expert_up = expert_gate + n * expert_ff_stride;
    expert_out = expert_up + n * expert_ff_stride;
    expert_in_acts = expert_acts_.data();
    expert_ff_acts = expert_acts_.data() + quantized_bytes(n_embd_, n);
    routes.weights = static_cast<ExpertWeights*>(route_tables_);
    routes.experts = reinterpret_cast<Routes::Expert*>(routes.weights + n_expert_);
    routes.row_of = reinterpret_cast<uint32_t*>(routes.experts + n_expert_);
    routes.place_of = routes.row_of + n;
    routes.weight_of = reinterpret_cast<float*>(routes.place_of + n_turns);
}

}  // namespace axiom
