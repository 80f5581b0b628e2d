// SPDX-License-Identifier: MIT
#include "model/engine/transformer.h"

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
    attn_acts_ = tokens.size() == 1 ? s_.attn_acts.as_one() : s_.attn_acts;
    ff_acts_ = tokens.size() == 1 ? s_.ff_acts.as_one() : s_.ff_acts;

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

    const QuantizedActs attn_in = norm(worker, w[Role::attn_norm]);
    const Product qkv[] = {{w[Role::attn_q], s_.q, s_.q_stride},
                           {w[Role::attn_k], s_.k, s_.kv_stride},
                           {w[Role::attn_v], s_.v, s_.kv_stride}};
    claim_rows(worker, qkv, [&](const Product& p, Rows rows) { matmul(p, attn_in, rows); });
    worker.barrier();
    rotate_and_store(worker, i_layer);
    worker.barrier();
    attend(worker, i_layer);
    worker.barrier();
    const Product projected[] = {{w[Role::attn_output], s_.projected, s_.embd_stride}};
    claim_rows(worker, projected, [&](const Product& p, Rows rows) {
        matmul(p, attn_acts_, rows);
        add_residual(rows);
    });
    worker.barrier();

    const QuantizedActs ffn_in = norm(worker, w[Role::ffn_norm]);
    const Product gate[] = {{w[Role::ffn_gate], s_.gate, s_.ff_stride}};
    claim_rows(worker, gate, [&](const Product& p, Rows rows) {
        matmul(p, ffn_in, rows);
        matmul({w[Role::ffn_up], s_.up, s_.ff_stride}, ffn_in, rows);
        swiglu(rows);
    });
    worker.barrier();
    const Product down[] = {{w[Role::ffn_down], s_.projected, s_.embd_stride}};
    claim_rows(worker, down, [&](const Product& p, Rows rows) {
        matmul(p, ff_acts_, rows);
        add_residual(rows);
    });
}

// x[t] = row of the embedding; and the rotations of these positions, shared by all layers and
// heads.
void Transformer::embed(const Worker& worker) {
    const auto [begin, end] = worker.split(tokens_.size());
    for (size_t t = begin; t < end; t++) {
        dequantize_row(weights_.token_embd.type, weights_.token_embd.data, config_.n_embd,
                       tokens_[t], s_.x + t * s_.embd_stride);
        const double position = double(s_.n_past + t);
        float* const cosines = s_.rope_cos + t * n_rot_;
        float* const sines = s_.rope_sin + t * n_rot_;
        for (size_t i = 0; i < n_rot_; i += 2) {
            double sine, cosine;
            sincos_f64(position * weights_.rope_freqs.f64()[i / 2], &sine, &cosine);
            cosines[i] = cosines[i + 1] = float(cosine);
            sines[i] = -float(sine);
            sines[i + 1] = float(sine);
        }
    }
}

// RMSNorm, quantized. One token is worked out by every worker for itself, which is cheaper than
// meeting at a barrier; more are shared out.
QuantizedActs Transformer::norm(const Worker& worker, const TensorView& weight) {
    if (tokens_.size() == 1) return norm_one(worker, weight, s_.x);
    const size_t n_blocks = s_.embd_acts.n_cols / kBlockCols;
    const auto [begin, end] = worker.split(tokens_.size());
    for (size_t t = begin; t < end; t++) {
        float* const normed = s_.normed + t * s_.embd_stride;
        kernels_.rms_norm(s_.x + t * s_.embd_stride, weight.f32(), config_.n_embd, config_.rms_eps,
                          normed);
        kernels_.quantize(normed, config_.n_embd, s_.embd_acts, t, 0, n_blocks);
    }
    worker.barrier();
    return s_.embd_acts;
}

QuantizedActs Transformer::norm_one(const Worker& worker, const TensorView& weight,
                                    const float* x) {
    const State::Own& own = s_.own[worker.rank];
    kernels_.rms_norm(x, weight.f32(), config_.n_embd, config_.rms_eps, own.normed);
    kernels_.quantize(own.normed, config_.n_embd, own.acts, 0, 0, own.acts.n_cols / kBlockCols);
    return own.acts;
}

namespace {

// Rows are claimed by whole blocks of columns of the next matrix, and so by whole row groups, of
// which no two workers may write the same; for several tokens by as many as kernels like best.
constexpr size_t claim_unit(size_t n_tokens) {
    return n_tokens == 1 ? 32 : 96;
}
static_assert(claim_unit(1) % kBlockCols == 0 && claim_unit(2) % kBlockCols == 0);

// Of one token: weights worth a claim, which is some microseconds of reading, and a worker's share
// that is worth more than one.
constexpr size_t kClaimBytes = 64 * 1024, kShareBytes = 256 * 1024;

}  // namespace

template <class F>
void Transformer::claim_rows(const Worker& worker, std::span<const Product> products, F do_rows) {
    const size_t unit = claim_unit(tokens_.size());
    const auto units_of = [&](size_t i) { return (products[i].w.n_rows + unit - 1) / unit; };
    size_t n_units = 0;
    for (size_t i = 0; i < products.size(); i++) n_units += units_of(i);
    size_t least = 1;
    if (tokens_.size() == 1) {
        const TensorView& first = products[0].w;
        const size_t n_blocks = (first.n_cols + kBlockCols - 1) / kBlockCols;
        const size_t unit_bytes = group_bytes(first.type, n_blocks) * (unit / kGroupRows);
        AXIOM_CHECK(unit_bytes != 0);
        const auto [begin, end] = worker.split(n_units);
        least = (end - begin) * unit_bytes < kShareBytes ? end - begin : kClaimBytes / unit_bytes;
        if (least == 0) least = 1;
    }
    for (;;) {
        const auto [begin, end] = worker.claim(n_units, least);
        if (begin == end) return;
        size_t units_before = 0;
        for (size_t i = 0; i < products.size(); units_before += units_of(i), i++) {
            const size_t n_padded = round_up(products[i].w.n_rows, kGroupRows);
            const auto row = [&](size_t u) {
                const size_t r = u <= units_before ? 0 : (u - units_before) * unit;
                return r < n_padded ? r : n_padded;
            };
            if (row(begin) < row(end)) do_rows(products[i], Rows{row(begin), row(end)});
        }
    }
}

void Transformer::matmul(const Product& product, const QuantizedActs& x, Rows rows) {
    matmul_for(kernels_, product.w.type)(product.w.data, x, tokens_.size(), product.y,
                                         product.stride, rows.begin, rows.end);
}

// Queries turn in place; keys turn and enter the cache with their values, as f16.
void Transformer::rotate_and_store(const Worker& worker, size_t i_layer) {
    const size_t head_dim = layer_.head_dim, padded = layer_.head_dim_padded();
    const size_t n_units = layer_.n_head + layer_.n_head_kv;  // per token
    uint16_t* const halves = reinterpret_cast<uint16_t*>(s_.own[worker.rank].gathered);
    const auto [begin, end] = worker.split(tokens_.size() * n_units);
    for (size_t unit = begin; unit < end; unit++) {
        const size_t t = unit / n_units, head = unit % n_units;
        const float* const cosine = s_.rope_cos + t * n_rot_;
        const float* const sine = s_.rope_sin + t * n_rot_;
        if (head < layer_.n_head) {
            kernels_.rope(s_.q + t * s_.q_stride + head * head_dim, cosine, sine, n_rot_);
            continue;
        }
        const size_t head_kv = head - layer_.n_head;
        const size_t block = (s_.n_past + t) / kKvPositions, row = (s_.n_past + t) % kKvPositions;
        float* const key = s_.k + t * s_.kv_stride + head_kv * head_dim;
        kernels_.rope(key, cosine, sine, n_rot_);
        kernels_.to_f16(key, halves, head_dim);
        uint16_t* const keys = s_.k_block(i_layer, block, head_kv);
        for (size_t i = 0; i < head_dim; i++) keys[i * kKvPositions + row] = halves[i];
        kernels_.to_f16(s_.v + t * s_.kv_stride + head_kv * head_dim,
                        s_.v_block(i_layer, block, head_kv) + row * padded, head_dim);
    }
}

// softmax(q k^T / sqrt(head_dim)) v, each query over the positions up to its own; in place of q,
// and quantized. The queries that read the same keys and values (the heads of a group, for all
// tokens) are taken kMaxQueries at a time.
void Transformer::attend(const Worker& worker, size_t i_layer) {
    const size_t n_tokens = tokens_.size();
    const size_t n_queries = n_tokens * (layer_.n_head / layer_.n_head_kv);  // of one KV head
    if (n_tokens == 1) {
        const auto [begin, end] = worker.split(layer_.n_head);
        for (size_t first = begin; first < end;) {
            const size_t head_kv = first / n_queries, group_end = (head_kv + 1) * n_queries;
            const size_t left = (group_end < end ? group_end : end) - first;
            const size_t n = left < kMaxQueries ? left : kMaxQueries;
            attend_tile(worker, i_layer, head_kv, first - head_kv * n_queries, n);
            first += n;
        }
    } else {
        const size_t n_tiles = (n_queries + kMaxQueries - 1) / kMaxQueries;
        for (;;) {
            const auto [begin, end] = worker.claim(layer_.n_head_kv * n_tiles, 1);
            if (begin == end) break;
            for (size_t i = begin; i < end; i++) {
                const size_t first = i % n_tiles * kMaxQueries, left = n_queries - first;
                attend_tile(worker, i_layer, i / n_tiles, first,
                            left < kMaxQueries ? left : kMaxQueries);
            }
        }
    }
    if (layer_.head_dim % kBlockCols == 0) return;
    // Heads that share a block of columns are quantized when all are there.
    worker.barrier();
    const size_t n_blocks = attn_acts_.n_cols / kBlockCols;
    const auto [begin, end] = worker.split(n_tokens * n_blocks);
    for (size_t i = begin; i < end; i++) {
        const size_t t = i / n_blocks, b = i % n_blocks;
        kernels_.quantize(s_.q + t * s_.q_stride, layer_.n_q(), attn_acts_, t, b, b + 1);
    }
}

// Queries [first, first + n) of one KV head, numbered token by token.
void Transformer::attend_tile(const Worker& worker, size_t i_layer, size_t head_kv, size_t first,
                              size_t n) {
    const size_t head_dim = layer_.head_dim, padded = layer_.head_dim_padded();
    const size_t heads_per_kv = layer_.n_head / layer_.n_head_kv;
    const float scale = 1.0f / sqrt_f32(float(head_dim));
    const State::Own& own = s_.own[worker.rank];
    float* q[kMaxQueries];         // [head_dim]
    float* scores[kMaxQueries];    // [n_positions], then their softmax
    float* gathered[kMaxQueries];  // [head_dim_padded]
    size_t n_positions[kMaxQueries] = {};
    for (size_t j = 0; j < n; j++) {
        const size_t t = (first + j) / heads_per_kv;
        const size_t head = head_kv * heads_per_kv + (first + j) % heads_per_kv;
        q[j] = s_.q + t * s_.q_stride + head * head_dim;
        scores[j] = own.scores + j * s_.scores_stride;
        gathered[j] = own.gathered + j * padded;
        n_positions[j] = s_.n_past + t + 1;
    }
    const size_t least = n_positions[0], most = n_positions[n - 1];

    for (size_t p = 0; p < most; p += kKvPositions) {
        float* at[kMaxQueries];
        for (size_t j = 0; j < n; j++) at[j] = scores[j] + p;
        kernels_.attention_scores(q, n, s_.k_block(i_layer, p / kKvPositions, head_kv), head_dim,
                                  scale, at);
    }
    for (size_t j = 0; j < n; j++) kernels_.softmax(scores[j], n_positions[j]);

    memset(own.gathered, 0, n * padded * sizeof(float));
    const auto in_block = [](size_t n_all, size_t p) {  // positions of the block at p
        return n_all <= p ? 0 : n_all - p < kKvPositions ? n_all - p : kKvPositions;
    };
    for (size_t p = 0; p < most; p += kKvPositions) {
        const uint16_t* const v = s_.v_block(i_layer, p / kKvPositions, head_kv);
        const float* at[kMaxQueries];
        for (size_t j = 0; j < n; j++) at[j] = scores[j] + p;
        const size_t shared = in_block(least, p);
        kernels_.attention_values(at, n, v, padded, shared, gathered);
        for (size_t j = 0; j < n; j++) {
            const size_t own_positions = in_block(n_positions[j], p);
            if (own_positions == shared) continue;
            const float* const rest = at[j] + shared;
            kernels_.attention_values(&rest, 1, v + shared * padded, padded, own_positions - shared,
                                      &gathered[j]);
        }
    }
    for (size_t j = 0; j < n; j++) {
        memcpy(q[j], gathered[j], head_dim * sizeof(float));
        if (head_dim % kBlockCols != 0) continue;
        const size_t t = (first + j) / heads_per_kv;
        float* const row = s_.q + t * s_.q_stride;
        const size_t block = size_t(q[j] - row) / kBlockCols;
        kernels_.quantize(row, layer_.n_q(), attn_acts_, t, block, block + head_dim / kBlockCols);
    }
}

// silu(gate) * up, quantized.
void Transformer::swiglu(Rows rows) {
    for (size_t t = 0; t < tokens_.size(); t++) {
        float* const gate = s_.gate + t * s_.ff_stride;
        kernels_.silu_mul(gate + rows.begin, s_.up + t * s_.ff_stride + rows.begin,
                          rows.end - rows.begin);
        kernels_.quantize(gate, layer_.n_ff, ff_acts_, t, rows.begin / kBlockCols,
                          (rows.end + kBlockCols - 1) / kBlockCols);
    }
}

// x += projected.
void Transformer::add_residual(Rows rows) {
    for (size_t t = 0; t < tokens_.size(); t++) {
        const size_t at = t * s_.embd_stride + rows.begin;
        kernels_.add(s_.x + at, s_.projected + at, rows.end - rows.begin);
    }
}

void Transformer::output(const Worker& worker) {
    const MatmulFn project = matmul_for(kernels_, weights_.output.type);
    const size_t n_padded = round_up(config_.n_vocab, kGroupRows);
    const size_t unit = claim_unit(1), n_units = (n_padded + unit - 1) / unit;
    const size_t first = wanted_ == Logits::last ? tokens_.size() - 1 : 0;
    const size_t n_rows = tokens_.size() - first;  // of logits
    size_t normed = n_rows;
    QuantizedActs x;
    for (;;) {
        auto [begin, end] = worker.claim(n_rows * n_units, 1);
        if (begin == end) return;
        while (begin < end) {  // a claim may go on in the next row of logits
            const size_t t = begin / n_units, row_end = (t + 1) * n_units;
            const size_t stop = row_end < end ? row_end : end;
            if (t != normed)
                x = norm_one(worker, weights_.output_norm, s_.x + (first + t) * s_.embd_stride);
            normed = t;
            const size_t last = (stop - t * n_units) * unit;
            project(weights_.output.data, x, 1, s_.logits[t], s_.vocab_stride,
                    (begin - t * n_units) * unit, last < n_padded ? last : n_padded);
            begin = stop;
        }
    }
}

}  // namespace axiom
