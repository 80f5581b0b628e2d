// SPDX-License-Identifier: MIT
// The forward pass of the llama families (Touvron et al. 2023): RMSNorm, rotary positions (Su et
// al. 2021), grouped-query attention (Ainslie et al. 2023) over paged keys and values, a gated
// feed-forward block (Shazeer 2020) or a mixture of them (Jiang et al. 2024). What a layer has
// (biases, norms of queries and keys, norms after a block, windows, caps, experts) its
// configuration and its tensors say. One function of stage calls; every worker runs it over its own
// rows.
#pragma once

#include <span>

#include "core/kernels/choose.h"
#include "core/layer_loop.h"
#include "core/team.h"
#include "model/engine/pass.h"
#include "model/engine/sequence.h"
#include "model/engine/workspace.h"
#include "model/weights/weight_source.h"
#include "model/weights/weights.h"

namespace axiom {

// Where a pass leaves its times; the last, like the others, may be null.
struct ForwardTimes : PassTimes {
    uint64_t* attention_ticks = nullptr;  // [n_layers], of layer_ticks, up to the barrier after it
};

class Transformer {
  public:
    // All of them outlive the transformer. Sequences may come from any KvPool that was planned for
    // this configuration and shape.
    Transformer(const Weights& weights, WeightSource& source, const KernelChoice& choice,
                Workspace& workspace, Team& team, LayerLoop& loop)
        : weights_(weights),
          config_(weights.config),
          source_(source),
          kernels_(*choice.kernels),
          reading_(choice.reading),
          ws_(workspace),
          team_(team),
          loop_(loop) {}

    // Appends each row's token (< n_vocab) to its sequence: 1 <= rows <= n_batch, of any mix of
    // sequences, prompts and single tokens side by side; at most n_logit_rows of them want logits,
    // which then stand in the workspace, in the order of the rows. Bits do not depend on the number
    // of workers, on what else is in the batch, or on how a prompt is cut into batches (law 2).
    // Fails with no_memory when a context is full, with interrupted when the loop was stopped, and
    // with what the weight source says; all sequences are then as they were before.
    Status forward(std::span<const Row> rows, const ForwardTimes& times = {});

    // The same for the next tokens of one sequence; `logits`: of the last one.
    Status feed(Sequence& sequence, std::span<const TokenId> tokens, bool logits,
                const ForwardTimes& times = {});

    const Workspace& workspace() const { return ws_; }
    // How long passes have waited for weights, in all (WeightSource).
    uint64_t wait_ticks() const { return source_.wait_ticks(); }

  private:
    struct Rows {  // half open; whole groups
        size_t begin, end;
    };
    struct Product {  // y = w x
        const TensorView& w;
        float* y;  // [n_rows, stride]
        size_t stride;
    };
    // A layer as its stages see it.
    struct Layer {
        const Pass& pass;
        const Worker& worker;
        size_t index;
        const LayerConfig& config;
        const LayerWeights& weights;
        Status* status;  // what the layer itself found wrong; worker 0 writes it at a barrier
        uint64_t* attention_ticks;  // where worker 0 leaves what attention took; may be null

        bool owns_kv() const { return config.kv_layer == index; }
        size_t n_rows() const { return pass.rows.size(); }
        void meet() const {
            if (pass.at_barriers != nullptr) pass.at_barriers->before_barrier(worker);
            worker.barrier();
            leave_barrier();
        }
        void leave_barrier() const {
            if (pass.at_barriers != nullptr) pass.at_barriers->at_barrier(worker);
        }
    };
    // Rows whose queries one worker takes through attention together.
    struct Tile {
        const RowGroup& group;
        size_t head_kv;
        size_t first, n;  // queries of this KV head, numbered row by row
    };
    struct Flight;

    Status begin(std::span<const Row> rows, Pass* pass);
    Status reserve(std::span<const RowGroup> groups);

    void embed(const Pass& pass, const Worker& worker);
    void layer(const Layer& layer);
    void attention(const Layer& layer);
    void feed_forward(const Layer& layer);
    void experts(const Layer& layer);
    // projected = W_down (activation(W_gate in) * W_up in); then(rows) once rows of it are there.
    template <class F>
    void project_dense(const Layer& layer, const QuantizedActs& in, F then);
    void output(const Pass& pass, const Worker& worker);

    // The stages, each over this worker's share, or over the rows it has claimed. Activations are
    // [n_rows, stride] floats.
    QuantizedActs norm(const Layer& layer, const TensorView& weight);
    // The row's floats that norm() has quantized.
    const float* normed(const Layer& layer, size_t row) const;
    QuantizedActs norm_alone(const Worker& worker, const TensorView& weight, size_t row);
    void norm_row(const TensorView& weight, size_t row, float* normed, const QuantizedActs& out,
                  size_t out_row);
    void matmul(const Product& product, const QuantizedActs& x, size_t n_rows, Rows rows);
    void matmul(const Layer& layer, const Product& product, const QuantizedActs& x,
                const TensorView& bias, Rows rows);
    void norm_whole(const Layer& layer);
    void rotate_and_store(const Layer& layer);
    void attend(const Layer& layer);
    void attend_tile(const Layer& layer, const Tile& tile);
    template <class Kv>  // of kv_format.h
    void attend_tile_as(const Layer& layer, const Tile& tile);
    void activate(const LayerConfig& config, float* gate, const float* up, size_t n) const;
    void gate(const Layer& layer, Rows rows);
    // What a block adds to the residual stream: its projected rows at once, or all of them when
    // they are there to be normed.
    void add_rows(const Layer& layer, const TensorView& post_norm, Rows rows);
    void add_normed(const Layer& layer, const TensorView& post_norm);
    void score_experts(const Layer& layer);
    void route(const Layer& layer);
    void gather(const Layer& layer);
    void check_experts(const Layer& layer);
    void mix(const Layer& layer);
    void finish_logits(size_t n_rows, Rows rows);
    // do_rows(product, rows) until all rows of all products are taken, by this worker or another.
    template <class F>
    void claim_rows(const PassPolicy& policy, const Worker& worker,
                    std::span<const Product> products, F do_rows) {
        claim_rows(
            policy, worker, products.size(),
            [&](size_t i) -> const TensorView& { return products[i].w; },
            [&](size_t i, Rows rows) { do_rows(products[i], rows); });
    }
    // The same over one matrix of every expert in use.
    template <class F>
    void claim_expert_rows(const Layer& layer, TensorView ExpertWeights::*matrix, F do_rows) {
        const Routes& routes = ws_.routes;
        if (routes.n_experts == 0) return;
        claim_rows(
            layer.pass.policy, layer.worker, routes.n_experts,
            [&](size_t i) -> const TensorView& { return routes.weights[i].*matrix; }, do_rows);
    }
    // weights(i) of n products; do_rows(i, rows).
    template <class W, class F>
    static void claim_rows(const PassPolicy& policy, const Worker& worker, size_t n_products,
                           W weights, F do_rows);

    KvType kv_type() const { return ws_.shape().kv_type; }

    // Quantized activations in the layout of a pass.
    static QuantizedActs acts(void* memory, size_t n_cols, const PassPolicy& policy) {
        return {static_cast<uint8_t*>(memory), round_up(n_cols, kBlockCols), policy.acts_width};
    }
    QuantizedActs attn_acts(const Layer& layer) const {
        return acts(ws_.attn_acts, layer.config.n_q(), layer.pass.policy);
    }
    QuantizedActs ff_acts(const Layer& layer) const {
        return acts(ws_.ff_acts, layer.config.n_ff, layer.pass.policy);
    }
    // The part of [places, n_cols] activations that is one expert's.
    static QuantizedActs expert_acts(void* memory, size_t n_cols, const Routes::Expert& expert);

    const Weights& weights_;
    const ModelConfig& config_;
    WeightSource& source_;
    const Kernels& kernels_;
    const Reading reading_;
    Workspace& ws_;
    Team& team_;
    LayerLoop& loop_;
};

template <class W, class F>
void Transformer::claim_rows(const PassPolicy& policy, const Worker& worker, size_t n_products,
                             W weights, F do_rows) {
    const size_t unit = policy.claim_rows;
    const auto units_of = [&](size_t i) { return (weights(i).n_rows + unit - 1) / unit; };
    size_t n_units = 0;
    for (size_t i = 0; i < n_products; i++) n_units += units_of(i);
    size_t least = 1;
    if (policy.claim_bytes != 0) {
        const TensorView& first = weights(0);
        const size_t n_blocks = (first.n_cols + kBlockCols - 1) / kBlockCols;
        const size_t unit_bytes = group_bytes(first.type, n_blocks) * (unit / kGroupRows);
        AXIOM_CHECK(unit_bytes != 0);
        const auto [begin, end] = worker.split(n_units);
        least = (end - begin) * unit_bytes < policy.share_bytes ? end - begin
                                                                : policy.claim_bytes / unit_bytes;
        if (least == 0) least = 1;
    }
    for (;;) {
        const auto [begin, end] = worker.claim(n_units, least);
        if (begin == end) return;
        size_t units_before = 0;
        for (size_t i = 0; i < n_products && units_before < end; units_before += units_of(i), i++) {
            const size_t n_padded = round_up(weights(i).n_rows, kGroupRows);
            const auto row = [&](size_t u) {
                const size_t r = u <= units_before ? 0 : (u - units_before) * unit;
                return r < n_padded ? r : n_padded;
            };
            if (row(begin) < row(end)) do_rows(i, Rows{row(begin), row(end)});
        }
    }
}

template <class F>
void Transformer::project_dense(const Layer& layer, const QuantizedActs& in, F then) {
    const LayerWeights& w = layer.weights;
    const Product gates[] = {{w[Role::ffn_gate], ws_.gate, ws_.ff_stride}};
    claim_rows(layer.pass.policy, layer.worker, gates, [&](const Product& p, Rows rows) {
        matmul(layer, p, in, w[Role::ffn_gate_bias], rows);
        matmul(layer, {w[Role::ffn_up], ws_.up, ws_.ff_stride}, in, w[Role::ffn_up_bias], rows);
        gate(layer, rows);
    });
    layer.meet();
    const Product down[] = {{w[Role::ffn_down], ws_.projected, ws_.embd_stride}};
    claim_rows(layer.pass.policy, layer.worker, down, [&](const Product& p, Rows rows) {
        matmul(layer, p, ff_acts(layer), w[Role::ffn_down_bias], rows);
        then(rows);
    });
}

}  // namespace axiom
