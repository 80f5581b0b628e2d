// SPDX-License-Identifier: MIT
// The forward pass of the llama family (Touvron et al. 2023): RMSNorm, rotary positions (Su et al.
// 2021), grouped-query attention (Ainslie et al. 2023) over paged keys and values, SwiGLU (Shazeer
// 2020). One function of stage calls; every worker runs it over its own rows.
#pragma once

#include <span>

#include "core/kernels.h"
#include "core/layer_loop.h"
#include "core/team.h"
#include "model/engine/pass.h"
#include "model/engine/sequence.h"
#include "model/engine/workspace.h"
#include "model/weights/weight_source.h"
#include "model/weights/weights.h"

namespace axiom {

class Transformer {
  public:
    // All of them outlive the transformer. Sequences may come from any KvPool that was planned for
    // this configuration and shape.
    Transformer(const Weights& weights, WeightSource& source, const Kernels& kernels,
                Workspace& workspace, Team& team, LayerLoop& loop)
        : weights_(weights),
          config_(weights.config),
          source_(source),
          kernels_(kernels),
          ws_(workspace),
          team_(team),
          loop_(loop) {}

    // Appends each row's token (< n_vocab) to its sequence: 1 <= rows <= n_batch, of any mix of
    // sequences, prompts and single tokens side by side; at most n_logit_rows of them want logits,
    // which then stand in the workspace, in the order of the rows. Bits do not depend on the number
    // of workers, on what else is in the batch, or on how a prompt is cut into batches (law 2).
    // Fails with no_memory when a context is full, with interrupted when the loop was stopped, and
    // with what the weight source says; all sequences are then as they were before.
    Status forward(std::span<const Row> rows, const PassTimes& times = {});

    // The same for the next tokens of one sequence; `logits`: of the last one.
    Status feed(Sequence& sequence, std::span<const TokenId> tokens, bool logits,
                const PassTimes& times = {});

    const Workspace& workspace() const { return ws_; }

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
        const LayerConfig config;
        const LayerWeights& weights;

        bool owns_kv() const { return config.kv_of == index; }
        void meet() const { worker.barrier(pass.poll, pass.poll_context); }
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
    void output(const Pass& pass, const Worker& worker);

    // The stages, each over this worker's share, or over the rows it has claimed. Activations are
    // [n_rows, stride] floats.
    QuantizedActs norm(const Layer& layer, const TensorView& weight);
    QuantizedActs norm_alone(const Worker& worker, const TensorView& weight, size_t row);
    void norm_row(const TensorView& weight, size_t row, float* normed, const QuantizedActs& out,
                  size_t out_row);
    void matmul(const Product& product, const QuantizedActs& x, size_t n_rows, Rows rows);
    void rotate_and_store(const Layer& layer);
    void attend(const Layer& layer);
    void attend_tile(const Layer& layer, const Tile& tile);
    void swiglu(const Layer& layer, Rows rows);
    void add_residual(const Pass& pass, Rows rows);
    // do_rows(product, rows) until all rows of all products are taken, by this worker or another.
    template <class F>
    void claim_rows(const PassPolicy& policy, const Worker& worker,
                    std::span<const Product> products, F do_rows);

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

    const Weights& weights_;
    const ModelConfig& config_;
    WeightSource& source_;
    const Kernels& kernels_;
    Workspace& ws_;
    Team& team_;
    LayerLoop& loop_;
};

}  // namespace axiom
