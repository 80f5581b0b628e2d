// SPDX-License-Identifier: MIT
// A mixture of experts (Shazeer et al. 2017; Jiang et al. 2024): every row goes to the few that its
// router likes best. Rows of the same expert are gathered, so that its weights are read once.
#include <algorithm>
#include <cstring>

#include "core/mathf.h"
#include "model/engine/transformer.h"

namespace axiom {

using enum format::Role;

QuantizedActs Transformer::expert_acts(void* memory, size_t n_cols, const Routes::Expert& expert) {
    const size_t padded = round_up(n_cols, kBlockCols);
    // Places before this expert's are whole tiles.
    const size_t before = expert.first / QuantizedActs::kTileWidth * (padded / kBlockCols) *
                          QuantizedActs::block_stride(QuantizedActs::kTileWidth);
    return {static_cast<uint8_t*>(memory) + before, padded, quantized_acts_width(expert.n)};
}

// x += sum over a row's experts of weight * W_down (activation(W_gate x') * W_up x'), and of the
// shared expert that every row goes to, if there is one; x' = norm(x).
void Transformer::experts(const Layer& layer) {
    const LayerConfig& c = layer.config;
    const Routes& routes = ws_.routes;
    const QuantizedActs x = norm(layer, layer.weights[ffn_norm]);
    if (c.n_ff != 0) {
        project_dense(layer, x, [](Rows) {});
        layer.meet();
    }
    score_experts(layer);
    struct Context {
        Transformer& t;
        const Layer& layer;
    } context{*this, layer};
    layer.worker.barrier(
        [](void* p) { static_cast<Context*>(p)->t.route(static_cast<Context*>(p)->layer); },
        &context);
    gather(layer);
    check_experts(layer);
    claim_expert_rows(layer, &ExpertWeights::gate, [&](size_t i, Rows rows) {
        const Routes::Expert& e = routes.experts[i];
        const ExpertWeights& w = routes.weights[i];
        const QuantizedActs in = expert_acts(ws_.expert_in_acts, config_.n_embd, e);
        const QuantizedActs out = expert_acts(ws_.expert_ff_acts, c.n_ff_expert, e);
        const size_t at = e.first * ws_.expert_ff_stride;
        matmul({w.gate, ws_.expert_gate + at, ws_.expert_ff_stride}, in, e.n, rows);
        matmul({w.up, ws_.expert_up + at, ws_.expert_ff_stride}, in, e.n, rows);
        for (size_t j = 0; j < e.n; j++) {
            float* const gate = ws_.expert_gate + at + j * ws_.expert_ff_stride;
            const float* const up = ws_.expert_up + at + j * ws_.expert_ff_stride;
            activate(c, gate + rows.begin, up + rows.begin, rows.end - rows.begin);
            kernels_.quantize(gate, c.n_ff_expert, out, j, rows.begin / kBlockCols,
                              (rows.end + kBlockCols - 1) / kBlockCols);
        }
    });
    layer.meet();
    claim_expert_rows(layer, &ExpertWeights::down, [&](size_t i, Rows rows) {
        const Routes::Expert& e = routes.experts[i];
        matmul(
            {routes.weights[i].down, ws_.expert_out + e.first * ws_.embd_stride, ws_.embd_stride},
            expert_acts(ws_.expert_ff_acts, c.n_ff_expert, e), e.n, rows);
    });
    layer.meet();
    mix(layer);
    add_normed(layer, layer.weights[ffn_post_norm]);
}

// The router's logits: of one row by shares of the experts, of several by shares of the rows.
void Transformer::score_experts(const Layer& layer) {
    const size_t n_expert = layer.config.n_expert, n_embd = config_.n_embd;
    const float* const w = layer.weights[router].f32();
    const bool alone = layer.n_rows() == 1;
    const auto [begin, end] = layer.worker.split(alone ? n_expert : layer.n_rows());
    if (alone) {
        kernels_.matvec_f32(w + begin * n_embd, end - begin, n_embd, normed(layer, 0),
                            ws_.router + begin);
        return;
    }
    for (size_t t = begin; t < end; t++) {
        kernels_.matvec_f32(w, n_expert, n_embd, normed(layer, t),
                            ws_.router + t * ws_.router_stride);
    }
}

// Worker 0, while the others wait: which experts each row goes to and with what weight, and the
// places of all rows by expert.
void Transformer::route(const Layer& layer) {
    const size_t n_expert = layer.config.n_expert, n_used = config_.n_expert_used;
    Routes& routes = ws_.routes;
    uint32_t n_turns[format::kMaxExperts] = {};  // then: next place
    for (size_t t = 0; t < layer.n_rows(); t++) {
        float* const p = ws_.router + t * ws_.router_stride;
        if (config_.expert_gating == format::ExpertGating::softmax) {
            kernels_.softmax(p, n_expert);
        } else {
            for (size_t i = 0; i < n_expert; i++) p[i] = 1.0f / (1.0f + exp_f32(-p[i]));
        }
        uint32_t* const ids = routes.place_of + t * n_used;  // places follow below
        float* const weights = routes.weight_of + t * n_used;
        float sum = 0;
        for (size_t k = 0; k < n_used; k++) {  // of equals the first
            size_t best = 0;
            for (size_t i = 1; i < n_expert; i++) best = p[i] > p[best] ? i : best;
            ids[k] = uint32_t(best);
            weights[k] = p[best];
            sum += p[best];
            p[best] = -1;
            n_turns[best]++;
        }
        // llama.cpp's bound against a division by zero: the least normal binary16.
        const float divisor = config_.expert_normalize ? std::max(sum, 0x1p-14f) : 1.0f;
        for (size_t k = 0; k < n_used; k++)
            weights[k] = weights[k] / divisor * config_.expert_scale;
    }
    routes.n_experts = 0;
    uint32_t n_places = 0, chosen[format::kMaxExperts];
    for (uint32_t id = 0; id < n_expert; id++) {
        if (n_turns[id] == 0) continue;
        chosen[routes.n_experts] = id;
        routes.experts[routes.n_experts++] = {id, n_places, n_turns[id]};
        const uint32_t next = uint32_t(round_up(n_places + n_turns[id], QuantizedActs::kTileWidth));
        n_turns[id] = n_places;
        n_places = next;
    }
    for (size_t t = 0; t < layer.n_rows(); t++) {
        for (size_t k = 0; k < n_used; k++) {
            uint32_t& slot = routes.place_of[t * n_used + k];
            const uint32_t place = n_turns[slot]++;
            routes.row_of[place] = uint32_t(t);
            slot = place;
        }
    }
    *layer.status =
        source_.acquire_experts(layer.index, {chosen, routes.n_experts}, routes.weights);
    if (!layer.status->ok()) routes.n_experts = 0;  // nothing more to do in this layer
}

// The rows of each expert, quantized side by side.
void Transformer::gather(const Layer& layer) {
    const Routes& routes = ws_.routes;
    size_t n = 0;
    for (size_t i = 0; i < routes.n_experts; i++) n += routes.experts[i].n;
    const auto [begin, end] = layer.worker.split(n);
    size_t before = 0;
    for (size_t i = 0; i < routes.n_experts && before < end; i++) {
        const Routes::Expert& e = routes.experts[i];
        const QuantizedActs out = expert_acts(ws_.expert_in_acts, config_.n_embd, e);
        for (size_t j = 0; j < e.n; j++) {
            if (before + j < begin || before + j >= end) continue;
            kernels_.quantize(normed(layer, routes.row_of[e.first + j]), config_.n_embd, out, j, 0,
                              out.n_cols / kBlockCols);
        }
        before += e.n;
    }
}

// All workers meet, and go on with experts only if they are what they should be.
void Transformer::check_experts(const Layer& layer) {
    if (!source_.works()) return layer.meet();
    source_.check(layer.worker);
    struct Context {
        Transformer& t;
        const Layer& layer;
    } context{*this, layer};
    layer.worker.barrier(
        [](void* p) {
            const auto& [t, l] = *static_cast<Context*>(p);
            const Status found = t.source_.checked();
            if (l.status->ok()) *l.status = found;
            if (!l.status->ok()) t.ws_.routes.n_experts = 0;
        },
        &context);
}

// projected += the weighted sum of what a row's experts gave, best expert first.
void Transformer::mix(const Layer& layer) {
    if (ws_.routes.n_experts == 0) return;
    constexpr size_t kColumns = 256;
    const size_t n_used = config_.n_expert_used;
    const size_t n_parts = (config_.n_embd + kColumns - 1) / kColumns;  // per row
    const auto [begin, end] = layer.worker.split(layer.n_rows() * n_parts);
    for (size_t unit = begin; unit < end; unit++) {
        const size_t t = unit / n_parts, column = unit % n_parts * kColumns;
        const size_t n = std::min(kColumns, config_.n_embd - column);
        float* const sum = ws_.projected + t * ws_.embd_stride + column;
        if (layer.config.n_ff == 0) memset(sum, 0, n * sizeof(float));  // else the shared expert's
        for (size_t k = 0; k < n_used; k++) {
            const size_t place = ws_.routes.place_of[t * n_used + k];
            kernels_.add_scaled(sum, ws_.expert_out + place * ws_.embd_stride + column,
                                ws_.routes.weight_of[t * n_used + k], n);
        }
        if (!layer.weights[ffn_post_norm]) {
            kernels_.add_scaled(ws_.x + t * ws_.embd_stride + column, sum, config_.residual_scale,
                                n);
        }
    }
}

}  // namespace axiom
