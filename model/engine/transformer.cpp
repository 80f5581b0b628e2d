// SPDX-License-Identifier: MIT
// Attention is in attention.cpp.
#include "model/engine/transformer.h"

#include "core/mathf.h"

namespace axiom {

// One pass under way, between the layer loop and the stages.
struct Transformer::Flight {
    Transformer& t;
    const Pass& pass;
    const LayerWeights* weights = nullptr;  // of the current layer

    static Flight& of(void* context) { return *static_cast<Flight*>(context); }
    static void embed(const Worker& w, void* context) { of(context).t.embed(of(context).pass, w); }
    static void output(const Worker& w, void* context) {
        of(context).t.output(of(context).pass, w);
    }
    static Status acquire(void* context, size_t i) {
        return of(context).t.source_.acquire(i, &of(context).weights);
    }
    // What a stage finds wrong, as acquire_experts() may, is to be returned here.
    static Status release(void* context, size_t i) {
        of(context).t.source_.release(i);
        return {};
    }
    static void layer(void* context, const Worker& worker, size_t i) {
        Flight& f = of(context);
        f.t.layer({f.pass, worker, i, f.t.config_.layer(i), *f.weights});
    }
    LayerJob layers() {
        return {.n_layers = t.config_.n_layer,
                .context = this,
                .layer = layer,
                .before = acquire,
                .after = release};
    }
};

Status Transformer::forward(std::span<const Row> rows, const PassTimes& times) {
    Pass planned;
    if (Status s = begin(rows, &planned); !s.ok()) return s;
    const Pass& pass = planned;
    Flight flight{*this, pass};

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
                         const PassTimes& times) {
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
    if (source_.polls()) {
        pass->poll = [](void* source) { static_cast<WeightSource*>(source)->poll(); };
        pass->poll_context = &source_;
    }
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
    const LayerWeights& w = layer.weights;
    const Pass& pass = layer.pass;
    const size_t n_rows = pass.rows.size();
    const auto claim = [&](std::span<const Product> products, auto&& do_rows) {
        claim_rows(pass.policy, layer.worker, products, do_rows);
    };

    const QuantizedActs attn_in = norm(layer, w.attn_norm);
    const Product qkv[] = {{w.attn_q, ws_.q, ws_.q_stride},
                           {w.attn_k, ws_.k, ws_.kv_stride},
                           {w.attn_v, ws_.v, ws_.kv_stride}};
    claim(std::span(qkv).first(layer.owns_kv() ? 3 : 1),
          [&](const Product& p, Rows rows) { matmul(p, attn_in, n_rows, rows); });
    layer.meet();
    rotate_and_store(layer);
    layer.meet();
    attend(layer);
    layer.meet();
    const Product projected[] = {{w.attn_output, ws_.projected, ws_.embd_stride}};
    claim(projected, [&](const Product& p, Rows rows) {
        matmul(p, attn_acts(layer), n_rows, rows);
        add_residual(pass, rows);
    });
    layer.meet();

    const QuantizedActs ffn_in = norm(layer, w.ffn_norm);
    const Product gate[] = {{w.ffn_gate, ws_.gate, ws_.ff_stride}};
    claim(gate, [&](const Product& p, Rows rows) {
        matmul(p, ffn_in, n_rows, rows);
        matmul({w.ffn_up, ws_.up, ws_.ff_stride}, ffn_in, n_rows, rows);
        swiglu(layer, rows);
    });
    layer.meet();
    const Product down[] = {{w.ffn_down, ws_.projected, ws_.embd_stride}};
    claim(down, [&](const Product& p, Rows rows) {
        matmul(p, ff_acts(layer), n_rows, rows);
        add_residual(pass, rows);
    });
}

// x[t] = row of the embedding; and the rotations of these positions, shared by all layers and
// heads that use a table.
void Transformer::embed(const Pass& pass, const Worker& worker) {
    const auto [begin, end] = worker.split(pass.rows.size());
    for (size_t t = begin; t < end; t++) {
        dequantize_row(weights_.token_embd.type, weights_.token_embd.data, config_.n_embd,
                       pass.rows[t].token, ws_.x + t * ws_.embd_stride);
        const double position = double(pass.rows[t].position);
        for (uint32_t table = 0; table < config_.n_rope; table++) {
            const double* const freqs = weights_.rope_freqs.f64() + table * (config_.rope_dim / 2);
            float* const cosines = ws_.cosines(table, t);
            float* const sines = ws_.sines(table, t);
            for (size_t i = 0; i < config_.rope_dim; i += 2) {
                double sine, cosine;
                sincos_f64(position * freqs[i / 2], &sine, &cosine);
                cosines[i] = cosines[i + 1] = float(cosine);
                sines[i] = -float(sine);
                sines[i + 1] = float(sine);
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

// One row, for this worker only.
QuantizedActs Transformer::norm_alone(const Worker& worker, const TensorView& weight, size_t row) {
    const Scratch& scratch = ws_.scratch[worker.rank];
    const QuantizedActs out = acts(scratch.acts, config_.n_embd, kOneRow);
    norm_row(weight, row, scratch.normed, out, 0);
    return out;
}

void Transformer::norm_row(const TensorView& weight, size_t row, float* normed,
                           const QuantizedActs& out, size_t out_row) {
    kernels_.rms_norm(ws_.x + row * ws_.embd_stride, weight.f32(), config_.n_embd, config_.rms_eps,
                      normed);
    kernels_.quantize(normed, config_.n_embd, out, out_row, 0, out.n_cols / kBlockCols);
}

template <class F>
void Transformer::claim_rows(const PassPolicy& policy, const Worker& worker,
                             std::span<const Product> products, F do_rows) {
    const size_t unit = policy.claim_rows;
    const auto units_of = [&](size_t i) { return (products[i].w.n_rows + unit - 1) / unit; };
    size_t n_units = 0;
    for (size_t i = 0; i < products.size(); i++) n_units += units_of(i);
    size_t least = 1;
    if (policy.claim_bytes != 0) {
        const TensorView& first = products[0].w;
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

void Transformer::matmul(const Product& product, const QuantizedActs& x, size_t n_rows, Rows rows) {
    matmul_for(kernels_, product.w.type)(product.w.data, x, n_rows, product.y, product.stride,
                                         rows.begin, rows.end);
}

// silu(gate) * up, quantized.
void Transformer::swiglu(const Layer& layer, Rows rows) {
    const size_t n_ff = layer.config.n_ff;
    for (size_t t = 0; t < layer.pass.rows.size(); t++) {
        float* const gate = ws_.gate + t * ws_.ff_stride;
        kernels_.silu_mul(gate + rows.begin, ws_.up + t * ws_.ff_stride + rows.begin,
                          rows.end - rows.begin);
        kernels_.quantize(gate, n_ff, ff_acts(layer), t, rows.begin / kBlockCols,
                          (rows.end + kBlockCols - 1) / kBlockCols);
    }
}

// x += projected.
void Transformer::add_residual(const Pass& pass, Rows rows) {
    for (size_t t = 0; t < pass.rows.size(); t++) {
        const size_t at = t * ws_.embd_stride + rows.begin;
        kernels_.add(ws_.x + at, ws_.projected + at, rows.end - rows.begin);
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
    claim_rows(pass.output_policy, worker, logits,
               [&](const Product& p, Rows rows) { matmul(p, x, n_rows, rows); });
}

}  // namespace axiom
