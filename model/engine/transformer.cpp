// SPDX-License-Identifier: MIT
// Attention is in attention.cpp, experts in experts.cpp.
#include "model/engine/transformer.h"

#include <algorithm>
#include <cstring>

#include "core/clock.h"
#include "core/mathf.h"

namespace axiom {

using enum format::Role;

// One pass under way, between the layer loop and the stages.
struct Transformer::Flight {
    Transformer& t;
    const Pass& pass;
    uint64_t* attention_ticks;
    const LayerWeights* weights = nullptr;  // of the current layer
    Status status;                          // what it found wrong

    static Flight& of(void* context) { return *static_cast<Flight*>(context); }
    static void embed(const Worker& w, void* context) { of(context).t.embed(of(context).pass, w); }
    static void output(const Worker& w, void* context) {
        of(context).t.output(of(context).pass, w);
    }
    static Status acquire(void* context, size_t i) {
        return of(context).t.source_.acquire(i, &of(context).weights);
    }
    static Status release(void* context, size_t i) {
        of(context).t.source_.release(i);
        return of(context).status;
    }
    static bool to_check(void* context) { return of(context).t.source_.to_check(); }
    static void check(void* context, const Worker& worker) { of(context).t.source_.check(worker); }
    static Status checked(void* context) { return of(context).t.source_.checked(); }
    static void layer(void* context, const Worker& worker, size_t i) {
        Flight& f = of(context);
        const bool is_timed = worker.rank == 0 && f.attention_ticks != nullptr;
        f.t.layer({f.pass, worker, i, f.t.config_.layer(i), *f.weights, &f.status,
                   is_timed ? f.attention_ticks + i : nullptr});
    }
    LayerJob layers() {
        return {.n_layers = t.config_.n_layer,
                .context = this,
                .layer = layer,
                .before = acquire,
                .after = release,
                .to_check = t.source_.works() ? to_check : nullptr,
                .check = check,
                .checked = checked};
    }
};

Status Transformer::forward(std::span<const Row> rows, const ForwardTimes& times) {
    Pass planned;
    if (Status s = begin(rows, &planned); !s.ok()) return s;
    const Pass& pass = planned;
    Flight flight{*this, pass, times.attention_ticks, nullptr, {}};

    team_.run(Flight::embed, &flight);
    const Status status = loop_.run(team_, flight.layers(), times);
    if (status.ok() && !pass.logit_rows.empty()) team_.run(Flight::output, &flight);

    for (const RowGroup& group : pass.groups) {
        if (status.ok()) {
            group.sequence->advance(group.n_rows);
        } else {
            group.sequence->truncate(group.sequence->length());
        }
    }
    return status;
}

Status Transformer::feed(Sequence& sequence, std::span<const TokenId> tokens, bool logits,
                         const ForwardTimes& times) {
    AXIOM_CHECK(tokens.size() <= ws_.shape().n_batch);
    for (size_t i = 0; i < tokens.size(); i++) {
        ws_.rows[i] = {&sequence, sequence.length() + i, tokens[i],
                       logits && i + 1 == tokens.size()};
    }
    return forward({ws_.rows, tokens.size()}, times);
}

// Sorts the rows by sequence and chooses how they are worked on.
Status Transformer::begin(std::span<const Row> rows, Pass* pass) {
    AXIOM_CHECK(!rows.empty() && rows.size() <= ws_.shape().n_batch);
    size_t n_groups = 0, n_logits = 0, last = 0;
    const auto group_of = [&](const Row& row) {  // neighbours mostly are of one sequence
        if (n_groups != 0 && ws_.groups[last].sequence == row.sequence) return last;
        size_t g = 0;
        while (g < n_groups && ws_.groups[g].sequence != row.sequence) g++;
        return g;
    };
    for (const Row& row : rows) {
        AXIOM_CHECK(row.sequence != nullptr && row.token < config_.n_vocab);
        last = group_of(row);
        if (last == n_groups) ws_.groups[n_groups++] = {row.sequence, 0, 0};
        AXIOM_CHECK(row.position == row.sequence->length() + ws_.groups[last].n_rows);
        ws_.groups[last].n_rows++;
        n_logits += row.wants_logits;
    }
    AXIOM_CHECK(n_logits <= ws_.shape().n_logit_rows);
    const std::span<RowGroup> groups(ws_.groups, n_groups);
    if (Status s = reserve(groups); !s.ok()) return s;

    uint32_t n_before = 0;
    for (RowGroup& group : groups) {
        group.first = n_before;
        n_before += group.n_rows;
        group.n_rows = 0;
    }
    n_logits = last = 0;
    for (size_t i = 0; i < rows.size(); i++) {
        last = group_of(rows[i]);
        ws_.order[groups[last].first + groups[last].n_rows++] = uint32_t(i);
        if (rows[i].wants_logits) ws_.logit_rows[n_logits++] = uint32_t(i);
    }
    *pass = {.rows = rows,
             .order = {ws_.order, rows.size()},
             .groups = groups,
             .logit_rows = {ws_.logit_rows, n_logits},
             .policy = PassPolicy::of(rows.size()),
             .output_policy = PassPolicy::of(n_logits)};
    if (source_.works()) pass->at_barriers = &source_;
    return {};
}

// All sequences or none.
Status Transformer::reserve(std::span<const RowGroup> groups) {
    for (const RowGroup& group : groups) {
        const Status status = group.sequence->reserve(group.n_rows);
        if (status.ok()) continue;
        for (const RowGroup& g : groups) g.sequence->truncate(g.sequence->length());
        return status;
    }
    return {};
}

void Transformer::layer(const Layer& layer) {
    layer.leave_barrier();  // the boundary's: what follows is asked for before this layer starts
    const uint64_t begin = layer.attention_ticks != nullptr ? ticks_now() : 0;
    attention(layer);
    layer.meet();
    if (layer.attention_ticks != nullptr) *layer.attention_ticks = ticks_now() - begin;
    if (layer.config.n_expert != 0) {
        experts(layer);
    } else {
        feed_forward(layer);
    }
}

// x += W_o attention(W_q x', W_k x', W_v x'), x' = norm(x).
void Transformer::attention(const Layer& layer) {
    const LayerWeights& w = layer.weights;
    const QuantizedActs in = norm(layer, w[attn_norm]);
    const Product qkv[] = {{w[attn_q], ws_.q, ws_.q_stride},
                           {w[attn_k], ws_.k, ws_.kv_stride},
                           {w[attn_v], ws_.v, ws_.kv_stride}};
    const TensorView* const bias[] = {&w[attn_q_bias], &w[attn_k_bias], &w[attn_v_bias]};
    claim_rows(layer.pass.policy, layer.worker, std::span(qkv).first(layer.owns_kv() ? 3 : 1),
               [&](const Product& p, Rows rows) { matmul(layer, p, in, *bias[&p - qkv], rows); });
    layer.meet();
    if (layer.config.norm_whole_qk != 0) norm_whole(layer);
    rotate_and_store(layer);
    layer.meet();
    attend(layer);
    layer.meet();
    const Product projected[] = {{w[attn_output], ws_.projected, ws_.embd_stride}};
    claim_rows(layer.pass.policy, layer.worker, projected, [&](const Product& p, Rows rows) {
        matmul(layer, p, attn_acts(layer), w[attn_output_bias], rows);
        add_rows(layer, w[attn_post_norm], rows);
    });
    add_normed(layer, w[attn_post_norm]);
}

// x += W_down (activation(W_gate x') * W_up x'), x' = norm(x).
void Transformer::feed_forward(const Layer& layer) {
    const LayerWeights& w = layer.weights;
    project_dense(layer, norm(layer, w[ffn_norm]),
                  [&](Rows rows) { add_rows(layer, w[ffn_post_norm], rows); });
    add_normed(layer, w[ffn_post_norm]);
}

// x[t] = row of the embedding; and the rotations of these positions, shared by all layers and
// heads that use a table.
void Transformer::embed(const Pass& pass, const Worker& worker) {
    const EngineShape& shape = ws_.shape();
    const size_t n_ctx = shape.n_ctx_asked != 0 ? shape.n_ctx_asked : shape.n_ctx;
    const auto [begin, end] = worker.split(pass.rows.size());
    for (size_t t = begin; t < end; t++) {
        float* const x = ws_.x + t * ws_.embd_stride;
        dequantize_row(weights_.token_embd.type, weights_.token_embd.data, config_.n_embd,
                       pass.rows[t].token, x);
        if (config_.embedding_scale != 1)
            kernels_.scale(x, config_.embedding_scale, config_.n_embd);
        const double position = double(pass.rows[t].position);
        for (uint32_t i_table = 0; i_table < config_.rope.size(); i_table++) {
            const size_t chosen = config_.rope_table(i_table, n_ctx);
            const format::RopeTable& table = config_.rope[chosen];
            const double* const freqs = weights_.rope_freqs.f64() + chosen * config_.rope_pairs();
            float* const cosines = ws_.cosines(i_table, t);
            float* const sines = ws_.sines(i_table, t);
            for (size_t i = 0; i < table.n_dims; i += 2) {
                double sine, cosine;
                sincos_f64(position * freqs[i / 2], &sine, &cosine);
                cosines[i] = cosines[i + 1] = float(cosine) * table.magnitude;
                sines[i + 1] = float(sine) * table.magnitude;
                sines[i] = -sines[i + 1];
            }
        }
    }
}

// RMSNorm of x, quantized.
QuantizedActs Transformer::norm(const Layer& layer, const TensorView& weight) {
    const PassPolicy& policy = layer.pass.policy;
    if (!policy.shares_norm) return norm_alone(layer.worker, weight, 0);
    const QuantizedActs out = acts(ws_.embd_acts, config_.n_embd, policy);
    const auto [begin, end] = layer.worker.split(layer.pass.rows.size());
    for (size_t t = begin; t < end; t++)
        norm_row(weight, t, ws_.normed + t * ws_.embd_stride, out, t);
    layer.meet();
    return out;
}

const float* Transformer::normed(const Layer& layer, size_t row) const {
    return layer.pass.policy.shares_norm ? ws_.normed + row * ws_.embd_stride
                                         : ws_.scratch[layer.worker.rank].normed;
}

// One row, for this worker only.
QuantizedActs Transformer::norm_alone(const Worker& worker, const TensorView& weight, size_t row) {
    const Scratch& scratch = ws_.scratch[worker.rank];
    const QuantizedActs out = acts(scratch.acts, config_.n_embd, kOneRow);
    norm_row(weight, row, scratch.normed, out, 0);
    return out;
}

void Transformer::norm_row(const TensorView& weight, size_t row, float* normed,
                           const QuantizedActs& out, size_t out_row) {
    const float* const x = ws_.x + row * ws_.embd_stride;
    if (weight) {
        kernels_.rms_norm(x, weight.f32(), config_.n_embd, config_.rms_eps, normed);
    } else {
        memcpy(normed, x, config_.n_embd * sizeof(float));
    }
    kernels_.quantize(normed, config_.n_embd, out, out_row, 0, out.n_cols / kBlockCols);
}

void Transformer::matmul(const Product& product, const QuantizedActs& x, size_t n_rows, Rows rows) {
    matmul_for(kernels_, product.w.type, reading_)(product.w.data, x, n_rows, product.y,
                                                   product.stride, rows.begin, rows.end);
}

// y = w x + bias.
void Transformer::matmul(const Layer& layer, const Product& product, const QuantizedActs& x,
                         const TensorView& bias, Rows rows) {
    matmul(product, x, layer.n_rows(), rows);
    if (!bias) return;
    const size_t end = std::min(rows.end, bias.n_cols);
    for (size_t t = 0; t < layer.n_rows(); t++) {
        kernels_.add(product.y + t * product.stride + rows.begin, bias.f32() + rows.begin,
                     end - rows.begin);
    }
}

void Transformer::activate(const LayerConfig& config, float* gate, const float* up,
                           size_t n) const {
    if (config.activation == format::Activation::silu) {
        kernels_.silu_mul(gate, up, n);
    } else {
        kernels_.gelu_mul(gate, up, n);
    }
}

// activation(gate) * up, quantized.
void Transformer::gate(const Layer& layer, Rows rows) {
    const size_t n_ff = layer.config.n_ff;
    for (size_t t = 0; t < layer.n_rows(); t++) {
        float* const gate = ws_.gate + t * ws_.ff_stride;
        activate(layer.config, gate + rows.begin, ws_.up + t * ws_.ff_stride + rows.begin,
                 rows.end - rows.begin);
        kernels_.quantize(gate, n_ff, ff_acts(layer), t, rows.begin / kBlockCols,
                          (rows.end + kBlockCols - 1) / kBlockCols);
    }
}

// x += projected, where nothing has to be done to whole rows first.
void Transformer::add_rows(const Layer& layer, const TensorView& post_norm, Rows rows) {
    if (post_norm) return;
    for (size_t t = 0; t < layer.n_rows(); t++) {
        const size_t at = t * ws_.embd_stride + rows.begin;
        if (config_.residual_scale == 1) {
            kernels_.add(ws_.x + at, ws_.projected + at, rows.end - rows.begin);
        } else {
            kernels_.add_scaled(ws_.x + at, ws_.projected + at, config_.residual_scale,
                                rows.end - rows.begin);
        }
    }
}

// x += norm(projected).
void Transformer::add_normed(const Layer& layer, const TensorView& post_norm) {
    if (!post_norm) return;
    layer.meet();
    const auto [begin, end] = layer.worker.split(layer.n_rows());
    for (size_t t = begin; t < end; t++) {
        float* const projected = ws_.projected + t * ws_.embd_stride;
        kernels_.rms_norm(projected, post_norm.f32(), config_.n_embd, config_.rms_eps, projected);
        kernels_.add_scaled(ws_.x + t * ws_.embd_stride, projected, config_.residual_scale,
                            config_.n_embd);
    }
}

// logits[i] = output matrix times the norm of the i-th row that wants them.
void Transformer::output(const Pass& pass, const Worker& worker) {
    const size_t n_rows = pass.logit_rows.size();
    QuantizedActs x;
    if (pass.output_policy.shares_norm) {
        x = acts(ws_.embd_acts, config_.n_embd, pass.output_policy);
        const auto [begin, end] = worker.split(n_rows);
        for (size_t i = begin; i < end; i++)
            norm_row(weights_.output_norm, pass.logit_rows[i], ws_.normed + i * ws_.embd_stride, x,
                     i);
        worker.barrier();
    } else {
        x = norm_alone(worker, weights_.output_norm, pass.logit_rows[0]);
    }
    const Product logits[] = {{weights_.output, ws_.logits, ws_.vocab_stride}};
    claim_rows(pass.output_policy, worker, logits, [&](const Product& p, Rows rows) {
        matmul(p, x, n_rows, rows);
        finish_logits(n_rows, rows);
    });
}

void Transformer::finish_logits(size_t n_rows, Rows rows) {
    for (size_t i = 0; i < n_rows; i++) {
        float* const logits = ws_.logits + i * ws_.vocab_stride + rows.begin;
        const size_t n = std::min(rows.end, config_.n_vocab) - rows.begin;
        if (weights_.output_bias) kernels_.add(logits, weights_.output_bias.f32() + rows.begin, n);
        if (config_.logit_scale != 1) kernels_.scale(logits, config_.logit_scale, n);
        if (config_.final_softcap != 0) kernels_.softcap(logits, n, config_.final_softcap);
    }
}

}  // namespace axiom
