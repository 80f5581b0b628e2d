// SPDX-License-Identifier: MIT
// The forward pass of the llama family (Touvron et al. 2023): RMSNorm, rotary positions (Su et al.
// 2021), grouped-query attention (Ainslie et al. 2023) over a paged KV cache, SwiGLU (Shazeer
// 2020). One function of stage calls; every worker runs it over its own rows.
#pragma once

#include <span>

#include "core/kernels.h"
#include "core/layer_loop.h"
#include "core/team.h"
#include "model/engine/state.h"
#include "model/text/tokenizer.h"
#include "model/weights/weights.h"

namespace axiom {

enum class Logits { none, last, all };

class Transformer {
  public:
    Transformer(const Weights& weights, const Kernels& kernels, State& state)
        : weights_(weights), config_(weights.config), layer_(config_.layer(0)),
          n_rot_(2 * config_.rope_pairs()), kernels_(kernels), s_(state) {}

    // Appends tokens (1 <= n <= n_batch, each < n_vocab) to the sequence: their keys and values
    // enter the cache, and the wanted logits stand in state.logits: row 0 for `last`, rows 0..n-1
    // for `all`. Fails with no_memory when the context is full and with interrupted when the loop
    // was stopped; the sequence is then no longer usable. Bits do not depend on the number of
    // workers or on how a prompt is cut into batches (law 2).
    Status forward(Team& team, LayerLoop& loop, std::span<const TokenId> tokens, Logits wanted,
                   const PassTimes& times);

  private:
    struct Rows {  // half open; whole groups
        size_t begin, end;
    };
    struct Product {  // y = w x
        const TensorView& w;
        float* y;  // [n_tokens, stride]
        size_t stride;
    };

    void embed(const Worker& worker);
    void layer(const Worker& worker, size_t i_layer);
    void output(const Worker& worker);

    // The stages, each over this worker's share, or over the rows it has claimed. Activations are
    // [n_tokens, stride] floats.
    QuantizedActs norm(const Worker& worker, const TensorView& weight);
    QuantizedActs norm_one(const Worker& worker, const TensorView& weight, const float* x);
    void matmul(const Product& product, const QuantizedActs& x, Rows rows);
    void rotate_and_store(const Worker& worker, size_t i_layer);
    void attend(const Worker& worker, size_t i_layer);
    void attend_tile(const Worker& worker, size_t i_layer, size_t head_kv, size_t first, size_t n);
    void swiglu(Rows rows);
    void add_residual(Rows rows);
    // do_rows(product, rows) until all rows of all products are taken, by this worker or another.
    template <class F>
    void claim_rows(const Worker& worker, std::span<const Product> products, F do_rows);

    const Weights& weights_;
    const ModelConfig& config_;
    const LayerConfig& layer_;  // all layers are alike
    size_t n_rot_;
    const Kernels& kernels_;
    State& s_;
    std::span<const TokenId> tokens_;
    Logits wanted_ = Logits::none;
    QuantizedActs attn_acts_, ff_acts_;  // the state's, in the layout for this pass
};

}  // namespace axiom
