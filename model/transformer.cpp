// SPDX-License-Identifier: MIT
#include "model/transformer.h"

#include <cstring>

#include "core/mathf.h"

namespace axiom {

Status Transformer::forward(Team& team, LayerLoop& loop, std::span<const TokenId> tokens,
                            Logits wanted, const PassTimes& times) {
    AXIOM_CHECK(!tokens.empty() && tokens.size() <= s_.shape.n_batch);
    AXIOM_CHECK(wanted != Logits::all || tokens.size() <= s_.shape.n_logit_rows);
    if (Status s = s_.grow(tokens.size()); !s.ok()) return s;
    tokens_ = tokens;
    wanted_ = wanted;

    team.run([](const Worker& w, void* t) { static_cast<Transformer*>(t)->embed(w); }, this);
    const bool completed = loop.run(
        team, config_.n_layer,
        [](void* t, const Worker& w, size_t i) { static_cast<Transformer*>(t)->layer(w, i); }, this,
        times);
    if (!completed) return error(Code::interrupted, "interrupted");
    if (wanted != Logits::none) {
        team.run([](const Worker& w, void* t) { static_cast<Transformer*>(t)->output(w); }, this);
    }
    s_.n_past += tokens.size();
    return {};
}

void Transformer::layer(const Worker& worker, size_t i_layer) {
    const LayerWeights w = weights_.layer(i_layer);

    norm_quantize(worker, w.attn_norm);
    worker.barrier();
    matmul(worker, w.attn_q, s_.embd_acts, s_.q, s_.q_stride);
    matmul(worker, w.attn_k, s_.embd_acts, s_.k, s_.kv_stride);
    matmul(worker, w.attn_v, s_.embd_acts, s_.v, s_.kv_stride);
    worker.barrier();
    rotate_and_store(worker, i_layer);
    worker.barrier();
    attend(worker, i_layer);
    worker.barrier();
    quantize(worker, s_.q, s_.q_stride, config_.n_q(), s_.attn_acts);
    worker.barrier();
    matmul(worker, w.attn_output, s_.attn_acts, s_.projected, s_.embd_stride);
    add_residual(worker);
    worker.barrier();

    norm_quantize(worker, w.ffn_norm);
    worker.barrier();
    matmul(worker, w.ffn_gate, s_.embd_acts, s_.gate, s_.ff_stride);
    matmul(worker, w.ffn_up, s_.embd_acts, s_.up, s_.ff_stride);
    swiglu(worker);
    worker.barrier();
    quantize(worker, s_.gate, s_.ff_stride, config_.n_ff, s_.ff_acts);
    worker.barrier();
    matmul(worker, w.ffn_down, s_.ff_acts, s_.projected, s_.embd_stride);
    add_residual(worker);
}

// x[t] = row of the embedding; and the rotations of these positions, shared by all layers and
// heads.
void Transformer::embed(const Worker& worker) {
    const auto [begin, end] = worker.split(tokens_.size());
    const size_t n_pairs = config_.rope_dim / 2;
    for (size_t t = begin; t < end; t++) {
        dequantize_row(weights_.token_embd.type, weights_.token_embd.data, config_.n_embd,
                       tokens_[t], s_.x + t * s_.embd_stride);
        const double position = double(s_.n_past + t);
        for (size_t i = 0; i < n_pairs; i++) {
            double sine, cosine;
            sincos_f64(position * weights_.rope_freqs.f64()[i], &sine, &cosine);
            s_.rope_sin[t * n_pairs + i] = float(sine);
            s_.rope_cos[t * n_pairs + i] = float(cosine);
        }
    }
}

void Transformer::norm_quantize(const Worker& worker, const TensorView& weight) {
    const auto [begin, end] = worker.split(tokens_.size());
    for (size_t t = begin; t < end; t++) {
        float* const normed = s_.normed + t * s_.embd_stride;
        kernels_.rms_norm(s_.x + t * s_.embd_stride, weight.f32(), config_.n_embd, config_.rms_eps,
                          normed);
        kernels_.quantize(normed, config_.n_embd, s_.embd_acts, t);
    }
}

void Transformer::quantize(const Worker& worker, const float* x, size_t stride, size_t n,
                           QuantizedActs out) {
    const auto [begin, end] = worker.split(tokens_.size());
    for (size_t t = begin; t < end; t++) kernels_.quantize(x + t * stride, n, out, t);
}

namespace {

// The share of a worker in a matrix of n_rows: whole row groups, so that no two workers write the
// same group.
Worker::Range row_share(const Worker& worker, size_t n_rows) {
    const Worker::Range groups = worker.split((n_rows + kGroupRows - 1) / kGroupRows);
    return {groups.begin * kGroupRows, groups.end * kGroupRows};
}

}  // namespace

// y = w x
void Transformer::matmul(const Worker& worker, const TensorView& w, const QuantizedActs& x,
                         float* y, size_t stride) {
    const auto [begin, end] = row_share(worker, w.n_rows);
    matmul_for(kernels_, w.type)(w.data, x, tokens_.size(), y, stride, begin, end);
}

namespace {

// Rotates adjacent pairs (2i, 2i+1) of a head by its position's angles; dimensions past rope_dim
// stay.
void rotate(float* head, const float* cosine, const float* sine, size_t n_pairs) {
    for (size_t i = 0; i < n_pairs; i++) {
        const float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cosine[i] - b * sine[i];
        head[2 * i + 1] = a * sine[i] + b * cosine[i];
    }
}

}  // namespace

// Queries turn in place; keys turn and enter the cache with their values, as f16.
void Transformer::rotate_and_store(const Worker& worker, size_t i_layer) {
    const size_t n_pairs = config_.rope_dim / 2;
    const size_t head_dim = config_.head_dim, padded = config_.head_dim_padded();
    const size_t n_units = config_.n_head + config_.n_head_kv;  // per token
    const auto [begin, end] = worker.split(tokens_.size() * n_units);
    for (size_t unit = begin; unit < end; unit++) {
        const size_t t = unit / n_units, head = unit % n_units;
        const float* const cosine = s_.rope_cos + t * n_pairs;
        const float* const sine = s_.rope_sin + t * n_pairs;
        if (head < config_.n_head) {
            rotate(s_.q + t * s_.q_stride + head * head_dim, cosine, sine, n_pairs);
            continue;
        }
        const size_t head_kv = head - config_.n_head;
        const size_t position = s_.n_past + t;
        const size_t block = position / StateShape::kKvPositions;
        const size_t row = position % StateShape::kKvPositions * padded;
        float* const key = s_.k + t * s_.kv_stride + head_kv * head_dim;
        rotate(key, cosine, sine, n_pairs);
        kernels_.to_f16(key, s_.k_block(i_layer, block, head_kv) + row, head_dim);
        kernels_.to_f16(s_.v + t * s_.kv_stride + head_kv * head_dim,
                        s_.v_block(i_layer, block, head_kv) + row, head_dim);
    }
}

// softmax(q k^T / sqrt(head_dim)) v, each query over the positions up to its own; in place of q.
void Transformer::attend(const Worker& worker, size_t i_layer) {
    const size_t head_dim = config_.head_dim, padded = config_.head_dim_padded();
    const size_t heads_per_kv = config_.n_head / config_.n_head_kv;
    const float scale = 1.0f / sqrt_f32(float(head_dim));
    float* const scores = s_.scores[worker.rank];
    float* const query = scores + s_.scores_stride;
    float* const result = query + padded;

    const auto [begin, end] = worker.split(tokens_.size() * config_.n_head);
    for (size_t unit = begin; unit < end; unit++) {
        const size_t t = unit / config_.n_head, head = unit % config_.n_head;
        const size_t head_kv = head / heads_per_kv;
        const size_t n_positions = s_.n_past + t + 1;
        float* const q = s_.q + t * s_.q_stride + head * head_dim;
        memset(query, 0, padded * sizeof(float));
        memcpy(query, q, head_dim * sizeof(float));
        memset(result, 0, padded * sizeof(float));

        const auto for_each_block = [&](auto&& body) {
            for (size_t first = 0; first < n_positions; first += StateShape::kKvPositions) {
                const size_t left = n_positions - first;
                const size_t n = left < StateShape::kKvPositions ? left : StateShape::kKvPositions;
                body(first / StateShape::kKvPositions, scores + first, n);
            }
        };
        for_each_block([&](size_t block, float* p, size_t n) {
            kernels_.attention_scores(query, s_.k_block(i_layer, block, head_kv), padded, n, scale,
                                      p);
        });
        kernels_.softmax(scores, n_positions);
        for_each_block([&](size_t block, float* p, size_t n) {
            kernels_.attention_values(p, s_.v_block(i_layer, block, head_kv), padded, n, result);
        });
        memcpy(q, result, head_dim * sizeof(float));
    }
}

// gate = silu(gate) * up, on the rows this worker's matmuls have just written.
void Transformer::swiglu(const Worker& worker) {
    const auto [begin, end] = row_share(worker, config_.n_ff);
    for (size_t t = 0; t < tokens_.size() && begin < end; t++) {
        const size_t at = t * s_.ff_stride + begin;
        kernels_.silu_mul(s_.gate + at, s_.up + at, end - begin);
    }
}

// x += projected, on the rows this worker's matmul has just written.
void Transformer::add_residual(const Worker& worker) {
    const auto [begin, end] = row_share(worker, config_.n_embd);
    for (size_t t = 0; t < tokens_.size() && begin < end; t++) {
        const size_t at = t * s_.embd_stride + begin;
        kernels_.add(s_.x + at, s_.projected + at, end - begin);
    }
}

void Transformer::output(const Worker& worker) {
    norm_quantize(worker, weights_.output_norm);
    worker.barrier();
    const auto [begin, end] = row_share(worker, config_.n_vocab);
    const MatmulFn project = matmul_for(kernels_, weights_.output.type);
    const size_t first = wanted_ == Logits::last ? tokens_.size() - 1 : 0;
    for (size_t t = first; t < tokens_.size(); t++) {
        project(weights_.output.data, s_.embd_acts.from_token(t), 1, s_.logits[t - first],
                s_.vocab_stride, begin, end);
    }
}

}  // namespace axiom
